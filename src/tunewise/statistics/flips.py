"""What became of answers that were right: two models on the same items, item by item.

Arrays in, numbers out. The items of a kind are one cluster: a model that forgets how to write JSON
gets all of those wrong at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from tunewise.statistics import paired
from tunewise.statistics.distributions import student_quantile
from tunewise.statistics.intervals import FloatArray, Interval, NotComputed

CONFIDENCE = 0.90
"""Of the intervals: each end errs in 5%, as a test against a margin on one side does."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Flips:
    """How many answers turned, and what that comes to."""

    items: int
    before: float
    """Share of items that were right before."""
    after: float
    lost: int
    """Items right before and wrong after: negative flips (Yan et al. 2021, arXiv:2011.09161)."""
    won: int
    """Items wrong before and right after."""
    change: Interval | NotComputed
    """`after` minus `before`, paired."""
    lost_share: Interval | NotComputed | None
    """Negative flips as a share of the items that were right before; None where none was."""


def flips(
    before: FloatArray,
    after: FloatArray,
    clusters: Sequence[str],
    *,
    confidence: float = CONFIDENCE,
) -> Flips:
    """Compares two models on the same items.

    Args:
        before: (n,) 1 where the first model was right, else 0.
        after: (n,) the same for the second.
        clusters: (n,) which items belong together.
        confidence: of the intervals.

    Raises:
        ValueError: there is no item.
    """
    if before.size == 0:
        raise ValueError("no items to compare")
    rows = paired.rows_of(before.size, binary=True, groups=list(clusters))
    lost = (before == 1.0) & (after == 0.0)
    right = np.flatnonzero(before == 1.0)
    share = None
    if right.size:
        among = paired.rows_of(
            right.size, binary=True, groups=[clusters[n] for n in right.tolist()]
        )
        flipped = lost[right].astype(np.float64)
        share = paired.quality(paired.sample(flipped, among), among, confidence=confidence)
    return Flips(
        items=before.size,
        before=float(before.mean()),
        after=float(after.mean()),
        lost=int(lost.sum()),
        won=int(((before == 0.0) & (after == 1.0)).sum()),
        change=paired.difference(
            paired.sample(after, rows), paired.sample(before, rows), rows, confidence=confidence
        ),
        lost_share=share,
    )


def mean_change(
    before: FloatArray,
    after: FloatArray,
    clusters: Sequence[str],
    *,
    confidence: float = CONFIDENCE,
) -> Interval | NotComputed:
    """The mean paired difference of scores between 0 and 1, with its interval.

    Args:
        before: (n,) scores of the first model.
        after: (n,) of the second.
        clusters: (n,) which items belong together.
        confidence: of the interval.
    """
    rows = paired.rows_of(before.size, binary=False, groups=list(clusters))
    return paired.difference(
        paired.sample(after, rows), paired.sample(before, rows), rows, confidence=confidence
    )


def mean_interval(values: FloatArray, *, confidence: float = CONFIDENCE) -> Interval:
    """Student's t interval of a mean of values without bounds.

    Args:
        values: (n,) at least two.
        confidence: of the interval.
    """
    mean = float(values.mean())
    error = max(float(values.std(ddof=1)), 1e-12) / sqrt(values.size)
    reach = student_quantile((1.0 + confidence) / 2.0, values.size - 1.0) * error
    return Interval(value=mean, low=mean - reach, high=mean + reach, p=None, method="Student's t")


def share(
    flags: FloatArray, clusters: Sequence[str], *, confidence: float = CONFIDENCE
) -> Interval | NotComputed:
    """How often something holds, with its interval.

    Args:
        flags: (n,) 1 where it holds, else 0.
        clusters: (n,) which items belong together.
        confidence: of the interval.
    """
    rows = paired.rows_of(flags.size, binary=True, groups=list(clusters))
    return paired.quality(paired.sample(flags, rows), rows, confidence=confidence)
