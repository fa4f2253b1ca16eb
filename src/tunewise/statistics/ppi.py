"""A mean over many rows of which a person saw some and a judge saw all: prediction-powered.

PPI++ (Angelopoulos, Duchi and Zrnic 2023, arXiv:2311.01453) for a mean. The judge's values are
never taken for the truth: what they miss is measured on the rows that the person saw, and they
count as much as they are found to be worth, down to not at all.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from tunewise.statistics.distributions import student_quantile
from tunewise.statistics.intervals import (
    FloatArray,
    IntArray,
    Interval,
    NotComputed,
    too_few,
    two_sided_p,
)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Guessed:
    """Rows with values between −1 and 1."""

    guesses: FloatArray
    """(n,) the judge's value of each row."""
    truths: FloatArray
    """(n,) the person's; NaN where the person did not see the row. Those seen are a random part."""
    settled: FloatArray
    """(k,) values of further rows that are known without asking anybody; may be empty."""
    codes: IntArray | None = None
    """(n + k,) numbers of independent units, settled rows last; None: every row stands alone."""

    @property
    def seen(self) -> NDArray[np.bool_]:
        """(n,) whether the person saw the row."""
        return ~np.isnan(self.truths)


@dataclass(frozen=True, kw_only=True, slots=True)
class Corrected:
    """A mean, corrected by what a person said."""

    interval: Interval
    power: float
    """λ, from 0 (the judge counts nothing) to 1."""


def power_of(rows: Guessed) -> float:
    """λ with which the variance is smallest: cov(Y, f) / ((1 + m / N) var(f)), within 0 and 1.

    m rows were seen by the person, N were not. 0 where no row is left to guess at, or every guess
    is the same. (Equation 8 of the paper, for a mean; values beyond 0 and 1 are cut there, too.)
    """
    seen = rows.seen
    m, others = int(seen.sum()), int((~seen).sum())
    spread = float(rows.guesses.var(ddof=1)) if rows.guesses.size > 1 else 0.0
    if others == 0 or m < 2 or spread <= 0.0:
        return 0.0
    truths, guesses = rows.truths[seen], rows.guesses[seen]
    covariance = float(((truths - truths.mean()) * (guesses - guesses.mean())).sum()) / (m - 1)
    return min(1.0, max(0.0, covariance / ((1.0 + m / others) * spread)))


def corrected_mean(
    rows: Guessed, *, confidence: float = 0.95, power: float | None = None
) -> Corrected | NotComputed:
    """The mean over all rows, with an interval that holds whatever the judge is worth.

    On the rows that are not settled it is mean(Y) − λ (mean of f seen − mean of f unseen); the
    settled rows join with their weight. Its variance is that of the rows' influences, summed
    within units first, and never below that of independent rows. Two pseudo-ratings, −1 and +1
    beside the judge's value (Bonett and Price 2012), keep the width above 0. Student's quantile
    has the number of units seen, less one, as degrees of freedom.

    Args:
        rows: at least one.
        confidence: nominal coverage.
        power: λ; None: that of `power_of`. With 0 it is the classical interval of what the person
            saw.
    """
    seen = rows.seen
    m, others, n = int(seen.sum()), int((~seen).sum()), rows.guesses.size
    everything = n + rows.settled.size
    strength = power_of(rows) if power is None else power if others else 0.0
    missed = rows.truths[seen] - strength * rows.guesses[seen]
    open_mean = float(missed.mean()) if m else 0.0
    if others and strength:
        open_mean += strength * float(rows.guesses[~seen].mean())
    mean = (n * open_mean + float(rows.settled.sum())) / everything
    units = None if rows.codes is None else np.unique(rows.codes[:n][seen]).size
    shortage = too_few(m, units)
    if shortage is not None:
        return NotComputed(value=mean, reason=shortage.replace(" rows ", " rated pairs "))
    weight = n / everything
    influence = np.concatenate([np.full(n, open_mean - mean), rows.settled - mean]) / everything
    influence[:n][seen] += weight * (missed - missed.mean()) / sqrt(m * (m - 1.0))
    if others and strength:
        unseen = rows.guesses[~seen]
        influence[:n][~seen] += weight * strength * (unseen - unseen.mean()) / others
    variance = _variance(influence, rows.codes) + 2.0 * (weight / m) ** 2
    degrees = (m if units is None else units) - 1.0
    error = sqrt(variance)
    reach = student_quantile((1.0 + confidence) / 2.0, degrees) * error
    return Corrected(
        interval=Interval(
            value=mean,
            low=max(-1.0, mean - reach),
            high=min(1.0, mean + reach),
            p=two_sided_p(mean / error, degrees),
            method="PPI++, Student's t" if strength else "Student's t on the ratings",
        ),
        power=strength,
    )


def _variance(influence: FloatArray, codes: IntArray | None) -> float:
    """Of a sum of influences: squares of the units' sums, not below those of the rows."""
    n = influence.size
    alone = float((influence**2).sum()) * n / max(n - 1, 1)
    if codes is None:
        return alone
    sums = np.bincount(codes, weights=influence)
    return max(alone, float((sums**2).sum()) * sums.size / max(sums.size - 1, 1))
