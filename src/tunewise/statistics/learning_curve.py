"""How quality grows with rows to learn from, and what twice as many would bring.

    quality(n) = b + (t - b) / (1 + (h / n)^d)     (MMF: Morgan, Mercer & Flodin 1975)

b is the quality without rows, t with rows without end, h the rows at half the way, d how steep it
is. Of the families that Mohr et al. (2022, LCDB) and Viering & Loog (2022, arXiv:2103.10948)
compare, it is among those that predict best, and can bend both ways: a power law cannot, and told a
third of what twice the rows brought where labels are many and rows few. Three or four sizes tell
four numbers badly: they are weighed under weak priors. Nothing is said beyond twice the rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tunewise.statistics.distributions import normal_quantile
from tunewise.statistics.intervals import FloatArray, Interval

TRIED = 300_000
"""Curves drawn from the priors; each counts as much as the points let it."""
STEEP = (0.2, 3.0)
"""d: log-uniform between these."""
HALF_WAY = (1.0 / 64.0, 32.0)
"""h, in all the rows there are: log-uniform between these."""
MISFIT = 0.01
"""Standard error of the formula itself at every size, in quality from 0 to 1."""

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
    """Draws from what the points leave possible; each array is (draws,)."""

    rows: int
    """All there are."""
    none: FloatArray
    """b."""
    top: FloatArray
    """t."""
    half_way: FloatArray
    """h, in rows."""
    steep: FloatArray
    """d."""
    noise: FloatArray
    """What chance adds to a difference of two qualities: which rows were drawn, and the formula."""

    def at(self, rows: int, *, confidence: float = 0.9) -> Interval:
        """Quality with so many rows, on the rows that judged.

        Raises:
            ValueError: more than twice the rows that there are.
        """
        return _interval(self._quality(rows), confidence)

    def growth(self, rows: int) -> FloatArray:
        """(draws,) what so many rows would be seen to add to the quality of all there are.

        Raises:
            ValueError: more than twice the rows that there are.
        """
        return self._quality(rows) - self._quality(self.rows) + self.noise

    def _quality(self, rows: int) -> FloatArray:
        if rows > 2 * self.rows:
            raise ValueError(f"{rows} rows are more than twice {self.rows}")
        return _mmf(np.array([rows]), self.none, self.top, self.half_way, self.steep)[:, 0]


def fit_curve(points: Sequence[Point], *, rng: np.random.Generator, draws: int = 4000) -> Curve:
    """What the points leave possible.

    Args:
        points: of different sizes, at least two; the largest size is all there are.
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
    errors = np.hypot([point.error for point in points], MISFIT)
    reach = 4.0 * errors
    tried = (
        rng.uniform(0.0, float(min(1.0, (seen + reach).min())), TRIED),
        rng.uniform(float(max(0.0, (seen - reach).max())), 1.0, TRIED),
        whole * _log_uniform(HALF_WAY, rng),
        _log_uniform(STEEP, rng),
    )
    misfit = (((_mmf(sizes, *tried) - seen) / errors) ** 2).sum(axis=1)
    misfit[tried[0] > tried[1]] = np.inf
    chance = np.exp(-0.5 * (misfit - misfit.min()))
    kept = rng.choice(TRIED, size=draws, p=chance / chance.sum())
    none, top, half_way, steep = (some[kept] for some in tried)
    last = float(errors[sizes == whole][0])
    return Curve(
        rows=whole,
        none=none,
        top=top,
        half_way=half_way,
        steep=steep,
        noise=last * np.sqrt(2.0) * rng.standard_normal(draws),
    )


def later_difference(
    now: Interval, curve: Curve, rows: int, *, rng: np.random.Generator, confidence: float = 0.9
) -> Interval:
    """The difference to something that stays as it is, once there are so many rows.

    Args:
        now: the paired difference with all the rows there are, at the same confidence.
        curve: of what learns.
        rows: twice the rows there are at most.
        rng: for the draws.
        confidence: of the band.
    """
    error = (now.high - now.low) / 2.0 / normal_quantile((1.0 + confidence) / 2.0)
    growth = curve.growth(rows)
    drawn = now.value + error * rng.standard_normal(growth.size) + growth
    return _interval(np.clip(drawn, -1.0, 1.0), confidence)


def last_doubling(difference: Interval, *, minimum_gain: float) -> Says:
    """What quality at all rows, less quality at half of them, shows.

    Args:
        difference: of the two, paired by the rows that judged; of 90% confidence.
        minimum_gain: what is worth having; less than that is flat.
    """
    if difference.high < minimum_gain:
        return "flat"
    return "rising" if difference.low > 0 else "cannot say"


def _mmf(
    rows: FloatArray, none: FloatArray, top: FloatArray, half_way: FloatArray, steep: FloatArray
) -> FloatArray:
    """(draws, sizes) the module's formula."""
    far = (half_way[:, None] / rows[None, :]) ** steep[:, None]
    return none[:, None] + (top - none)[:, None] / (1.0 + far)


def _log_uniform(ends: tuple[float, float], rng: np.random.Generator) -> FloatArray:
    return np.exp(rng.uniform(np.log(ends[0]), np.log(ends[1]), TRIED))


def _interval(drawn: FloatArray, confidence: float) -> Interval:
    tail = (1.0 - confidence) / 2.0
    low, middle, high = np.quantile(drawn, (tail, 0.5, 1.0 - tail))
    return Interval(
        value=float(middle),
        low=float(low),
        high=float(high),
        p=None,
        method=f"MMF, {confidence:.0%}",
    )
