"""Arithmetic with intervals of amounts: means of few rounds, sums, and where a cost is recovered.

Numbers and intervals in, intervals out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev
from typing import Literal

from tunewise.statistics.distributions import student_quantile
from tunewise.statistics.intervals import Interval

MINIMUM_ROUNDS = 4
"""With fewer rounds no interval of their mean is computed."""


def mean_of_rounds(values: Sequence[float], *, confidence: float = 0.95) -> Interval:
    """Student's interval of the mean of a few rounds, each itself a mean over many requests.

    Raises:
        ValueError: fewer than `MINIMUM_ROUNDS`.
    """
    if len(values) < MINIMUM_ROUNDS:
        raise ValueError(f"{len(values)} rounds; at least {MINIMUM_ROUNDS} are needed")
    mean = fmean(values)
    reach = student_quantile((1.0 + confidence) / 2.0, len(values) - 1.0)
    reach *= stdev(values) / sqrt(len(values))
    return Interval(value=mean, low=mean - reach, high=mean + reach, p=None, method="t of rounds")


def scaled(one: Interval, factor: float, shift: float = 0.0) -> Interval:
    """factor times an interval, and shift added; p is gone, since it was about 0."""
    ends = sorted((factor * one.low + shift, factor * one.high + shift))
    return Interval(
        value=factor * one.value + shift, low=ends[0], high=ends[1], p=None, method=one.method
    )


def added(one: Interval, other: Interval) -> Interval:
    """The sum of two estimates of independent errors, by the square-and-add rule.

    Each end lies √(d₁² + d₂²) from the sum, d being how far the two ends lie from their estimates
    (Howe 1974; Zou and Donner 2008 call it MOVER). It keeps their asymmetry.
    """
    value = one.value + other.value
    below = sqrt((one.value - one.low) ** 2 + (other.value - other.low) ** 2)
    above = sqrt((one.high - one.value) ** 2 + (other.high - other.value) ** 2)
    method = " + ".join(dict.fromkeys((one.method, other.method)))
    return Interval(value=value, low=value - below, high=value + above, p=None, method=method)


@dataclass(frozen=True, kw_only=True, slots=True)
class BreakEven:
    """After how many requests a cost paid once has been recovered."""

    value: float | None
    """By the estimate; None: never."""
    low: float | None
    """None: never, whatever the saving is within its interval."""
    high: float | None
    """None: unbounded, the saving may be none."""

    @property
    def recovered(self) -> Literal["yes", "open", "never"]:
        """Whether the cost is recovered at all: open where the saving's interval holds 0."""
        if self.low is None:
            return "never"
        return "open" if self.high is None else "yes"


def break_even(cost: float, saving: Interval) -> BreakEven:
    """Cost over saving, by Fieller's inversion (1954).

    The interval holds every number of requests N at which the interval of N · saving − cost holds
    0. It is unbounded where the saving's interval holds 0, and empty where it lies below. The cost
    is known, so that it covers exactly where the saving's interval does.

    Args:
        cost: paid once, at least 0.
        saving: of one request.

    Raises:
        ValueError: the cost is negative.
    """
    if cost < 0.0:
        raise ValueError(f"a cost of {cost}")

    def requests(each: float) -> float | None:
        return cost / each if each > 0.0 else None

    return BreakEven(
        value=requests(saving.value), low=requests(saving.high), high=requests(saving.low)
    )
