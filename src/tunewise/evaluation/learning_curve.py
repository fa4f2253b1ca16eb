"""Learns from parts of the rows and asks the rest: what more rows would bring.

Parts are nested: every smaller one lies within the larger ones. They are judged on dev or, where
learning costs next to nothing, on folds of train and dev; test has no part in it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, variance
from typing import NamedTuple

import numpy as np

from tunewise.contenders.protocol import NotApplicable
from tunewise.contenders.race import by_unit
from tunewise.metrics.by_name import over_rows
from tunewise.metrics.metric import Metric
from tunewise.statistics import paired
from tunewise.statistics.distributions import normal_quantile, student_quantile
from tunewise.statistics.intervals import Interval, NotComputed
from tunewise.statistics.learning_curve import Curve, Point, Says, fit_curve, last_doubling
from tunewise.types import Example

PARTS = (0.125, 0.25, 0.5, 1.0)
"""Of the rows to learn from."""
MIN_PART = 8
"""Rows of a part at least; smaller parts are left out."""
FOLDS = 5
CONFIDENCE = 0.9
"""Of every interval of a curve."""
ONE_ERROR = 0.6827
"""Confidence of an interval that reaches one standard error to each side."""

Learn = Callable[[Sequence[Example], Sequence[Example]], Sequence[str | None]]
"""(rows to learn from, rows to answer) -> an answer to each, None where it crashed.

Raises NotApplicable where so few rows cannot be learned from.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fold:
    """What is learned from and what is judged, once."""

    parts: tuple[tuple[Example, ...], ...]
    """Nested, the smallest first."""
    judged: tuple[Example, ...]


Round = Sequence[Fold]
"""Folds whose judged rows make up all that are judged."""
Said = Mapping[str, str | None]
"""Example id -> the answer to it; None where it crashed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LearningCurve:
    """What one contender makes of more and more rows."""

    points: tuple[Point, ...]
    """The smallest part first; the last one is all rows."""
    judged: int
    """Rows that judged."""
    doubled: Interval | NotComputed
    """Quality at all rows less that at half of them, 90%, paired."""
    says: Says | None
    """Of that doubling; None: too few rows judged."""
    curve: Curve | None
    """None: too few rows judged, or too few parts."""
    answers: Mapping[int, Sequence[Said]]
    """Rows of a part -> round by round, what was answered after it."""


def rounds_on_dev(
    train: Sequence[Example],
    dev: Sequence[Example],
    units: Mapping[str, str],
    *,
    rounds: int,
    rng: np.random.Generator,
    parts: Sequence[float] = PARTS,
) -> list[Round]:
    """Parts of train, judged on dev.

    Args:
        train: what is learned from.
        dev: what judges.
        units: example id -> its independent unit, which lies in a part as a whole.
        rounds: how often parts are drawn anew.
        rng: which rows.
        parts: sizes as shares of train, growing.
    """
    return [
        [Fold(parts=_nested(train, units, rng, parts), judged=tuple(dev))] for _ in range(rounds)
    ]


def rounds_by_folds(
    rows: Sequence[Example],
    units: Mapping[str, str],
    *,
    rounds: int,
    rng: np.random.Generator,
    parts: Sequence[float] = PARTS,
    folds: int = FOLDS,
) -> list[Round]:
    """Parts of all rows but a fold, judged on that fold, each fold in turn.

    Args: see `rounds_on_dev`; `folds` is how many there are.
    """
    made: list[Round] = []
    for _ in range(rounds):
        shuffled = _shuffled(rows, units, rng)
        judged = [[row for unit in shuffled[n::folds] for row in unit] for n in range(folds)]
        made.append(
            [
                Fold(
                    parts=_nested(
                        [row for other in judged if other is not fold for row in other],
                        units,
                        rng,
                        parts,
                    ),
                    judged=tuple(fold),
                )
                for fold in judged
                if fold
            ]
        )
    return made


def measure_curve(
    learn: Learn,
    rounds: Sequence[Round],
    units: Mapping[str, str],
    metric: Metric,
    *,
    minimum_gain: float,
    rng: np.random.Generator,
    advance: Callable[[int], None] = lambda parts: None,
) -> LearningCurve:
    """The curve of one contender.

    Args:
        learn: the contender.
        rounds: what it learns from and is judged on; at least one, all with the same parts.
        units: example id -> its independent unit, for errors.
        metric: what it is judged by.
        minimum_gain: what is worth having.
        rng: for the draws of the curve.
        advance: called with 1 for each part learned from.

    Raises:
        NotApplicable: it cannot learn from these rows at all.
    """
    sizes = _sizes(rounds)
    order = [row for fold in rounds[0] for row in fold.judged]
    given = [units.get(row.id) for row in order]
    rows = paired.rows_of(len(order), binary=metric.binary, groups=given)
    found: list[list[paired.Sample]] = []  # of each part, by round; the largest first
    answers: dict[int, list[Said]] = {}
    for size, place in sizes.items():
        try:
            said = [_said(learn, one, place, advance) for one in rounds]
        except NotApplicable:
            if not found:
                raise
            break  # nor from fewer rows
        answers[size] = said
        found.append([_sample(one, order, metric, rows) for one in said])
    learned = list(answers)
    whole, *smaller = [paired.mean_sample(some) for some in found]
    errors = [
        _error(one, found[0], paired.difference(mean, whole, rows, confidence=ONE_ERROR))
        for one, mean in zip(found[1:], smaller, strict=True)
    ]
    points = [
        Point(rows=size, quality=mean.value, error=error)
        for size, mean, error in zip(learned[1:], smaller, errors, strict=True)
        if error is not None
    ]
    doubled: Interval | NotComputed = NotComputed(value=0.0, reason="one part alone")
    if smaller:
        doubled = _doubling(found[1], found[0], rows)
    at_all = Point(
        rows=learned[0],
        quality=whole.value,
        error=min((point.error for point in points), default=0.0),
    )
    known = tuple(sorted([*points, at_all], key=lambda point: point.rows))
    enough = isinstance(doubled, Interval) and len(points) >= 2
    return LearningCurve(
        points=known,
        judged=len(order),
        doubled=doubled,
        says=last_doubling(doubled, minimum_gain=minimum_gain)
        if isinstance(doubled, Interval)
        else None,
        curve=fit_curve(known, rng=rng) if enough else None,
        answers=answers,
    )


def hold_against(
    found: LearningCurve,
    other: Said,
    judged: Sequence[Example],
    units: Mapping[str, str],
    metric: Metric,
) -> dict[int, Interval | NotComputed]:
    """The paired difference to one that takes nothing from more rows, 90%.

    Args:
        found: of the one that learns.
        other: what the other one answered.
        judged: rows that both answered.
        units: example id -> its independent unit.
        metric: what they are judged by.

    Returns:
        Rows learned from -> the difference then; the smallest part first.
    """
    given = [units.get(row.id) for row in judged]
    rows = paired.rows_of(len(judged), binary=metric.binary, groups=given)
    flat = _sample(other, judged, metric, rows)
    return {
        size: paired.difference(
            paired.mean_sample([_sample(one, judged, metric, rows) for one in said]),
            flat,
            rows,
            confidence=CONFIDENCE,
        )
        for size, said in sorted(found.answers.items())
    }


class Halved(NamedTuple):
    """Trainings on half of the rows and on all of them."""

    half: float
    """Quality from half."""
    whole: float
    """Mean quality from all."""
    difference: Interval | NotComputed
    """The whole less the half, 90%."""


def half_and_whole(
    half: Said,
    whole: Sequence[Said],
    judged: Sequence[Example],
    units: Mapping[str, str],
    metric: Metric,
) -> Halved:
    """What a training on all rows adds to one on half of them, where chance has a say in both.

    To the interval of the rows that judged comes what two trainings differ by that differ only in
    their seed: Student's t with the standard deviation among those of all rows, taken to be the
    same for half of them.

    Args:
        half: answers of one training on half of the rows.
        whole: of trainings on all rows, at least two.
        judged: rows that all answered.
        units: example id -> its independent unit.
        metric: what they are judged by.

    Raises:
        ValueError: one training on all rows alone.
    """
    if len(whole) < 2:
        raise ValueError("what chance does to a training shows in two of them at least")
    given = [units.get(row.id) for row in judged]
    rows = paired.rows_of(len(judged), binary=metric.binary, groups=given)
    seeds = [_sample(said, judged, metric, rows) for said in whole]
    mean, less = paired.mean_sample(seeds), _sample(half, judged, metric, rows)
    judges = paired.difference(mean, less, rows, confidence=CONFIDENCE)
    if isinstance(judges, NotComputed):
        return Halved(less.value, mean.value, judges)
    apart = variance(one.value for one in seeds) * (1.0 + 1.0 / len(seeds))
    chance = student_quantile((1.0 + CONFIDENCE) / 2.0, len(seeds) - 1.0) * np.sqrt(apart)
    return Halved(
        less.value, mean.value, _widened(judges, float(chance), "the differences among seeds")
    )


def _said(learn: Learn, folds: Round, place: int, advance: Callable[[int], None]) -> Said:
    """Answers to all judged rows, each by what was learned without it."""
    said: dict[str, str | None] = {}
    for fold in folds:
        answers = learn(fold.parts[place], fold.judged)
        said |= {row.id: answer for row, answer in zip(fold.judged, answers, strict=True)}
        advance(1)
    return said


def _sample(
    said: Said, order: Sequence[Example], metric: Metric, rows: paired.Rows
) -> paired.Sample:
    """Scores of some rows, a crash counted as wrong."""
    given, targets = [said[row.id] for row in order], [row.target for row in order]
    scores = np.array(
        [
            0.0 if answer is None else metric.score(answer, target).value
            for answer, target in zip(given, targets, strict=True)
        ]
    )
    aggregate = None if metric.aggregate is None else over_rows(metric.aggregate, given, targets)
    return paired.sample(scores, rows, aggregate)


def _error(
    some: Sequence[paired.Sample],
    whole: Sequence[paired.Sample],
    difference: Interval | NotComputed,
) -> float | None:
    """Standard error of a point; see `Point.error`."""
    if isinstance(difference, NotComputed):
        return None
    judged = ((difference.high - difference.low) / 2.0) ** 2
    return float(np.sqrt(judged / 2.0 + _drawn(some, whole, judged)))


def _drawn(some: Sequence[paired.Sample], whole: Sequence[paired.Sample], judged: float) -> float:
    """Variance of a mean over rounds that owes to which rows a part holds.

    Where parts were drawn once, these are taken to matter as much as which rows judge.

    Args:
        some: the part's samples, round by round.
        whole: those of all rows.
        judged: the variance of their difference that owes to which rows judge.
    """
    apart = [one.value - every.value for one, every in zip(some, whole, strict=True)]
    return variance(apart) / len(apart) if len(apart) > 1 else judged


def _doubling(
    half: Sequence[paired.Sample], whole: Sequence[paired.Sample], rows: paired.Rows
) -> Interval | NotComputed:
    """Quality at all rows less that at half of them, with both chances in its interval."""
    means = paired.mean_sample(whole), paired.mean_sample(half)
    found = paired.difference(*means, rows, confidence=CONFIDENCE)
    if isinstance(found, NotComputed):
        return found
    wide = normal_quantile((1.0 + CONFIDENCE) / 2.0)
    reach = (found.high - found.low) / 2.0
    drawn = _drawn(half, whole, (reach / wide) ** 2)
    return _widened(found, wide * drawn**0.5, "which rows are drawn")


def _widened(found: Interval, more: float, why: str) -> Interval:
    """The interval with a further error, independent of its own."""
    middle = (found.low + found.high) / 2.0
    reach = float(np.hypot((found.high - found.low) / 2.0, more))
    return Interval(
        value=found.value,
        low=max(-1.0, middle - reach),
        high=min(1.0, middle + reach),
        p=None,
        method=f"{found.method.split(',')[0]}, widened by {why}",
    )


def _sizes(rounds: Sequence[Round]) -> dict[int, int]:
    """Mean rows of a part -> its place in every fold, counted from the end; the largest first.

    Raises:
        NotApplicable: there is no part.
    """
    folds = [fold for one in rounds for fold in one]
    # Folds are not all of one size, so that the smallest part may be missing in some of them.
    places = range(-1, -1 - min(len(fold.parts) for fold in folds), -1)
    sizes = [round(fmean(len(fold.parts[place]) for fold in folds)) for place in places]
    if not sizes:
        raise NotApplicable(f"there are fewer than {MIN_PART} rows to learn from")
    return {size: -1 - sizes.index(size) for size in sizes}


def _nested(
    rows: Sequence[Example],
    units: Mapping[str, str],
    rng: np.random.Generator,
    parts: Sequence[float],
) -> tuple[tuple[Example, ...], ...]:
    shuffled = _shuffled(rows, units, rng)
    ends = np.cumsum([len(unit) for unit in shuffled])
    flat = [row for unit in shuffled for row in unit]
    wanted = [share * len(rows) for share in parts if share * len(rows) >= MIN_PART]
    cuts = [int(ends[np.searchsorted(ends, size - 1e-9)]) for size in wanted]
    return tuple(tuple(flat[:cut]) for cut in dict.fromkeys(cuts))


def _shuffled(
    rows: Sequence[Example], units: Mapping[str, str], rng: np.random.Generator
) -> list[list[Example]]:
    """Rows of one unit together, units in a random order."""
    found = list(by_unit(rows, [units.get(row.id) for row in rows]).values())
    return [found[int(n)] for n in rng.permutation(len(found))]
