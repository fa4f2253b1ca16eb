"""Turns a conversation into the tokens a model sees, with an exact loss mask.

The same tokens serve engines and training, so that a model is asked in exactly the words it was
trained on. It knows nothing of engines or training, and of templates only what `rendering` says.

In the plain form, for models without a template, an answer begins with one space; the last ends
with the end-of-text token, earlier ones with no token of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import NamedTuple

from tunewise.data.rendering import ChatTokenizer, render, render_prompt, speaks_tools, template_of
from tunewise.data.tools import as_plain, read_answer
from tunewise.errors import UserError
from tunewise.types import Message, Tool

__all__ = [
    "ChatTokenizer",
    "Span",
    "TokenisedExample",
    "answer_tokens",
    "prompt_tokens",
    "render_prompt",
]


class Span(NamedTuple):
    """Tokens of an answer, its end of turn included: `token_ids[start:stop]`."""

    start: int
    stop: int


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenisedExample:
    """A conversation as one sequence, and the answers in it that carry loss."""

    token_ids: tuple[int, ...]
    answers: tuple[Span, ...]
    """In order, without overlap; the last one ends the sequence."""

    @property
    def loss_tokens(self) -> int:
        """Tokens that carry loss."""
        return sum(span.stop - span.start for span in self.answers)


def prompt_tokens(
    tokenizer: ChatTokenizer, messages: Sequence[Message], tools: Sequence[Tool] = ()
) -> tuple[int, ...]:
    """Token ids of a conversation up to its answer: what an engine is asked with.

    Raises:
        UserError: when the model's template refuses the conversation.
    """
    return tuple(
        tokenizer.encode(render_prompt(tokenizer, messages, tools), add_special_tokens=False)
    )


def answer_tokens(
    tokenizer: ChatTokenizer,
    messages: Sequence[Message],
    target: str,
    tools: Sequence[Tool] = (),
) -> TokenisedExample:
    """Tokenises a training example; its prompt's tokens are those of `prompt_tokens`.

    (Unless a token would reach from the prompt into an earlier answer that carries loss: the two
    are then tokenised apart, as the last answer is from its prompt.)

    Loss is on the target and on every turn of `messages` whose weight is 1, each with the model's
    end-of-turn token: without it a model never learns to stop. What a template writes after the
    last such token is left out.

    Raises:
        UserError: when the template refuses the conversation, writes the prompt or an answer
            differently once turns follow, changes an answer, or ends a turn with no token of its
            own.
    """
    if not speaks_tools(tokenizer, messages, tools):
        messages, tools = as_plain(messages, tools), ()
    answer = read_answer(target, tools)
    last = Message(role="assistant", content=answer.content, weight=1, tool_calls=answer.calls)
    turns = [*messages, last]
    whole = render(tokenizer, turns, tools)
    pieces: list[str] = []  # without loss and with loss, in turn
    done = 0
    for place, turn in enumerate(turns):
        if turn.weight == 1:
            before = render_prompt(tokenizer, turns[:place], tools)
            if not whole.startswith(before):
                raise _prompt_differs() if turn is last else _earlier_differs()
            learnt = _learnt(tokenizer, whole[len(before) :], turn, is_last=turn is last)
            pieces += [before[done:], learnt]
            done = len(before) + len(learnt)
    return _tokenised(tokenizer, pieces)


def _learnt(tokenizer: ChatTokenizer, rest: str, turn: Message, *, is_last: bool) -> str:
    """A turn as it stands at the beginning of `rest`, up to and with its end-of-turn token."""
    if not template_of(tokenizer):
        return f" {turn.content}{_end_of_text(tokenizer) if is_last else ''}"
    if turn.tool_calls:
        end = _usual_end(tokenizer)
        if end not in rest:
            raise _no_end()
        return rest[: rest.index(end) + len(end)]
    # Some templates trim what they are given.
    forms = (turn.content, turn.content.strip())
    written = next((form for form in forms if rest.startswith(form)), None)
    if written is None:
        raise _answer_differs() if is_last else _earlier_differs()
    return written + _up_to_added_token(tokenizer, rest[len(written) :])


def _usual_end(tokenizer: ChatTokenizer) -> str:
    """The token that ends a turn of plain text."""
    hello = [Message(role="user", content="Hello."), Message(role="assistant", content="Yes.")]
    after = render(tokenizer, hello).rpartition("Yes.")[2]
    return _up_to_added_token(tokenizer, after).strip()


def _up_to_added_token(tokenizer: ChatTokenizer, text: str) -> str:
    # Some tokenizers add runs of white space as tokens; those end no turn.
    tokens = [token for token in tokenizer.get_added_vocab() if token.strip() and token in text]
    if not tokens:
        raise _no_end()
    return text[: min(text.index(token) + len(token) for token in tokens)]


def _tokenised(tokenizer: ChatTokenizer, pieces: Sequence[str]) -> TokenisedExample:
    """Encodes all pieces as one text, but for borders that a token would reach across.

    A model asked with the prompt's tokens has to go on from there, so it is trained to: there,
    prompt and answer are tokenised apart.
    """
    text = "".join(pieces)
    borders = list(accumulate(map(len, pieces)))[:-1]
    joint = _encoded(tokenizer, text)
    cuts = [place for place in borders if not _starts_with(tokenizer, joint, text[:place])]
    ids: list[int] = []
    marks: list[int] = []
    for start, stop in pairwise([0, *cuts, len(text)]):
        marks += [
            len(ids) + len(_encoded(tokenizer, text[start:place]))
            for place in borders
            if start <= place < stop
        ]
        ids += _encoded(tokenizer, text[start:stop])
    if cuts and tokenizer.decode(ids) != tokenizer.decode(joint):
        raise UserError(
            "The model's tokenizer writes an answer differently when the prompt stands before it, "
            "so that the loss cannot be kept to the answer. Choose another base model."
        )
    ends = [*marks[1::2], len(ids)]
    spans = tuple(Span(start, stop) for start, stop in zip(marks[::2], ends, strict=True))
    return TokenisedExample(token_ids=tuple(ids), answers=spans)


def _encoded(tokenizer: ChatTokenizer, text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False)


def _starts_with(tokenizer: ChatTokenizer, ids: Sequence[int], text: str) -> bool:
    begun = _encoded(tokenizer, text)
    return list(ids[: len(begun)]) == begun


def _end_of_text(tokenizer: ChatTokenizer) -> str:
    if not isinstance(tokenizer.eos_token, str):
        raise UserError(
            "The model has neither a chat template nor an end-of-text token, so that it cannot "
            "learn to stop. Choose another base model."
        )
    return tokenizer.eos_token


def _prompt_differs() -> UserError:
    return UserError(
        "The model's chat template writes the prompt differently once an answer follows, so that "
        "the loss cannot be kept to the answer. Choose another base model."
    )


def _earlier_differs() -> UserError:
    return UserError(
        "The model's chat template writes an earlier answer differently once more turns follow, "
        "so that the loss cannot be kept to it. Give such turns weight 0, or choose another base "
        "model."
    )


def _answer_differs() -> UserError:
    return UserError(
        "The model's chat template changes the answer it is given, so that the loss cannot be "
        "kept to the answer. Choose another base model."
    )


def _no_end() -> UserError:
    return UserError(
        "The model's chat template ends a turn with no token of its own, so that a model trained "
        "on it never stops. Choose another base model."
    )
