"""Choosing from dev alone, before the test split is opened: scores on dev in, a Plan out.

Pure, and ignorant of files, models and test scores. What is written here is what the one primary
comparison on the test split will be.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from tunewise.project.contenders import simplicity
from tunewise.statistics import paired
from tunewise.statistics.intervals import FloatArray, Interval
from tunewise.statistics.jackknife import Statistic

FUTILITY_CONFIDENCE = 0.985
"""One-sided. So sure because the incumbent is the best of many settings on dev, and looks better
there than it is: with 3 contenders of 10 settings each, 90% would stop a fifth of true gains of
0.10 on 20 to 50 rows (tests/simulations)."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Measured:
    """One contender's scores on one split, dev or test."""

    name: str
    trained: bool
    """Whether it trains the language model (`fine_tune`, `fine_tune_rag`, ...)."""
    scores: Mapping[int, ArrayLike]
    """seed -> (n,) the primary metric per example, 0 to 1; None or NaN where it crashed."""
    ceiling: bool = False
    """Shown only, never recommended: an `openai` contender not marked as a candidate."""
    aggregate: Mapping[int, Statistic] | None = None
    """seed -> the metric as a function of row indices, where it is no mean (macro_f1); it must
    count a crash as wrong. None: the mean of `scores`."""
    latency_p50_ms: float | None = None
    """Median milliseconds of a single request; None when not measured."""
    latency_high_ms: float | None = None
    """Upper end of the median's interval; None where too few requests were timed."""
    tokens: float | None = None
    """Mean tokens of a request, prompt and answer; None when not counted."""
    base: str = ""
    """Short name of the base model that it runs on, where there are several; empty: of none."""

    def values(self, seed: int) -> FloatArray:
        """(n,) the scores of one seed with a crash counted as wrong (intention to treat)."""
        return np.nan_to_num(np.asarray(self.scores[seed], dtype=np.float64), nan=0.0)

    def sample(self, seed: int, rows: paired.Rows) -> paired.Sample:
        """The scores of one seed, ready to be compared on these rows in pairs."""
        aggregate = None if self.aggregate is None else self.aggregate[seed]
        return paired.sample(self.values(seed), rows, aggregate)

    def quality(self, seed: int) -> float:
        """The metric of one seed over all its examples."""
        values = self.values(seed)
        if self.aggregate is not None:
            return float(self.aggregate[seed](np.arange(values.size, dtype=np.int64)))
        return float(values.mean())


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What was decided before test was opened. Plain values, ready to be written as JSON."""

    incumbent: str | None
    """The best contender that needs no training; None when none ran."""
    challenger: str | None
    """The best trained contender; None when none ran."""
    ships: Mapping[str, int]
    """contender -> the seed that ships: the best on dev, the lowest on ties."""
    seeds: Mapping[str, int]
    """contender -> the number of seeds it has."""
    seeds_wanted: int
    """Seeds that a trained contender must have to be recommended by rule 1."""
    dev_quality: Mapping[str, float]
    """contender -> quality on dev, averaged over its seeds."""
    best_of_base: Mapping[str, str] = field(default_factory=dict[str, str])
    """base -> its best contender, where there are several bases."""


def choose_plan(dev: Sequence[Measured], *, minimum_gain: float, seeds_wanted: int = 3) -> Plan:
    """Names incumbent, challenger and the shipping seeds, from dev alone.

    The incumbent is the simplest untrained contender within half of `minimum_gain` of the best
    one. The challenger is the trained contender with the best mean over its seeds, the simpler
    one on ties; so is the best of a base, trained or not. Ceilings are none of these.

    Args:
        dev: every contender that ran, with its dev scores.
        minimum_gain: the smallest gain worth a training.
        seeds_wanted: seeds a trained contender has when none was skipped.

    Raises:
        ValueError: a contender appears twice or has no seed.
    """
    names = [one.name for one in dev]
    if len(set(names)) < len(names) or not all(one.scores for one in dev):
        raise ValueError("every contender appears once, with the scores of at least one seed")
    by_seed = {one.name: {seed: one.quality(seed) for seed in one.scores} for one in dev}
    quality = {name: sum(of.values()) / len(of) for name, of in by_seed.items()}
    ships = {name: max(sorted(of), key=lambda seed: of[seed]) for name, of in by_seed.items()}
    candidates = sorted(
        (one for one in dev if not one.ceiling), key=lambda one: simplicity(one.name)
    )
    untrained = [one.name for one in candidates if not one.trained]
    trained = [one.name for one in candidates if one.trained]
    best = max((quality[name] for name in untrained), default=0.0)
    near = [name for name in untrained if quality[name] >= best - minimum_gain / 2.0 - 1e-12]
    on_base: dict[str, list[str]] = {}
    for one in candidates:
        if one.base:
            on_base.setdefault(one.base, []).append(one.name)
    return Plan(
        incumbent=near[0] if near else None,
        challenger=max(trained, key=lambda name: quality[name]) if trained else None,
        ships=ships,
        seeds={name: len(of) for name, of in by_seed.items()},
        seeds_wanted=seeds_wanted,
        dev_quality=quality,
        best_of_base={
            base: max(names, key=lambda name: quality[name]) for base, names in on_base.items()
        },
    )


def futile(
    challenger: Measured,
    incumbent: Measured,
    *,
    minimum_gain: float,
    groups: Sequence[str | None] | None = None,
) -> bool:
    """Whether dev already shows that training gains less than `minimum_gain`.

    Asked after the first seed of a trained contender: when the one-sided upper bound of its
    paired advantage on dev stays below `minimum_gain`, further seeds are not worth their time.
    Fewer than 20 dev examples, or 10 units, never show futility.

    Args:
        challenger: the trained contender's dev scores; its first seed counts.
        incumbent: those of the best contender without training, on the same rows.
        minimum_gain: the smallest gain worth a training.
        groups: (n,) the independent unit of each dev example; None: every row stands alone.

    Raises:
        ValueError: the two do not have the same rows.
    """
    a, b = (one.values(min(one.scores)) for one in (challenger, incumbent))
    if a.shape != b.shape:
        raise ValueError("futility compares scores of the same rows")
    rows = paired.rows_of(a.size, binary=False, groups=groups)
    if rows.shortage is not None:
        return False
    first, bar = (one.sample(min(one.scores), rows) for one in (challenger, incumbent))
    # Graded scores: their interval lies around the raw mean. The shrunken centre of rates would
    # call a large true gain futile more often.
    gain = paired.difference(first, bar, rows, confidence=2.0 * FUTILITY_CONFIDENCE - 1.0)
    return isinstance(gain, Interval) and gain.high < minimum_gain
