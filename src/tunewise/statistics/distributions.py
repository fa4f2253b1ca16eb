"""The few distribution functions the statistics need, as typed floats, and quantiles of a sample.

scipy ships no types: this is the one place where its values enter typed code. It loads its parts
when they are first used; the normal distribution needs none of them.
"""

import math
from statistics import NormalDist
from typing import Any, cast

import numpy as np
import scipy  # pyright: ignore[reportMissingTypeStubs]
from numpy.typing import NDArray

_scipy = cast(Any, scipy)
_NORMAL = NormalDist()


def normal_quantile(probability: float) -> float:
    """The standard normal quantile."""
    return _NORMAL.inv_cdf(probability)


def normal_cdf(value: float) -> float:
    """The standard normal distribution function."""
    return math.erfc(-value / math.sqrt(2.0)) / 2.0


def student_quantile(probability: float, degrees: float) -> float:
    """Student's t quantile with `degrees` (any positive number) degrees of freedom."""
    if degrees > 1e9:
        return normal_quantile(probability)
    return float(_scipy.special.stdtrit(degrees, probability))


def student_cdf(value: float, degrees: float) -> float:
    """Student's t distribution function."""
    if degrees > 1e9:
        return normal_cdf(value)
    return float(_scipy.special.stdtr(degrees, value))


def beta_quantile(probability: float, a: float, b: float) -> float:
    """The quantile of the beta distribution with shapes a, b > 0."""
    return float(_scipy.special.betaincinv(a, b, probability))


def binomial_cdf(successes: int, trials: int, rate: float) -> float:
    """P(X <= successes) for X binomial."""
    return float(_scipy.special.bdtr(successes, trials, rate))


def quantile(values: NDArray[np.int64], share: float) -> int:
    """The value that so many of the values are at most: one that occurs, never one in between.

    Args:
        values: (n,) whole numbers; 0 comes back where there are none.
        share: from 0 to 1.
    """
    return int(np.quantile(values, share, method="inverted_cdf")) if len(values) else 0
