"""Turns a request into the answers that a lane generates, after everything that can be checked."""

import json
from dataclasses import dataclass, field
from typing import cast

from tunewise.chat.template import speaks_tools
from tunewise.chat.tokenize import MAX_OPENING, prompt_tokens, said_after
from tunewise.errors import UserError, first_line
from tunewise.models.engines.prefixes import BLOCK
from tunewise.serving.engine.answers import Writer
from tunewise.serving.engine.backend import Base
from tunewise.serving.engine.lane import News, Slot
from tunewise.serving.engine.wire import Ask
from tunewise.serving.protocol import Piece, RefusedError
from tunewise.text.answer_text import opened_thought
from tunewise.types import Tool, Usage


@dataclass(kw_only=True, eq=False, slots=True)
class Running:
    """A request whose answers are generated."""

    ask: Ask
    base: Base
    slots: list[Slot]
    copies: int
    """Answers that every slot stands for: greedy ones are all the same."""
    unfinished: list[Slot] = field(default_factory=list[Slot])

    def pieces(self, news: News) -> list[Piece]:
        """What a step gave, for those who asked."""
        slot, shown = news.slot, news.shown
        finished = slot.writer.finished
        if finished and slot in self.unfinished:
            self.unfinished.remove(slot)
        elif not shown.text and not shown.logprobs:
            return []
        first = self.slots.index(slot) * self.copies
        last = first + self.copies - 1
        return [
            Piece(
                index=index,
                text=shown.text,
                logprobs=shown.logprobs,
                finish_reason=finished,
                usage=self._usage() if not self.unfinished and index == last else None,
            )
            for index in range(first, last + 1)
        ]

    def _usage(self) -> Usage:
        thoughts = [
            said_after(self.base.tokenizer, slot.prompt, slot.writer.ids).thinking_tokens
            for slot in self.slots
        ]
        return Usage(
            prompt_tokens=len(self.slots[0].prompt),
            cached_tokens=self.slots[0].cached or 0,
            completion_tokens=self.copies
            * sum(len(slot.writer.ids) + slot.unseen for slot in self.slots),
            thinking_tokens=self.copies * sum(thoughts),
        )


def accept(ask: Ask, base: Base, blocks: int) -> Running:
    """The answers to generate.

    Args:
        ask: what the server sent, after `check_request`.
        base: of the weights it asks.
        blocks: of the cache.

    Raises:
        RefusedError: the template refuses the conversation, or it does not fit.
    """
    prompt = _prompt(ask, base)
    window = min(base.model.context_tokens, blocks * BLOCK)
    room = window - len(prompt)
    if room < 1:
        raise RefusedError(
            f"The prompt of {len(prompt)} tokens leaves no room for an answer: {ask.weights.base} "
            f"takes {window}. Shorten the messages.",
            param="messages",
            code="context_length_exceeded",
        )
    limit = room if ask.choice.max_tokens is None else ask.choice.max_tokens
    if limit > room:
        raise RefusedError(
            f"The prompt of {len(prompt)} tokens and up to {limit} of the answer do not fit the "
            f"{window} that {ask.weights.base} takes. Set max_tokens to {room} at most, or shorten "
            "the messages.",
            param="max_tokens",
            code="context_length_exceeded",
        )
    same = ask.choice.temperature == 0
    slots = [
        _slot(ask, base, prompt, limit, ask.choice.seed + place)
        for place in range(1 if same else ask.choice.n)
    ]
    for follower in slots[1:]:
        follower.leader = slots[0]
    return Running(
        ask=ask,
        base=base,
        slots=slots,
        copies=ask.choice.n if same else 1,
        unfinished=list(slots),
    )


def _prompt(ask: Ask, base: Base) -> tuple[int, ...]:
    tools = cast("list[Tool]", json.loads(ask.tools))
    try:
        # What was trained here without tools in its template learnt them as text.
        learnt = ask.weights.adapter is not None
        spoken = learnt or not tools or speaks_tools(base.tokenizer, ask.messages, tools)
        prompt = prompt_tokens(base.tokenizer, ask.messages, tools) if spoken else None
    except UserError as error:
        raise RefusedError(str(error), param="messages") from error
    except Exception as error:  # of this request alone: templates may fail in any way
        raise RefusedError(
            f"The messages cannot be written for {ask.weights.base}: {first_line(error)}",
            param="messages",
        ) from error
    if prompt is None:
        raise RefusedError(
            f"The chat template of {ask.weights.base} knows no tools. Leave tools out, or choose "
            "another model.",
            param="tools",
        )
    return prompt


def _slot(ask: Ask, base: Base, prompt: tuple[int, ...], limit: int, seed: int) -> Slot:
    writer = Writer(
        base.tokenizer,
        ends=base.ends,
        stops=ask.choice.stop,
        limit=limit,
        opened=opened_thought(str(base.tokenizer.decode(list(prompt[-MAX_OPENING:])))),
        logprobs=ask.choice.logprobs,
    )
    return Slot(prompt=prompt, choice=ask.choice, seed=seed, limit=limit, writer=writer)
