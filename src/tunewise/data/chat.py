"""Turns a conversation into the text and the tokens a model sees, with an exact loss mask.

The tokenizer's own chat template decides (a base model without one gets the plain form below).
It knows nothing of engines or training: the same tokens serve both, so that a model is asked in
exactly the words it was trained on.

Plain form, for models without a template, one block a turn and a blank line between blocks:
`System: …`, `User: …`, `Assistant: …`; the prompt ends with `Assistant:`, the answer begins with
one space and ends with the end-of-text token.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import jinja2

from tunewise.errors import UserError
from tunewise.types import Message


class ChatTokenizer(Protocol):
    """The part of a `transformers` tokenizer that is used here."""

    @property
    def bos_token(self) -> object:
        """The begin-of-text token, or None."""
        ...

    @property
    def eos_token(self) -> object:
        """The end-of-text token, or None."""
        ...

    def apply_chat_template(
        self,
        conversation: list[dict[str, str]],
        *,
        tokenize: bool,
        add_generation_prompt: bool,
    ) -> object:
        """Renders the template in a Jinja sandbox."""
        ...

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        """Text -> token ids."""
        ...

    def decode(self, token_ids: list[int]) -> object:
        """Token ids -> text."""
        ...

    def get_added_vocab(self) -> dict[str, int]:
        """Added and special tokens: text -> id."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenisedExample:
    """Prompt, answer and end-of-turn as one sequence; loss is on `token_ids[answer_start:]`."""

    token_ids: tuple[int, ...]
    answer_start: int
    """Index of the answer's first token; `token_ids[:answer_start]` is the prompt."""


def render_prompt(tokenizer: ChatTokenizer, messages: Sequence[Message]) -> str:
    """The conversation as text, up to where the assistant's answer begins.

    Special tokens are part of the text: encode it with `add_special_tokens=False`.

    Raises:
        UserError: when the model's template refuses the conversation.
    """
    if not _has_template(tokenizer):
        blocks = [f"{turn.role.capitalize()}: {turn.content}" for turn in messages]
        return _opening(tokenizer) + "\n\n".join([*blocks, "Assistant:"])
    return _rendered(tokenizer, messages, prompt=True)


def prompt_tokens(tokenizer: ChatTokenizer, messages: Sequence[Message]) -> tuple[int, ...]:
    """Token ids of `render_prompt`: what an engine is asked with."""
    return tuple(tokenizer.encode(render_prompt(tokenizer, messages), add_special_tokens=False))


def answer_tokens(
    tokenizer: ChatTokenizer, messages: Sequence[Message], target: str
) -> TokenisedExample:
    """Tokenises a training example; its prompt's tokens are exactly those of `prompt_tokens`.

    The answer ends with the model's end-of-turn token, which carries loss: without it a model
    never learns to stop. What a template writes after that token is left out.

    Raises:
        UserError: when the template refuses the conversation, writes the prompt differently once
            an answer follows, changes the answer, or ends a turn with no token of its own.
    """
    prompt = render_prompt(tokenizer, messages)
    if _has_template(tokenizer):
        whole = _rendered(
            tokenizer, [*messages, Message(role="assistant", content=target)], prompt=False
        )
        if not whole.startswith(prompt):
            raise UserError(
                "The model's chat template writes the prompt differently once an answer follows, "
                "so that the loss cannot be kept to the answer. Choose another base model."
            )
        answer = _until_end_of_turn(tokenizer, whole[len(prompt) :], target)
    else:
        answer = f" {target}{_end_of_text(tokenizer)}"
    prompt_ids = tokenizer.encode(prompt, add_special_tokens=False)
    joint = tokenizer.encode(prompt + answer, add_special_tokens=False)
    if joint[: len(prompt_ids)] == prompt_ids:
        return TokenisedExample(token_ids=tuple(joint), answer_start=len(prompt_ids))
    # A token reaches across the border. A model asked with the prompt's tokens has to go on from
    # there, so it is trained to: prompt and answer are tokenised apart.
    apart = [*prompt_ids, *tokenizer.encode(answer, add_special_tokens=False)]
    if tokenizer.decode(apart) != tokenizer.decode(joint):
        raise UserError(
            "The model's tokenizer writes an answer differently when the prompt stands before it, "
            "so that the loss cannot be kept to the answer. Choose another base model."
        )
    return TokenisedExample(token_ids=tuple(apart), answer_start=len(prompt_ids))


def _has_template(tokenizer: ChatTokenizer) -> bool:
    # An attribute that transformers sets without declaring it.
    return bool(getattr(tokenizer, "chat_template", None))


def _rendered(tokenizer: ChatTokenizer, messages: Sequence[Message], *, prompt: bool) -> str:
    turns = [{"role": turn.role, "content": turn.content} for turn in messages]
    try:
        return str(
            tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=prompt)
        )
    except jinja2.TemplateError as error:
        roles = ", ".join(turn.role for turn in messages)
        raise UserError(
            f"The model's chat template refuses a conversation of {roles}: {error}. "
            "Change the turns, or choose another base model."
        ) from error


def _until_end_of_turn(tokenizer: ChatTokenizer, rest: str, target: str) -> str:
    """The answer as the template writes it, up to and with its end-of-turn token."""
    # Some templates trim what they are given.
    written = next((form for form in (target, target.strip()) if rest.startswith(form)), None)
    if written is None:
        raise UserError(
            "The model's chat template changes the answer it is given, so that the loss cannot be "
            "kept to the answer. Choose another base model."
        )
    after = rest[len(written) :]
    # Some tokenizers add runs of white space as tokens; those end no turn.
    tokens = [token for token in tokenizer.get_added_vocab() if token.strip() and token in after]
    ends = [after.index(token) + len(token) for token in tokens]
    if not ends:
        raise UserError(
            "The model's chat template ends a turn with no token of its own, so that a model "
            "trained on it never stops. Choose another base model."
        )
    return written + after[: min(ends)]


def _opening(tokenizer: ChatTokenizer) -> str:
    """The begin-of-text token, where the tokenizer sets one before plain text."""
    bos = tokenizer.bos_token
    if not isinstance(bos, str):
        return ""
    begun = tokenizer.encode("a", add_special_tokens=True)
    return bos if begun[:1] == tokenizer.encode(bos, add_special_tokens=False)[:1] else ""


def _end_of_text(tokenizer: ChatTokenizer) -> str:
    if not isinstance(tokenizer.eos_token, str):
        raise UserError(
            "The model has neither a chat template nor an end-of-text token, so that it cannot "
            "learn to stop. Choose another base model."
        )
    return tokenizer.eos_token
