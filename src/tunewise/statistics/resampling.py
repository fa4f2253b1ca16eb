"""Bootstrap and jackknife replicates of a statistic of rows, and intervals from them.

A statistic is a function of row indices, so that aggregates such as macro F1 are resampled as they
are. Replicates of two contenders drawn with one seed use the same rows and can be subtracted: that
is what makes a comparison paired.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from tunewise.statistics.distributions import normal_cdf, normal_quantile
from tunewise.statistics.intervals import FloatArray, IntArray, Interval, mean_difference

Statistic: TypeAlias = Callable[[IntArray], float]
"""The value of a metric on the rows with these indices (repeated ones count repeatedly)."""

RESAMPLES = 5000
"""Bootstrap samples; the end of a 99.4% interval still rests on 15 of them."""
GUARD_ROWS = 50
"""Below this many rows, or ..."""
GUARD_INFORMATIVE = 15
"""... this many rows that matter, the bootstrap's tails are not dependable."""

_CHUNK = 1_000_000  # indices drawn at once


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Replicates:
    """A statistic, as observed and under resampling of the rows."""

    value: float
    left_out: FloatArray
    """(n,) the statistic without row i."""
    resampled: FloatArray
    """(resamples,) the statistic on bootstrap samples."""

    def __sub__(self, other: "Replicates") -> "Replicates":
        return Replicates(
            value=self.value - other.value,
            left_out=self.left_out - other.left_out,
            resampled=self.resampled - other.resampled,
        )

    @property
    def pseudo_values(self) -> FloatArray:
        """(n,) the jackknife pseudo-values: the scores themselves when the statistic is a mean."""
        n = self.left_out.size
        return n * self.value - (n - 1) * self.left_out


def replicate_mean(scores: FloatArray, *, seed: int, resamples: int = RESAMPLES) -> Replicates:
    """Replicates of the mean of (n,) scores."""
    n = scores.size
    total = float(scores.sum())
    means = [scores[chunk].mean(axis=1) for chunk in _draws(n, seed, resamples)]
    return Replicates(
        value=total / n,
        left_out=(total - scores) / max(n - 1, 1),
        resampled=np.concatenate(means) if means else np.empty(0),
    )


def replicate(statistic: Statistic, n: int, *, seed: int, resamples: int = RESAMPLES) -> Replicates:
    """Replicates of any statistic of n rows.

    Args:
        statistic: called with `resamples` index arrays of length n and n of length n − 1.
        n: rows, at least 2.
        seed: of the resampling; contenders to be compared share it.
        resamples: bootstrap samples, 0 for the jackknife alone.
    """
    rows = np.arange(n, dtype=np.int64)
    return Replicates(
        value=statistic(rows),
        left_out=np.array([statistic(np.delete(rows, row)) for row in rows]),
        resampled=np.array(
            [statistic(draw) for chunk in _draws(n, seed, resamples) for draw in chunk]
        ),
    )


def _draws(n: int, seed: int, resamples: int) -> list[IntArray]:
    """Bootstrap samples as (some, n) index arrays, the same for the same arguments."""
    rng = np.random.default_rng(seed)
    step = max(1, _CHUNK // n)
    return [
        rng.integers(n, size=(min(step, resamples - start), n))
        for start in range(0, resamples, step)
    ]


def is_thin(pseudo_values: FloatArray) -> bool:
    """Whether so few rows carry information that the bootstrap cannot be trusted."""
    informative = np.abs(pseudo_values - np.median(pseudo_values)) > 1e-9
    return pseudo_values.size < GUARD_ROWS or int(informative.sum()) < GUARD_INFORMATIVE


def bca_difference(difference: Replicates, *, confidence: float = 0.95) -> Interval:
    """The bias-corrected and accelerated bootstrap interval of a difference (Efron 1987).

    The p-value is found by inverting the interval: the level at which 0 would be its end. Where
    fewer than `GUARD_ROWS` rows are compared, or fewer than `GUARD_INFORMATIVE` differ, the
    bootstrap only repeats the few rows it saw; Bonett and Price's pseudo-rows with Student's t
    on the jackknife pseudo-values take its place.

    Args:
        difference: replicates of a minus those of b.
        confidence: nominal coverage.
    """
    pseudo_values = difference.pseudo_values
    if is_thin(pseudo_values):
        guarded = mean_difference(pseudo_values, confidence=confidence)
        return Interval(
            value=difference.value,
            low=min(guarded.low, difference.value),
            high=max(guarded.high, difference.value),
            p=guarded.p,
            method="pseudo-row t (small-sample guard)",
        )
    low, high = _bca_ends(difference, confidence)
    return Interval(
        value=difference.value,
        low=max(-1.0, low),
        high=min(1.0, high),
        p=_bca_p(difference),
        method="paired bootstrap (BCa)",
    )


def bca_mean(replicates: Replicates, *, confidence: float = 0.95) -> Interval:
    """The BCa interval of one quality between 0 and 1, with the guard of `bca_difference`.

    Args:
        replicates: of one contender.
        confidence: nominal coverage.
    """
    pseudo_values = replicates.pseudo_values
    if is_thin(pseudo_values):
        guarded = mean_difference(2.0 * pseudo_values - 1.0, confidence=confidence)
        low, high = (guarded.low + 1.0) / 2.0, (guarded.high + 1.0) / 2.0
        method = "pseudo-row t (small-sample guard)"
    else:
        low, high = _bca_ends(replicates, confidence)
        method = "bootstrap (BCa)"
    return Interval(
        value=replicates.value,
        low=max(0.0, min(low, replicates.value)),
        high=min(1.0, max(high, replicates.value)),
        p=None,
        method=method,
    )


def _bias(replicates: Replicates) -> float:
    """z0: how far the observed value lies from the median of its resamples; ties count half."""
    resampled = replicates.resampled
    below = float((resampled < replicates.value - 1e-12).sum())
    level = float((np.abs(resampled - replicates.value) <= 1e-12).sum())
    return normal_quantile(_inside((below + level / 2.0) / resampled.size, resampled.size))


def _acceleration(replicates: Replicates) -> float:
    """The skewness of the jackknife, a sixth of it."""
    spread = replicates.left_out.mean() - replicates.left_out
    scale = float((spread**2).sum()) ** 1.5
    return float((spread**3).sum()) / (6.0 * scale) if scale > 0.0 else 0.0


def _bca_ends(replicates: Replicates, confidence: float) -> tuple[float, float]:
    bias, acceleration = _bias(replicates), _acceleration(replicates)
    ends: list[float] = []
    for tail in ((1.0 - confidence) / 2.0, (1.0 + confidence) / 2.0):
        z = bias + normal_quantile(tail)
        level = normal_cdf(bias + z / (1.0 - acceleration * z))
        ends.append(float(np.quantile(replicates.resampled, level)))
    return ends[0], ends[1]


def _bca_p(replicates: Replicates) -> float:
    resampled = replicates.resampled
    bias, acceleration = _bias(replicates), _acceleration(replicates)
    below = float((resampled < 0.0).sum() + (resampled == 0.0).sum() / 2.0) / resampled.size
    z = normal_quantile(_inside(below, resampled.size)) - bias
    tail = normal_cdf(z / (1.0 + acceleration * z) - bias)
    return min(1.0, max(2.0 * min(tail, 1.0 - tail), 1.0 / (resampled.size + 1)))


def _inside(share: float, count: int) -> float:
    """A share of `count` draws, kept away from 0 and 1, where normal quantiles are infinite."""
    return min(max(share, 0.5 / count), 1.0 - 0.5 / count)
