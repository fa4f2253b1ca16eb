"""How quality grows with rows to learn from, and what twice as many would bring.

    quality(n) = q + r (1 - (N / n)^c)        (POW3: Viering & Loog 2022, arXiv:2103.10948)

N are all rows, q the quality they give, r what rows without end would add, c how fast that comes.
Three or four sizes tell three numbers badly: they are weighed over a grid of r and c with weak
priors, and q is integrated out. Nothing is said beyond twice the rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tunewise.statistics.intervals import FloatArray, Interval

SLOPES = np.geomspace(0.05, 3.0, 240)
"""Values of c on the grid."""
SLOPE_MEDIAN, SLOPE_SPREAD = 0.5, 0.7
"""Prior of c: log-normal, 90% of it between 0.16 and 1.6."""
ROOM = 0.2
"""Prior of r: exponential with this mean, in quality from 0 to 1, and never above 1 - q."""
ROOMS = np.geomspace(0.0005, 1.0, 320)
"""Values of r on the grid."""
LEAST_ERROR = 0.004
"""Below this no difference of two qualities is believed to be known."""

Says = Literal["flat", "rising", "cannot say"]
"""Of the last doubling of rows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """Quality after learning from some of the rows."""

    rows: int
    quality: float
    """Mean over the samples of rows of this size."""
    error: float
    """Its standard error: which rows were in the sample, and half of what its difference to the
    quality at all rows owes to the rows it was judged on."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Curve:
    """Draws from what the points leave possible."""

    rows: int
    """N."""
    quality: FloatArray
    """(draws,) q."""
    room: FloatArray
    """(draws,) r."""
    slope: FloatArray
    """(draws,) c."""

    def at(self, rows: int, *, confidence: float = 0.9) -> Interval:
        """Quality with so many rows, on the rows that judged.

        Raises:
            ValueError: more than twice the rows that there are.
        """
        drawn = np.clip(self.quality + self.growth(rows), 0.0, 1.0)
        return _interval(drawn, confidence)

    def growth(self, rows: int) -> FloatArray:
        """(draws,) quality with so many rows, less quality with all there are.

        Raises:
            ValueError: more than twice the rows that there are.
        """
        if rows > 2 * self.rows:
            raise ValueError(f"{rows} rows are more than twice {self.rows}")
        gained = self.room * (1.0 - (self.rows / rows) ** self.slope)
        return np.minimum(gained, np.maximum(0.0, 1.0 - self.quality))


def fit_curve(points: Sequence[Point], *, rng: np.random.Generator, draws: int = 4000) -> Curve:
    """What the points leave possible.

    Args:
        points: of different sizes, at least two; the largest size is N.
        rng: for the draws.
        draws: how many.

    Raises:
        ValueError: fewer than two sizes.
    """
    if len({point.rows for point in points}) < 2:
        raise ValueError("a curve takes two sizes at least")
    whole = max(point.rows for point in points)
    sizes = np.array([point.rows for point in points], dtype=np.float64)
    seen = np.array([point.quality for point in points])
    weights = 1.0 / np.maximum([point.error for point in points], LEAST_ERROR) ** 2
    room, slope = (grid.ravel() for grid in np.meshgrid(ROOMS, SLOPES, indexing="ij"))
    missing = room[:, None] * (1.0 - (whole / sizes[None, :]) ** slope[:, None])  # (cells, points)
    at_all = seen[None, :] - missing
    quality = at_all @ weights / weights.sum()
    misfit = ((at_all - quality[:, None]) ** 2) @ weights
    log = -0.5 * misfit + _log_prior(room, slope)
    log[quality + room > 1.0 + 3.0 / np.sqrt(weights.sum())] = -np.inf  # but for its own error
    chance = np.exp(log - log.max())
    cells = rng.choice(chance.size, size=draws, p=chance / chance.sum())
    spread = rng.standard_normal(draws) / np.sqrt(weights.sum())
    return Curve(rows=whole, quality=quality[cells] + spread, room=room[cells], slope=slope[cells])


def last_doubling(difference: Interval, *, minimum_gain: float) -> Says:
    """What quality at all rows, less quality at half of them, shows.

    Args:
        difference: of the two, paired by the rows that judged; of 90% confidence.
        minimum_gain: what is worth having; less than that is flat.
    """
    if difference.high < minimum_gain:
        return "flat"
    return "rising" if difference.low > 0 else "cannot say"


def _log_prior(room: FloatArray, slope: FloatArray) -> FloatArray:
    """Of each cell: the grids are even in log r and in log c."""
    of_room = -room / ROOM + np.log(room)
    of_slope = -0.5 * ((np.log(slope) - np.log(SLOPE_MEDIAN)) / SLOPE_SPREAD) ** 2
    return of_room + of_slope


def _interval(drawn: FloatArray, confidence: float) -> Interval:
    tail = (1.0 - confidence) / 2.0
    low, middle, high = np.quantile(drawn, (tail, 0.5, 1.0 - tail))
    return Interval(
        value=float(middle),
        low=float(low),
        high=float(high),
        p=None,
        method=f"POW3, {confidence:.0%}",
    )
