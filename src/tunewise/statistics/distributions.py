"""The few distribution functions the statistics need, as typed floats, and quantiles of a sample.

scipy ships no types: this is the one place where its values enter typed code.
"""

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy import special  # pyright: ignore[reportMissingTypeStubs]

_special = cast(Any, special)


def normal_quantile(probability: float) -> float:
    """The standard normal quantile."""
    return float(_special.ndtri(probability))


def normal_cdf(value: float) -> float:
    """The standard normal distribution function."""
    return float(_special.ndtr(value))


def student_quantile(probability: float, degrees: float) -> float:
    """Student's t quantile with `degrees` (any positive number) degrees of freedom."""
    if degrees > 1e9:
        return normal_quantile(probability)
    return float(_special.stdtrit(degrees, probability))


def student_cdf(value: float, degrees: float) -> float:
    """Student's t distribution function."""
    if degrees > 1e9:
        return normal_cdf(value)
    return float(_special.stdtr(degrees, value))


def beta_quantile(probability: float, a: float, b: float) -> float:
    """The quantile of the beta distribution with shapes a, b > 0."""
    return float(_special.betaincinv(a, b, probability))


def binomial_cdf(successes: int, trials: int, rate: float) -> float:
    """P(X <= successes) for X binomial."""
    return float(_special.bdtr(successes, trials, rate))


def quantile(values: NDArray[np.int64], share: float) -> int:
    """The value that so many of the values are at most: one that occurs, never one in between.

    Args:
        values: (n,) whole numbers; 0 comes back where there are none.
        share: from 0 to 1.
    """
    return int(np.quantile(values, share, method="inverted_cdf")) if len(values) else 0
