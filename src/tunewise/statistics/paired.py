"""Which interval and test fits which scores: quality of one sample, difference of two.

Arrays in, intervals out; the one place that chooses among the methods of this package.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tunewise.statistics.clusters import cluster_difference, cluster_mean, cluster_rate
from tunewise.statistics.intervals import (
    FloatArray,
    IntArray,
    Interval,
    NotComputed,
    bonett_price,
    clopper_pearson,
    too_few,
)
from tunewise.statistics.jackknife import (
    Jackknife,
    Statistic,
    jackknife,
    jackknife_difference,
    jackknife_mean,
    jackknife_quality,
)
from tunewise.statistics.tests import mcnemar_exact


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Rows:
    """What all samples under comparison have in common."""

    n: int
    binary: bool
    """Every score is 0 or 1 and quality is their mean."""
    codes: IntArray | None
    """(n,) group numbers 0..G−1, or None when every row stands alone."""
    group_count: int
    """Independent units: groups, or rows where there are none."""

    @property
    def shortage(self) -> str | None:
        """What is missing for any interval to be computed; None when there is enough."""
        return too_few(self.n, None if self.codes is None else self.group_count)


def rows_of(n: int, *, binary: bool, groups: Sequence[str | None] | None = None) -> Rows:
    """Describes n rows.

    Args:
        n: rows.
        binary: whether every score is 0 or 1 and quality their mean.
        groups: (n,) the group of each row, None for a row on its own. When no group has two
            rows, the rows are independent and treated so.

    Raises:
        ValueError: `groups` does not have one entry per row.
    """
    if groups is None:
        return Rows(n=n, binary=binary, codes=None, group_count=n)
    if len(groups) != n:
        raise ValueError(f"{len(groups)} groups for {n} rows")
    numbers: dict[object, int] = {}
    codes = np.array(
        [numbers.setdefault((row,) if name is None else name, len(numbers))
         for row, name in enumerate(groups)],
        dtype=np.int64,
    )  # fmt: skip
    alone = len(numbers) == n
    return Rows(n=n, binary=binary, codes=None if alone else codes, group_count=len(numbers))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sample:
    """One contender's scores, ready to be compared."""

    scores: FloatArray
    """(n,) per-row scores between 0 and 1, a crash counted as 0."""
    value: float
    """The quality: their mean, or the aggregate."""
    jackknife: Jackknife | None
    """None where every score is 0 or 1 and quality is their mean."""

    @property
    def influence(self) -> Jackknife:
        """The quality and what each row contributes to it."""
        return self.jackknife or Jackknife(value=self.value, pseudo_values=self.scores)


def sample(scores: FloatArray, rows: Rows, aggregate: Statistic | None = None) -> Sample:
    """Prepares one contender's scores.

    Args:
        scores: (n,) per-row scores between 0 and 1.
        rows: what the samples have in common.
        aggregate: the quality as a function of row indices; None when it is the mean.
    """
    if rows.binary or rows.shortage is not None:
        everything = np.arange(rows.n, dtype=np.int64)
        value = float(scores.mean()) if aggregate is None else aggregate(everything)
        return Sample(scores=scores, value=value, jackknife=None)
    made = jackknife_mean(scores) if aggregate is None else jackknife(aggregate, rows.n)
    return Sample(scores=scores, value=made.value, jackknife=made)


def mean_sample(samples: Sequence[Sample]) -> Sample:
    """The mean of several samples of the same rows, row by row: of the seeds of one contender.

    Args:
        samples: at least one.
    """
    if len(samples) == 1:
        return samples[0]
    value = sum(one.value for one in samples) / len(samples)
    pseudo_values = np.mean([one.influence.pseudo_values for one in samples], axis=0)
    return Sample(
        scores=np.mean([one.scores for one in samples], axis=0),
        value=value,
        jackknife=Jackknife(value=value, pseudo_values=pseudo_values),
    )


def quality(one: Sample, rows: Rows, *, confidence: float = 0.95) -> Interval | NotComputed:
    """The quality of one sample with its interval.

    Clopper–Pearson for yes/no scores (Korn–Graubard with groups), Student's t on jackknife
    pseudo-values otherwise (cluster t with groups).
    """
    if rows.shortage is not None:
        return NotComputed(value=one.value, reason=rows.shortage)
    if rows.codes is not None:
        if rows.binary:
            return cluster_rate(one.scores, rows.codes, confidence=confidence)
        values = one.scores if one.jackknife is None else one.jackknife.pseudo_values
        return cluster_mean(values, rows.codes, confidence=confidence, value=one.value)
    if one.jackknife is None:
        return clopper_pearson(float(one.scores.sum()), rows.n, confidence=confidence)
    return jackknife_quality(one.jackknife, confidence=confidence)


def difference(
    a: Sample, b: Sample, rows: Rows, *, confidence: float = 0.95
) -> Interval | NotComputed:
    """Quality of a minus quality of b on the same rows, with interval and p-value.

    Bonett–Price (Student's quantile) and exact McNemar for yes/no scores, Student's t on
    jackknife pseudo-values otherwise, cluster t with groups.
    """
    if rows.shortage is not None:
        return NotComputed(value=a.value - b.value, reason=rows.shortage)
    both = a.influence - b.influence
    if rows.codes is not None:
        return cluster_difference(
            both.pseudo_values, rows.codes, confidence=confidence, value=both.value
        )
    if a.jackknife is not None or b.jackknife is not None:
        return jackknife_difference(both, confidence=confidence)
    per_row = a.scores - b.scores
    only_a, only_b = int((per_row > 0).sum()), int((per_row < 0).sum())
    adjusted = bonett_price(only_a, only_b, rows.n, confidence=confidence, degrees=rows.n - 1.0)
    return Interval(
        value=adjusted.value,
        low=adjusted.low,
        high=adjusted.high,
        p=mcnemar_exact(only_a, only_b),
        method="Bonett–Price interval, exact McNemar test",
    )
