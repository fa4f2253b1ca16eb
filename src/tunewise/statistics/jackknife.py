"""Intervals of graded scores and of aggregates such as macro F1, from jackknife pseudo-values.

An aggregate is a function of row indices. Its pseudo-values (Tukey 1958) stand for the rows: their
mean is the aggregate up to its bias, and for a mean they are the scores themselves. Pseudo-values
of two contenders on the same rows can be subtracted, which is what makes a comparison paired.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from tunewise.statistics.distributions import student_quantile
from tunewise.statistics.intervals import (
    FloatArray,
    IntArray,
    Interval,
    add_pseudo_rows,
    two_sided_p,
)

Statistic: TypeAlias = Callable[[IntArray], float]
"""The value of a metric on the rows with these indices."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Jackknife:
    """A statistic and what each row contributes to it."""

    value: float
    pseudo_values: FloatArray
    """(n,) n times the statistic, less n − 1 times the statistic without row i."""

    def __sub__(self, other: "Jackknife") -> "Jackknife":
        return Jackknife(
            value=self.value - other.value,
            pseudo_values=self.pseudo_values - other.pseudo_values,
        )


def jackknife_mean(scores: FloatArray) -> Jackknife:
    """The jackknife of the mean of (n,) scores."""
    return Jackknife(value=float(scores.mean()), pseudo_values=scores)


def jackknife(statistic: Statistic, n: int) -> Jackknife:
    """The jackknife of any statistic of n rows, n at least 2."""
    rows = np.arange(n, dtype=np.int64)
    value = statistic(rows)
    left_out = np.array([statistic(np.delete(rows, row)) for row in rows])
    return Jackknife(value=value, pseudo_values=n * value - (n - 1) * left_out)


def jackknife_difference(difference: Jackknife, *, confidence: float = 0.95) -> Interval:
    """Student's interval of a paired difference, around the value itself.

    Its standard error is that of the pseudo-values and two pseudo-rows, +1 and −1 (Bonett and
    Price 2012), so that it is never 0 and a single row that differs is not taken for certainty.

    Args:
        difference: of a, less that of b.
        confidence: nominal coverage.
    """
    return _student(difference, "paired t", confidence, pseudo_row=1.0, low=-1.0)


def jackknife_quality(one: Jackknife, *, confidence: float = 0.95) -> Interval:
    """Student's interval of one quality between 0 and 1, with two pseudo-rows, 0 and 1.

    Args:
        one: of one contender.
        confidence: nominal coverage.
    """
    moved = Jackknife(value=one.value - 0.5, pseudo_values=one.pseudo_values - 0.5)
    found = _student(moved, "t", confidence, pseudo_row=0.5, low=-0.5)
    return Interval(
        value=one.value, low=found.low + 0.5, high=found.high + 0.5, p=None, method=found.method
    )


def _student(
    one: Jackknife, name: str, confidence: float, *, pseudo_row: float, low: float
) -> Interval:
    """The interval of a statistic between `low` and −`low`, with pseudo-rows at ±`pseudo_row`."""
    values = one.pseudo_values / pseudo_row
    n = values.size
    # Around the value, not the shrunken centre: an aggregate is not the mean of its pseudo-values,
    # and near its bounds the centre alone is too far away (88% coverage with 77 Zipf classes).
    error = (
        pseudo_row * add_pseudo_rows(float(values.sum()), float((values**2).sum()), float(n)).error
    )
    reach = student_quantile((1.0 + confidence) / 2.0, n - 1.0) * error
    return Interval(
        value=one.value,
        low=max(low, one.value - reach),
        high=min(-low, one.value + reach),
        p=two_sided_p(one.value / error, n - 1.0),
        method=f"{name} with pseudo-rows",
    )
