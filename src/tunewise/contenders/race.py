"""The race on dev: all contenders answer the same rows in the same order, block by block.

Whoever is surely further behind the best than a gain that is worth a training is asked no more.
"""

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tunewise.metrics.by_name import over_rows, quality
from tunewise.metrics.metric import Metric
from tunewise.statistics.racing import Course, Rival, Seen
from tunewise.types import Answer, Example, Stopped

FIRST = 8
"""Rows of the first block."""
GROWTH = 1.5
"""After the second block, how much further each next one goes."""


@dataclass(kw_only=True, eq=False)
class Runner:
    """One setting of one contender, and what it has answered."""

    contender: str
    answers: list[Answer] = field(default_factory=list[Answer])
    """To the first rows of the race, in its order."""
    scores: list[float] = field(default_factory=list[float])
    """Of these, each by itself; a crash is 0."""
    looks: int = 0
    """How often it was asked whether it is surely behind."""


class Race:
    """Who answered what on dev, and who is out.

    Args:
        dev: at least one example.
        metric: what all are judged by.
        units: (n,) the independent unit of each dev example, None for a row on its own.
        margin: how far behind the best is too far, in the unit of the metric.
        to_the_end: whether a contender's best setting answers all rows though it is out.
    """

    def __init__(
        self,
        dev: Sequence[Example],
        *,
        metric: Metric,
        units: Sequence[str | None] | None = None,
        margin: float,
        to_the_end: bool = False,
    ) -> None:
        unit_of = units or [None] * len(dev)
        keys = unit_keys(dev, unit_of)
        places = sorted(range(len(dev)), key=lambda n: (_mixed(keys[n]), _mixed(dev[n].id)))
        self.dev = tuple(dev)
        self.order = tuple(dev[place] for place in places)
        self.to_the_end = to_the_end
        self._metric = metric
        groups = [unit_of[place] for place in places]
        self._course = Course(groups=groups, margin=margin)
        self._ends = _ends([keys[place] for place in places])
        self._runners: dict[str, list[Runner]] = {}
        self.chosen: dict[str, Runner] = {}
        """Contender -> its best setting, which answered every row."""

    def apart(self) -> "Race":
        """The same rows for one that is shown beside the others: nobody else's answers count."""
        race = copy.copy(self)
        race.to_the_end = True
        race._runners = {}
        race.chosen = {}
        return race

    def ends(self, upto: int) -> list[int]:
        """Where blocks end, in rows, the last one at `upto` or at the end of its unit."""
        goal = self.whole_units(upto)
        return [end for end in self._ends["blocks"] if end < goal] + [goal]

    def whole_units(self, rows: int) -> int:
        """So many rows, and those that complete the last one's unit."""
        return next(end for end in self._ends["units"] if end >= min(rows, len(self.order)))

    def enter(self, contender: str) -> Runner:
        """A new setting of a contender, which has answered nothing yet."""
        runner = Runner(contender=contender)
        self._runners.setdefault(contender, []).append(runner)
        return runner

    def add(self, contender: str, answers: Sequence[str | None]) -> None:
        """A contender that was not raced.

        Args:
            contender: its name.
            answers: to every dev example, in dev order; None where it crashed.
        """
        if contender in self._runners:
            return
        said = dict(zip((example.id for example in self.dev), answers, strict=True))
        given = [
            Answer(example_id=example.id, contender=contender, seed=0, text=said[example.id])
            for example in self.order
        ]
        self.record(self.enter(contender), given)

    def record(self, runner: Runner, answers: Sequence[Answer]) -> None:
        """Takes down what a setting answered to the next rows."""
        for answer in answers:
            example = self.order[len(runner.answers)]
            runner.answers.append(answer)
            runner.scores.append(self.score(example, answer))

    def score(self, example: Example, answer: Answer) -> float:
        """The metric of one answer by itself; a crash is 0."""
        return 0.0 if answer.text is None else self._metric.score(answer.text, example.target).value

    def quality(self, runner: Runner) -> float:
        """The metric over what it has answered; at least one row."""
        return self._quality(runner, len(runner.answers))

    def surely_behind(self, runner: Runner) -> bool:
        """Whether a setting cannot come within the margin of the best, but for a chance of 1%."""
        runner.looks += 1
        return self._course.surely_behind(
            self._seen(runner), self._rivals(runner), look=runner.looks
        )

    def stopped(self, runner: Runner) -> Stopped:
        """What is to be said of a contender whose last setting is out."""
        rows = len(runner.answers)
        best = max(
            (one for one in self._all() if one is not runner and len(one.answers) >= rows),
            key=lambda one: self._quality(one, rows),
        )
        return Stopped(
            rows=rows,
            of=len(self.order),
            quality=self._quality(runner, rows),
            behind=best.contender,
            best=self._quality(best, rows),
            margin=self._course.margin,
            bound="shared among looks, jackknife t"
            if self._metric.aggregate is not None
            else "e-value of at least 100",
        )

    def dev_answers(self, runner: Runner) -> tuple[str | None, ...]:
        """Of a setting that answered every row: what `Fit.dev_answers` holds."""
        said = {answer.example_id: answer.text for answer in runner.answers}
        return tuple(said[example.id] for example in self.dev)

    def _all(self) -> list[Runner]:
        return [runner for runners in self._runners.values() for runner in runners]

    def _rivals(self, runner: Runner) -> list[Rival]:
        """Every contender has the same weight, shared by its settings."""
        settings = [
            [one for one in runners if one is not runner and one.answers]
            for runners in self._runners.values()
        ]
        contenders = [some for some in settings if some]
        return [
            Rival(seen=self._seen(one), weight=1.0 / (len(contenders) * len(some)))
            for some in contenders
            for one in some
        ]

    def _seen(self, runner: Runner) -> Seen:
        scores, aggregate = np.array(runner.scores, dtype=np.float64), self._metric.aggregate
        if aggregate is None:
            return Seen(scores=scores)
        given = [answer.text for answer in runner.answers]
        targets = [one.target for one in self.order[: len(given)]]
        return Seen(scores=scores, aggregate=over_rows(aggregate, given, targets))

    def _quality(self, runner: Runner, rows: int) -> float:
        given = [answer.text for answer in runner.answers[:rows]]
        return quality(self._metric, given, [example.target for example in self.order[:rows]])


def unit_keys(rows: Sequence[Example], units: Sequence[str | None]) -> list[str]:
    """(n,) what names the unit of each row, a row on its own by its id."""
    return [
        f"row {row.id}" if unit is None else f"unit {unit}"
        for row, unit in zip(rows, units, strict=True)
    ]


def by_unit(rows: Sequence[Example], units: Sequence[str | None]) -> dict[str, list[Example]]:
    """What names a unit (`unit_keys`) -> its rows, all in the order in which they came."""
    together: dict[str, list[Example]] = {}
    for row, key in zip(rows, unit_keys(rows, units), strict=True):
        together.setdefault(key, []).append(row)
    return together


def _mixed(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _ends(keys: Sequence[str]) -> dict[str, list[int]]:
    """Rows after which a unit ends, and after which a block does.

    Args:
        keys: (n,) the unit of each row in the order of the race.
    """
    units = [n for n in range(1, len(keys) + 1) if n == len(keys) or keys[n] != keys[n - 1]]
    blocks: list[int] = []
    wanted = float(FIRST)
    for end in units:
        if end >= wanted:
            blocks.append(end)
            wanted = end + FIRST if len(blocks) < 2 else max(end + FIRST, GROWTH * end)
    return {"units": units, "blocks": blocks}
