"""Choosing from dev alone, before the test split is opened: scores on dev in, a Plan out.

Pure, and ignorant of files, models and test scores. What is written here is what the one primary
comparison on the test split will be.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike

from tunewise.project.contenders import simplicity
from tunewise.statistics.distributions import normal_quantile
from tunewise.statistics.intervals import FloatArray, add_pseudo_rows
from tunewise.statistics.jackknife import Statistic

FUTILITY_CONFIDENCE = 0.9
"""One-sided. With 40 to 60 dev examples, 20–30% of them discordant, this stops 1–3% of true gains
of 0.10, and 24–33% of trainings that gain nothing (tests/simulations measure it)."""


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

    def values(self, seed: int) -> FloatArray:
        """(n,) the scores of one seed with a crash counted as wrong (intention to treat)."""
        return np.nan_to_num(np.asarray(self.scores[seed], dtype=np.float64), nan=0.0)

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


def choose_plan(dev: Sequence[Measured], *, minimum_gain: float, seeds_wanted: int = 3) -> Plan:
    """Names incumbent, challenger and the shipping seeds, from dev alone.

    The incumbent is the simplest untrained contender within half of `minimum_gain` of the best
    one. The challenger is the trained contender with the best mean over its seeds, the simpler
    one on ties. Ceilings are neither.

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
    return Plan(
        incumbent=near[0] if near else None,
        challenger=max(trained, key=lambda name: quality[name]) if trained else None,
        ships=ships,
        seeds={name: len(of) for name, of in by_seed.items()},
        seeds_wanted=seeds_wanted,
        dev_quality=quality,
    )


def futile(
    challenger_dev_scores: ArrayLike, incumbent_dev_scores: ArrayLike, minimum_gain: float
) -> bool:
    """Whether dev already shows that training gains less than `minimum_gain`.

    Asked after the first seed of a trained contender: when the one-sided upper bound of its
    paired advantage on dev stays below `minimum_gain`, further seeds are not worth their time.
    Fewer than 20 dev examples never show futility.

    Args:
        challenger_dev_scores: (n,) scores of the first seed; None or NaN where it crashed.
        incumbent_dev_scores: (n,) scores of the best untrained contender on the same rows.
        minimum_gain: the smallest gain worth a training.

    Raises:
        ValueError: the two do not have the same rows.
    """
    challenger = np.nan_to_num(np.asarray(challenger_dev_scores, dtype=np.float64), nan=0.0)
    incumbent = np.nan_to_num(np.asarray(incumbent_dev_scores, dtype=np.float64), nan=0.0)
    if challenger.shape != incumbent.shape:
        raise ValueError("futility compares scores of the same rows")
    n = challenger.size
    if n < 20:
        return False
    gains = challenger - incumbent
    # Around the raw mean: the shrunken centre would call a large true gain futile more often.
    error = add_pseudo_rows(float(gains.sum()), float((gains**2).sum()), float(n)).error
    upper = float(gains.mean()) + normal_quantile(FUTILITY_CONFIDENCE) * error * sqrt(n / (n - 1))
    return upper < minimum_gain
