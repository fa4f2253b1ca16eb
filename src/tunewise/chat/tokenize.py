"""Turns a conversation into the tokens a model sees, with an exact loss mask.

The same tokens serve engines and training, so that a model is asked in exactly the words it was
trained on.

In the plain form, for models without a template, an answer begins with one space; the last ends
with the end-of-text token, earlier ones with no token of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import NamedTuple

from tunewise.chat.template import ChatTokenizer, render, render_prompt, speaks_tools, template_of
from tunewise.chat.tools import as_plain, read_answer
from tunewise.errors import UserError
from tunewise.text.answer_text import (
    is_empty_thought,
    opened_thought,
    split_thoughts,
    usual_form,
)
from tunewise.types import Message, Tool

MAX_OPENING = 24
"""Tokens that a tag which opens thoughts has at most, where it is no token of its own."""

__all__ = [
    "ChatTokenizer",
    "Span",
    "TokenisedExample",
    "answer_tokens",
    "prompt_tokens",
    "render_prompt",
    "said_after",
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


class Said(NamedTuple):
    """What a model generated, as text."""

    text: str
    """With the tag before it that opens its thoughts, where the prompt ended with that."""
    thinking_tokens: int


def said_after(tokenizer: ChatTokenizer, prompt: Sequence[int], generated: Sequence[int]) -> Said:
    """The text of generated tokens, and how many of them were thoughts."""
    opened = opened_thought(str(tokenizer.decode(list(prompt[-MAX_OPENING:]))))
    text = opened + str(tokenizer.decode(list(generated)))
    thoughts = split_thoughts(text).thoughts
    counted = len(_encoded(tokenizer, thoughts)) if thoughts else 0
    return Said(text, min(counted, len(generated)))


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
    end-of-turn token: without it a model never learns to stop. White space that a template itself
    writes before an answer is no part of the prompt, and is learnt with it. What a template writes
    after the last end-of-turn token is left out.

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
    if not template_of(tokenizer):
        whole += _end_of_text(tokenizer)
    pieces: list[str] = []  # without loss and with loss, in turn
    done = 0
    for place, turn in enumerate(turns):
        if turn.weight == 1:
            before = render_prompt(tokenizer, turns[:place], tools)
            forms = _forms(tokenizer, before, turns[: place + 1], tools, is_last=turn is last)
            learnt = next((form for form in forms if whole.startswith(before + form)), None)
            if learnt is None or len(before) < done:
                alone = turn is last and learnt is None
                raise _answer_differs() if alone else _earlier_differs()
            pieces += [before[done:], learnt]
            done = len(before) + len(learnt)
    return _tokenised(tokenizer, pieces)


def _forms(
    tokenizer: ChatTokenizer,
    before: str,
    turns: Sequence[Message],
    tools: Sequence[Tool],
    *,
    is_last: bool,
) -> list[str]:
    """How the last of `turns` may stand after `before`, up to and with its end-of-turn token."""
    turn = turns[-1]
    if not template_of(tokenizer):
        return [f" {turn.content}{_end_of_text(tokenizer) if is_last else ''}"]
    frame = _frame(tokenizer, before, turns[:-1], tools)
    if turn.tool_calls:
        rest = render(tokenizer, turns, tools).removeprefix(before)
        return _forms_of_calls(rest, turn, frame.end.strip())
    # Some templates trim what they are given.
    said = (turn.content, turn.content.strip(), turn.content.lstrip(), turn.content.rstrip())
    forms = [f"{frame.lead}{form}{frame.end}" for form in said]
    if thought := usual_form(turn.content):  # Stands where the template would write an empty one.
        opened = opened_thought(before)
        forms += [f"{form.removeprefix(opened)}{frame.end}" for form in (*said, thought)]
    return forms


class _Frame(NamedTuple):
    """What a template writes around an answer."""

    lead: str
    """White space (or an empty thought) before it that the prompt does not hold."""
    end: str
    """All after it, up to and with the end-of-turn token."""


def _frame(
    tokenizer: ChatTokenizer, before: str, turns: Sequence[Message], tools: Sequence[Tool]
) -> _Frame:
    """Found with an answer of which the template writes no part itself, and none after it.

    An added token that comes later may be anything: the opening of the next turn, or a word.
    """
    answered = render(tokenizer, [*turns, Message(role="assistant", content="Yes.")], tools)
    lead, answer, after = answered.removeprefix(before).partition("Yes.")
    if not answer:
        raise _answer_differs()
    # Or `before` is no beginning of it. An empty thought is learnt with an answer that has none.
    if lead.strip() and not is_empty_thought(opened_thought(before) + lead):
        raise _prompt_differs()
    return _Frame(lead, _up_to_added_token(tokenizer, after))


def _forms_of_calls(rest: str, turn: Message, end: str) -> list[str]:
    """A turn with calls up to its end, if all is there. What it says may look like an end, too."""
    written, found, _ = rest.rpartition(end)
    if not found:
        raise _no_end()
    said = [turn.content.strip(), *(call.name for call in turn.tool_calls)]
    ends = sum(text.count(end) for text in [*said, *(call.arguments for call in turn.tool_calls)])
    whole = written.count(end) == ends and all(written.count(t) >= said.count(t) for t in said)
    return [written + end] if whole else []


def _up_to_added_token(tokenizer: ChatTokenizer, text: str) -> str:
    # Some tokenizers add runs of white space as tokens; those end no turn.
    tokens = [token for token in tokenizer.get_added_vocab() if token.strip() and token in text]
    if not tokens:
        raise _no_end()
    # Where one token is part of another, a tokenizer takes the longer.
    token = min(tokens, key=lambda token: (text.index(token), -len(token)))
    return text[: text.index(token) + len(token)]


def _tokenised(tokenizer: ChatTokenizer, pieces: Sequence[str]) -> TokenisedExample:
    """Encodes all pieces as one text, but for borders that a token would reach across.

    A model asked with the prompt's tokens has to go on from there, so it is trained to: there,
    prompt and answer are tokenised apart.
    """
    text = "".join(pieces)
    borders = list(accumulate(map(len, pieces)))[:-1]
    joint = coded = _coded(tokenizer, text, borders, [])
    cuts: list[int] = []
    while coded.crossed:  # A cut changes the tokens behind it, which may cross the next border.
        cuts = sorted({*cuts, *coded.crossed})
        coded = _coded(tokenizer, text, borders, cuts)
    if cuts and tokenizer.decode(coded.ids) != tokenizer.decode(joint.ids):
        raise UserError(
            "The model's tokenizer writes an answer differently when the prompt stands before it, "
            "so that the loss cannot be kept to the answer. Choose another base model."
        )
    ends = [*coded.marks[1::2], len(coded.ids)]
    spans = tuple(Span(start, stop) for start, stop in zip(coded.marks[::2], ends, strict=True))
    return TokenisedExample(token_ids=tuple(coded.ids), answers=spans)


class _Coded(NamedTuple):
    """A text as tokens."""

    ids: list[int]
    marks: list[int]
    """Tokens before each border."""
    crossed: list[int]
    """Borders, in characters, up to which the text has other tokens than it would have alone."""


def _coded(
    tokenizer: ChatTokenizer, text: str, borders: Sequence[int], cuts: Sequence[int]
) -> _Coded:
    """Tokens of the parts of a text between the cuts. All places are in characters."""
    coded = _Coded([], [], [])
    for start, stop in pairwise([0, *cuts, len(text)]):
        part = _encoded(tokenizer, text[start:stop])
        for border in borders:
            if start <= border < stop:
                begun = _encoded(tokenizer, text[start:border]) if border > start else []
                coded.marks.append(len(coded.ids) + len(begun))
                if part[: len(begun)] != begun:
                    coded.crossed.append(border)
        coded.ids.extend(part)
    return coded


def _encoded(tokenizer: ChatTokenizer, text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False)


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
