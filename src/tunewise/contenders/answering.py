"""Turns prompts into requests, generations into answers, and adds up what answers took.

What every contender with a language model shares.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tunewise.chat.prompts import Prompt
from tunewise.chat.tools import canonical_answer
from tunewise.models.engines.protocol import Engine, Request, Sampling
from tunewise.text.answer_text import split_thoughts, target_proper
from tunewise.types import Answer, Example, Failure, Fit, Generation, Input, Tool, Usage

ANSWER_CEILING = 512
"""Tokens of an answer at most, whatever train holds."""

AT_ONCE = 64
"""Requests that the engine gets at a time, so that progress can be told."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptStrategy:
    """One way to ask: a prompt for each input, an adapter, and how to read what comes back."""

    prompts: Callable[[Sequence[Input]], list[Prompt]]
    max_tokens: int
    """Tokens generated at most."""
    adapters: Mapping[int, Path | None] = field(default_factory=lambda: {0: None})
    """seed -> adapter folder; None: the base model."""
    read: Callable[[str], str] = str.strip
    """The model's text -> the answer."""
    of_train: Callable[[Sequence[Input]], list[Prompt]] | None = None
    """A prompt for each row of train, none of which shows the row itself; None: as `prompts`."""
    temperature: float = 0.0
    """0: the most likely answer, which is what contenders are judged by."""
    draw: int = 0
    """Seed of the sampler, where the temperature is above 0."""

    def ask(
        self,
        engine: Engine,
        contender: str,
        inputs: Sequence[Input],
        *,
        seed: int,
        advance: Callable[[int], object] = int,
    ) -> list[Answer]:
        """One answer per input, in order; `advance` is told of every few that are done."""
        answers: list[Answer] = []
        for start in range(0, len(inputs), AT_ONCE):
            some = inputs[start : start + AT_ONCE]
            (given,) = ask_together(engine, contender, [(self, some)], seed=seed)
            answers += given
            advance(len(some))
        return answers

    def request(self, prompt: Prompt, seed: int) -> Request:
        """A prompt as the engine takes it."""
        return Request(
            messages=prompt.messages,
            tools=prompt.tools,
            adapter=self.adapters[seed],
            sampling=Sampling(
                max_tokens=self.max_tokens, temperature=self.temperature, seed=self.draw
            ),
        )

    def answer(
        self, contender: str, seed: int, item: Input, prompt: Prompt, result: Generation | Failure
    ) -> Answer:
        """What the engine gave, as it is kept."""
        failed = isinstance(result, Failure)
        return Answer(
            example_id=item.id,
            contender=contender,
            seed=seed,
            text=None if failed else self.said(result.text, prompt.tools),
            error=result.message if failed else None,
            usage=Usage() if failed else result.usage,
            seconds=result.seconds,
            seconds_to_first_token=None if failed else result.seconds_to_first_token,
            passages=prompt.passages,
        )

    def said(self, text: str, tools: Sequence[Tool]) -> str:
        """The model's text as an answer is kept: its thoughts stay, but for those before a call."""
        answer = split_thoughts(text).answer
        if answer is None:
            return text.strip()
        called = canonical_answer(answer, tools)
        return self.read(text if called == answer else called)


def ask_together(
    engine: Engine,
    contender: str,
    asked: Sequence[tuple[PromptStrategy, Sequence[Input]]],
    *,
    seed: int = 0,
) -> list[list[Answer]]:
    """Asks in several ways at once: one batch for the engine.

    Args:
        engine: asked.
        contender: whose answers they are.
        asked: ways, each with its inputs.
        seed: which replica.

    Returns:
        One answer to each input of each way.
    """
    prompts = [way.prompts(inputs) for way, inputs in asked]
    requests = [
        way.request(prompt, seed)
        for (way, _), some in zip(asked, prompts, strict=True)
        for prompt in some
    ]
    results = iter(engine.generate(requests))
    return [
        [
            way.answer(contender, seed, item, prompt, next(results))
            for item, prompt in zip(inputs, some, strict=True)
        ]
        for (way, inputs), some in zip(asked, prompts, strict=True)
    ]


@dataclass(frozen=True, kw_only=True)
class FittedPrompt:
    """A fitted contender that asks a language model."""

    engine: Engine
    strategy: PromptStrategy
    fit: Fit

    @property
    def seeds(self) -> tuple[int, ...]:
        """See `Fitted.seeds`."""
        return tuple(self.strategy.adapters)

    def answer(self, inputs: Sequence[Input], *, seed: int) -> list[Answer]:
        """See `Fitted.answer`."""
        return self.strategy.ask(self.engine, self.fit.contender, inputs, seed=seed)

    def sampling(self, temperature: float, draw: int) -> "FittedPrompt":
        """The same contender with answers drawn at a temperature; `draw` seeds the sampler."""
        strategy = replace(self.strategy, temperature=temperature, draw=draw)
        return replace(self, strategy=strategy)


def answer_limit(engine: Engine, train: Sequence[Example]) -> int:
    """Tokens an answer may have: a quarter more than the longest target of train, and 8.

    A model that thinks may spend `Engine.thinking_tokens` more before it, but no more than a
    quarter of the context.
    """
    thoughts = min(engine.thinking_tokens, engine.context_tokens // 4)
    targets = [target_proper(one.target) if thoughts else one.target for one in train]
    longest = max((engine.count_answer_tokens(target) for target in targets), default=64)
    return min(ANSWER_CEILING, math.ceil(1.25 * longest) + 8) + thoughts


def texts(answers: Sequence[Answer]) -> tuple[str | None, ...]:
    """What was answered, as `Fit.dev_answers` keeps it; None where the answer crashed."""
    return tuple(answer.text for answer in answers)


def spent(answers: Sequence[Answer]) -> dict[str, int]:
    """Tokens that asking took, as `Fit.tokens` counts them: those from a prefix cache are not."""
    usage = sum((answer.usage for answer in answers), Usage())
    return {
        "prefilled": usage.prompt_tokens - usage.cached_tokens,
        "generated": usage.completion_tokens,
        "trained": 0,
    }
