"""Whether one of several is surely behind the best by more than a margin, asked as often as wanted.

The bound holds at any stopping time, so that looking after every few rows costs nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tunewise.statistics import paired
from tunewise.statistics.intervals import FloatArray, IntArray, Interval
from tunewise.statistics.jackknife import Statistic

ERROR = 0.01
"""Chance to call one surely behind that is not."""
BETS = np.array([0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95])
"""Stakes, as shares of the highest that cannot lose all: the wealth is the mean over them."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Seen:
    """What is known of one racer: its scores of the first rows, in the order of the race."""

    scores: FloatArray
    """(seen,) from 0 to 1, a crash counted as 0."""
    aggregate: Statistic | None = None
    """The quality as a function of row indices, where it is no mean."""

    def quality(self, rows: int) -> float:
        """Over the first so many rows, at least one."""
        if self.aggregate is not None:
            return self.aggregate(np.arange(rows, dtype=np.int64))
        return float(self.scores[:rows].sum()) / rows


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Rival:
    """One of those that a racer is compared with."""

    seen: Seen
    weight: float
    """Its part of the evidence; those of all rivals sum to 1."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Course:
    """The rows of a race, in the order in which everybody answers them."""

    groups: Sequence[str | None]
    """(n,) the independent unit of each row, rows of one unit next to each other; None: a row on
    its own."""
    margin: float
    """How far behind is too far."""
    codes: IntArray | None = field(init=False)
    """(n,) number of each row's unit; None: every row stands alone."""
    largest: int = field(init=False)
    """Rows of the largest unit."""

    def __post_init__(self) -> None:
        codes = paired.rows_of(len(self.groups), binary=False, groups=self.groups).codes
        object.__setattr__(self, "codes", codes)
        object.__setattr__(self, "largest", 1 if codes is None else int(np.bincount(codes).max()))

    def surely_behind(self, one: Seen, rivals: Sequence[Rival], *, look: int) -> bool:
        """Whether `one` is worse than the best by more than the margin, with chance of error 1%.

        If it is within the margin of the best, it is so of every rival, and what is shown against
        any of them is wrong. Each rival's evidence is an e-value on the rows that both answered;
        their weighted mean is one too, and exceeds 100 with a chance of 1% at most, whenever one
        looks (Ville 1939). Where quality is no mean, the best rival alone is asked, and the chance
        of 1% is shared among rivals and looks: 6 / (pi k)^2 of it for the k-th.

        Args:
            one: after some rows, at the end of a unit.
            rivals: on the same course; rows that only one of the two answered do not count.
            look: 1, 2, ...: how often this was asked of `one`.
        """
        shared = [
            (rival, n) for rival in rivals if (n := min(one.scores.size, rival.seen.scores.size))
        ]
        reached = {n: one.quality(n) + self.margin for _, n in shared}
        if not any(reached[n] < rival.seen.quality(n) for rival, n in shared):
            return False
        if one.aggregate is not None:
            rival, n = max(shared, key=lambda pair: pair[0].seen.quality(pair[1]))
            error = ERROR * 6.0 / (np.pi * look) ** 2 * rival.weight
            return self._bound(one, rival.seen, n, error=error) < -self.margin
        return sum(rival.weight * self._evidence(one, rival.seen, n) for rival, n in shared) >= (
            1.0 / ERROR
        )

    def _evidence(self, one: Seen, other: Seen, n: int) -> float:
        """The e-value against "`one` is within the margin of the other", over n rows."""
        return evidence_behind(
            one.scores[:n] - other.scores[:n],
            margin=self.margin,
            codes=None if self.codes is None else self.codes[:n],
            largest=self.largest,
        )

    def _bound(self, one: Seen, other: Seen, n: int, *, error: float) -> float:
        """The one-sided upper bound of the difference of two aggregates over n rows."""
        rows = paired.rows_of(n, binary=False, groups=self.groups[:n])
        if rows.shortage is not None:
            return float("inf")
        a, b = (paired.sample(s.scores[:n], rows, s.aggregate) for s in (one, other))
        found = paired.difference(a, b, rows, confidence=1.0 - 2.0 * error)
        return found.high if isinstance(found, Interval) else float("inf")


def evidence_behind(
    differences: FloatArray, *, margin: float, codes: IntArray | None = None, largest: int = 1
) -> float:
    """The e-value against "the mean of the differences is at least −margin".

    The wealth of one who bets on every row, or on the sum of every unit's rows, that it lies below
    −margin, at stakes fixed beforehand (Waudby-Smith & Ramdas 2024, section 4; Shafer 2021). It is
    a martingale at best where that is false, and does not depend on the order of rows.

    Args:
        differences: (n,) paired, from −1 to 1.
        margin: from 0 to 1.
        codes: (n,) unit of each row; None: every row is one.
        largest: rows of the largest unit there can be.

    Returns:
        At least 0; 1 where nothing was seen.
    """
    above = differences + margin
    if codes is not None:
        above = np.bincount(codes, weights=above)
    stakes = BETS / ((1.0 + margin) * largest)
    wealth = np.log1p(-stakes[:, None] * above[None, :]).sum(axis=1)
    return float(np.exp(wealth).mean())
