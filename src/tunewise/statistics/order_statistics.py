"""The interval of a median from the order of the values alone, whatever their distribution."""

from collections.abc import Sequence
from typing import NamedTuple

from tunewise.statistics.distributions import binomial_cdf


class Range(NamedTuple):
    """Two values of a sample between which the median of the population lies."""

    low: float
    high: float


def median_rank(n: int, *, confidence: float = 0.95) -> int | None:
    """The largest r at which the r-th smallest and the r-th largest of n values enclose the median.

    Fewer than r values fall on one side of it with the chance P(X < r), X binomial(n, 1/2); both
    sides together may miss with 1 − confidence (Conover 1999, Practical Nonparametric Statistics,
    section 3.2; Hahn and Meeker 1991, Statistical Intervals, section 5.2).

    Args:
        n: values, drawn independently from one distribution.
        confidence: coverage at least.

    Returns:
        None where even the smallest and the largest do not suffice: at 95%, below 6 values.
    """
    tail = (1.0 - confidence) / 2.0
    ranks = [rank for rank in range(1, n // 2 + 1) if binomial_cdf(rank - 1, n, 0.5) <= tail]
    return max(ranks, default=None)


def median_range(values: Sequence[float], *, confidence: float = 0.95) -> Range | None:
    """The distribution-free interval of the median; None with too few values."""
    rank = median_rank(len(values), confidence=confidence)
    if rank is None:
        return None
    ordered = sorted(values)
    return Range(ordered[rank - 1], ordered[-rank])
