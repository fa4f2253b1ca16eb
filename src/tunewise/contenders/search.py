"""Chooses among ways to ask by successive halving on dev, within a budget of tokens.

Every candidate answers a quarter of dev, the better half goes on to half of dev, the best of those
to all of it (Jamieson & Talwalkar 2016, arXiv:1502.07943).
"""

import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from tunewise.contenders.answering import FittedPrompt, PromptStrategy, spent, texts
from tunewise.metrics.by_name import Metric, quality
from tunewise.models.engines.protocol import Engine
from tunewise.progress import Progress
from tunewise.types import Answer, Example, Fit, JsonValue

T = TypeVar("T")

SHARES = (0.25, 0.5, 1.0)
"""Part of dev that each round answers."""
MIN_COUNT = 12
"""Dev examples of the first round at least, as far as there are so many."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate(Generic[T]):
    """One setting that takes part."""

    value: T
    settings: Mapping[str, JsonValue]
    """What it is, for a reader."""


@dataclass(frozen=True, kw_only=True)
class Choice(Generic[T]):
    """The winner of a search."""

    candidate: Candidate[T]
    dev_answers: tuple[str | None, ...]
    """Of the winner, to every dev example in dev order; None where it crashed."""
    tokens: Mapping[str, int]
    """Spent by all candidates together."""
    trials: tuple[Mapping[str, JsonValue], ...]
    """Every candidate with its dev quality and the number of dev examples it saw."""
    exhausted: bool
    """Whether the budget ended the search early."""


class Searcher(Protocol):
    """A contender that asks a model, and searches how to."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def engine(self) -> Engine:
        """The model that it asks."""
        ...

    @property
    def metric(self) -> Metric:
        """What it is judged by."""
        ...

    @property
    def budget_tokens(self) -> int:
        """Tokens that its search may take, prefilled and generated."""
        ...

    @property
    def progress(self) -> Progress:
        """Informed of what it does."""
        ...


@dataclass
class _Trial(Generic[T]):
    candidate: Candidate[T]
    answers: dict[str, Answer] = field(default_factory=dict[str, Answer])
    quality: float = 0.0


def choose(
    candidates: Sequence[Candidate[T]],
    ask: Callable[[T, Sequence[Example]], list[Answer]],
    dev: Sequence[Example],
    *,
    metric: Metric,
    budget_tokens: int,
    advance: Callable[[int], None] = lambda units: None,
) -> Choice[T]:
    """The candidate with the best dev quality; the earlier one on ties.

    Args:
        candidates: in order of preference (simplest first), at least one.
        ask: (value, examples) -> one answer each.
        dev: at least one example.
        metric: what to maximise.
        budget_tokens: prompt and completion tokens; when they are used up, the round at hand is
            the last but for the winner's own answers to the rest of dev.
        advance: informed of each answer asked for.
    """
    order = sorted(dev, key=lambda e: hashlib.sha256(e.id.encode()).digest())
    trials = [_Trial(candidate=candidate) for candidate in candidates]
    left = trials
    exhausted = False
    for share in SHARES:
        seen = order[: max(math.ceil(share * len(order)), min(MIN_COUNT, len(order)))]
        for trial in left:
            _extend(trial, seen, ask, metric, advance)
        last = share == SHARES[-1]
        exhausted = exhausted or (not last and _total(trials) >= budget_tokens)
        left = _best(left, 1 if exhausted or last else math.ceil(len(left) / 2))
    (winner,) = left
    _extend(winner, order, ask, metric, advance)
    return Choice(
        candidate=winner.candidate,
        dev_answers=texts([winner.answers[example.id] for example in dev]),
        tokens=spent([answer for trial in trials for answer in trial.answers.values()]),
        trials=tuple(
            {
                **trial.candidate.settings,
                "dev": round(trial.quality, 4),
                "dev_examples": len(trial.answers),
            }
            for trial in trials
        ),
        exhausted=exhausted,
    )


def rounds(candidates: int, dev: int) -> int:
    """Answers that `choose` will ask for: what its progress counts to."""
    total, left, seen = 0, candidates, 0
    for share in SHARES:
        size = max(math.ceil(share * dev), min(MIN_COUNT, dev))
        total += left * (size - seen)
        left, seen = max(1, math.ceil(left / 2)), size
    return total


def _best(trials: Sequence[_Trial[T]], count: int) -> list[_Trial[T]]:
    """The best `count`, the earlier ones on ties, in their former order."""
    places = sorted(range(len(trials)), key=lambda n: -trials[n].quality)[:count]
    return [trials[n] for n in sorted(places)]


def _extend(
    trial: _Trial[T],
    examples: Sequence[Example],
    ask: Callable[[T, Sequence[Example]], list[Answer]],
    metric: Metric,
    advance: Callable[[int], None],
) -> None:
    new = [example for example in examples if example.id not in trial.answers]
    if not new:
        return
    for answer in ask(trial.candidate.value, new):
        trial.answers[answer.example_id] = answer
    given = texts([trial.answers[example.id] for example in examples])
    trial.quality = quality(metric, given, [example.target for example in examples])
    advance(len(new))


def _total(trials: Sequence[_Trial[T]]) -> int:
    return sum(answer.usage.total for trial in trials for answer in trial.answers.values())


def search_and_fit(
    contender: Searcher,
    candidates: Sequence[Candidate[T]],
    strategy: Callable[[T], PromptStrategy],
    dev: Sequence[Example],
    *,
    what: str,
    settings: Callable[[Candidate[T]], Mapping[str, JsonValue]],
    began: float,
) -> FittedPrompt:
    """The contender with its best candidate.

    Args:
        contender: who searches.
        candidates: in order of preference, at least one.
        strategy: how a candidate asks.
        dev: at least one example.
        what: what the candidates are, for the progress: `wordings`.
        settings: the winner's settings as the report shows them.
        began: when the contender's fit began, on the clock of `time.perf_counter`, seconds.
    """
    total = rounds(len(candidates), len(dev))
    label = f"{contender.name}: {len(candidates)} {what}"
    with contender.progress.task(label, total=total) as advance:
        choice = choose(
            candidates,
            lambda value, some: strategy(value).ask(
                contender.engine, contender.name, [example.input for example in some], seed=0
            ),
            dev,
            metric=contender.metric,
            budget_tokens=contender.budget_tokens,
            advance=advance,
        )
    chosen = dict(settings(choice.candidate))
    if choice.exhausted:
        chosen["stopped"] = "by the budget"
    return FittedPrompt(
        engine=contender.engine,
        strategy=strategy(choice.candidate.value),
        fit=Fit(
            contender=contender.name,
            settings=chosen,
            seconds=time.perf_counter() - began,
            tokens=choice.tokens,
            dev_answers={0: choice.dev_answers},
            trials=choice.trials,
        ),
    )
