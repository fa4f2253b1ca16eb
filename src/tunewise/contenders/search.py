"""Chooses among ways to ask, on dev, within a budget of tokens.

Settings answer dev block by block, all together. One that is surely further behind the best of all
contenders than a gain that is worth a training is out (`race`); of the others the better half goes
on to twice as many rows (successive halving, Jamieson & Talwalkar 2016, arXiv:1502.07943).
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from tunewise.contenders.answering import FittedPrompt, PromptStrategy, ask_together, spent
from tunewise.contenders.race import FIRST, Race, Runner
from tunewise.models.engines.protocol import Engine
from tunewise.progress import Progress
from tunewise.types import Answer, Example, Fit, JsonValue, Stopped

T = TypeVar("T")

Ask = Callable[[Sequence[T], Sequence[Sequence[Example]]], list[list[Answer]]]
"""(values, the examples that each is asked) -> one answer to each example of each value."""


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
    """Of the winner, to every dev example in dev order; None where it crashed. Empty where even
    the winner was stopped."""
    tokens: Mapping[str, int]
    """Spent by all candidates together."""
    trials: tuple[Mapping[str, JsonValue], ...]
    """Every candidate with its dev quality and the number of dev examples it saw."""
    exhausted: bool
    """Whether the budget ended the search early."""
    stopped: Stopped | None
    """Set where every candidate is surely too far behind."""


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
    def budget_tokens(self) -> int:
        """Tokens that its search may take, prefilled and generated."""
        ...

    @property
    def progress(self) -> Progress:
        """Informed of what it does."""
        ...


@dataclass(eq=False)
class Trial(Generic[T]):
    """A candidate under way."""

    candidate: Candidate[T]
    runner: Runner
    out: bool = False
    """Whether it is surely too far behind."""


@dataclass(kw_only=True)
class Search(Generic[T]):
    """One contender's candidates in the race."""

    name: str
    """The contender's."""
    race: Race
    ask: Ask[T]
    budget_tokens: int
    """Prompt and completion tokens; when they are used up, only the best so far goes on."""
    advance: Callable[[int], None] = lambda units: None
    """Informed of each answer asked for."""
    trials: list[Trial[T]] = field(default_factory=list[Trial[T]])
    early: bool = False
    """Whether the budget ended the search before its time."""

    def enter(self, candidates: Sequence[Candidate[T]]) -> list[Trial[T]]:
        """Lets candidates take part."""
        new = [Trial(candidate, self.race.enter(self.name)) for candidate in candidates]
        self.trials += new
        return new

    def run(self, trials: Sequence[Trial[T]], upto: int) -> list[Trial[T]]:
        """Those of the trials that are still in after so many rows, in their order."""
        left = [trial for trial in trials if not trial.out]
        for end in self.race.ends(upto):
            moving = [trial for trial in left if len(trial.runner.answers) < end]
            self._ask(moving, end)
            for trial in moving:
                trial.out = self.race.surely_behind(trial.runner)
            left = [trial for trial in left if not trial.out]
        return left

    def halve(self, candidates: Sequence[Candidate[T]]) -> list[Trial[T]]:
        """The best candidate after all rows, or none where all are out.

        Where none of several candidates gives a single right answer to the first rows, the first
        of them alone goes on.
        """
        left = self.enter(candidates)
        if len(left) > 1:
            left = self.run(left, FIRST)
            if left and not any(score for trial in left for score in trial.runner.scores):
                left = left[:1]
        everything = len(self.race.order)
        for size, keep in schedule(len(left), everything):
            left = self.run(left, size)
            self.early = self.early or (self.exhausted and len(left) > 1 and size < everything)
            left = self.best(left, 1 if self.early else keep)
        return left

    def best(self, trials: Sequence[Trial[T]], count: int) -> list[Trial[T]]:
        """The best `count` of trials with as many rows, the earlier ones on ties, in order."""
        quality = [self.race.quality(trial.runner) for trial in trials]
        places = sorted(range(len(trials)), key=lambda n: -quality[n])[:count]
        return [trials[n] for n in sorted(places)]

    @property
    def exhausted(self) -> bool:
        """Whether the budget is used up."""
        asked = (answer for trial in self.trials for answer in trial.runner.answers)
        return sum(answer.usage.total for answer in asked) >= self.budget_tokens

    def chosen(self, left: Sequence[Trial[T]]) -> Choice[T]:
        """What the search found.

        Args:
            left: the winner, which answered every row; nothing where all candidates are out.
        """
        race = self.race
        winner = left[0] if left else self._last()
        stopped = None if left else race.stopped(winner.runner)
        if stopped and race.to_the_end:
            self._ask([winner], len(race.order))
            stopped = None
        if not stopped:
            race.chosen[self.name] = winner.runner
        return Choice(
            candidate=winner.candidate,
            dev_answers=() if stopped else race.dev_answers(winner.runner),
            tokens=spent([answer for trial in self.trials for answer in trial.runner.answers]),
            trials=tuple(self._told(trial) for trial in self.trials),
            exhausted=self.early,
            stopped=stopped,
        )

    def _last(self) -> Trial[T]:
        """Of those that are out, the best of those that got furthest."""
        furthest = max(len(trial.runner.answers) for trial in self.trials)
        last = [trial for trial in self.trials if len(trial.runner.answers) == furthest]
        return self.best(last, 1)[0]

    def _ask(self, trials: Sequence[Trial[T]], end: int) -> None:
        """Has each of the trials answered so many rows."""
        if not trials:
            return
        new = [self.race.order[len(trial.runner.answers) : end] for trial in trials]
        given = self.ask([trial.candidate.value for trial in trials], new)
        for trial, answers in zip(trials, given, strict=True):
            self.race.record(trial.runner, answers)
            self.advance(len(answers))

    def _told(self, trial: Trial[T]) -> Mapping[str, JsonValue]:
        seen = len(trial.runner.answers)
        return {
            **trial.candidate.settings,
            "dev": round(self.race.quality(trial.runner), 4),
            "dev_examples": seen,
            **({"out_after": seen} if trial.out else {}),
        }


def schedule(candidates: int, rows: int) -> list[tuple[int, int]]:
    """Successive halving: (rows answered by the end of a round, candidates that go on)."""
    rounds = max(1, math.ceil(math.log2(max(1, candidates))))
    found: list[tuple[int, int]] = []
    left = candidates
    for number in range(rounds - 1, -1, -1):
        left = max(1, math.ceil(left / 2))
        found.append((max(math.ceil(rows / 2**number), min(FIRST, rows)), left))
    return found


def most_answers(candidates: int, rows: int) -> int:
    """Answers that halving asks for where none is out: what its progress counts to."""
    total, left, seen = 0, candidates, 0
    for size, keep in schedule(candidates, rows):
        total += left * (size - seen)
        left, seen = keep, size
    return total


def search_and_fit(
    contender: Searcher,
    candidates: Sequence[Candidate[T]],
    strategy: Callable[[T], PromptStrategy],
    race: Race,
    *,
    what: str,
    settings: Callable[[Candidate[T]], Mapping[str, JsonValue]],
    began: float,
    walk: Callable[[Search[T]], list[Trial[T]]] | None = None,
    most: int | None = None,
) -> FittedPrompt:
    """The contender with its best candidate.

    Args:
        contender: who searches.
        candidates: in order of preference, at least one.
        strategy: how a candidate asks.
        race: where candidates run.
        what: what the candidates are, for the progress: `wordings`.
        settings: the winner's settings as the report shows them.
        began: when the contender's fit began, on the clock of `time.perf_counter`, seconds.
        walk: goes through the candidates in a way of its own; None: halving.
        most: answers that `walk` asks for at most, for the progress.
    """
    many = len(candidates) > 1
    some = what if walk else f"{len(candidates)} {what}"
    label = f"{contender.name}: {some if many else 'dev'}"
    total = most or most_answers(len(candidates), len(race.order))
    done = 0
    with contender.progress.task(label, total=total) as advance:

        def tell(answers: int) -> None:
            nonlocal done
            advance(min(answers, total - done))
            done = min(total, done + answers)

        def ask(values: Sequence[T], rows: Sequence[Sequence[Example]]) -> list[list[Answer]]:
            asked = [
                (strategy(value), [example.input for example in some])
                for value, some in zip(values, rows, strict=True)
            ]
            return ask_together(contender.engine, contender.name, asked)

        search: Search[T] = Search(
            name=contender.name,
            race=race,
            ask=ask,
            budget_tokens=contender.budget_tokens,
            advance=tell,
        )
        left = walk(search) if walk else search.halve(candidates)
        choice = search.chosen(left)
        tell(total - done)
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
            dev_answers={} if choice.stopped else {0: choice.dev_answers},
            trials=choice.trials if many else (),
            stopped=choice.stopped,
        ),
    )
