"""What three or four sizes say of twice the rows, and what they leave open."""

import numpy as np
import pytest

from tunewise.statistics.intervals import Interval
from tunewise.statistics.learning_curve import (
    HALF_WAY,
    MISFIT,
    STEEP,
    Point,
    fit_curve,
    last_doubling,
    later_difference,
)

SIZES = (50, 100, 200, 400)
Law = tuple[float, float, float, float]
"""Quality without rows and with rows without end, rows at half the way, steepness."""


def mmf(rows: float, law: Law) -> float:
    none, top, half_way, steep = law
    return none + (top - none) / (1.0 + (half_way / rows) ** steep)


def points(law: Law, error: float = 0.004, noise: np.ndarray | None = None) -> list[Point]:
    off = np.zeros(len(SIZES)) if noise is None else noise
    return [
        Point(rows=rows, quality=mmf(rows, law) + bit, error=error)
        for rows, bit in zip(SIZES, off, strict=True)
    ]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


BENDING_DOWN: Law = (0.1, 0.9, 60, 1.0)
BENDING_UP: Law = (0.0, 1.0, 900, 1.5)
"""Many labels, few rows: each doubling brings more than the one before."""
FLAT: Law = (0.7, 0.7, 100, 1.0)


@pytest.mark.parametrize("law", [BENDING_DOWN, BENDING_UP, (0.3, 0.8, 200, 0.7)])
def test_twice_the_rows_are_read_off_a_curve_that_is_known_well(law: Law) -> None:
    found = fit_curve(points(law), rng=rng()).at(800)
    true = mmf(800, law)
    assert found.value == pytest.approx(true, abs=0.07)
    assert found.low <= true <= found.high


def test_the_next_doubling_may_bring_more_than_the_last() -> None:
    curve = fit_curve(points(BENDING_UP), rng=rng())
    last = mmf(400, BENDING_UP) - mmf(200, BENDING_UP)
    assert float(np.median(curve.growth(800))) > last


def test_where_rows_changed_nothing_more_rows_are_not_expected_to() -> None:
    found = fit_curve(points(FLAT), rng=rng())
    assert abs(float(np.median(found.growth(800)))) < 0.01
    assert found.at(800).high < 0.75


def test_points_that_are_known_badly_leave_a_wide_band() -> None:
    sharp, vague = (
        fit_curve(points(BENDING_DOWN, error=error), rng=rng()).at(800) for error in (0.004, 0.06)
    )
    assert vague.high - vague.low > 2 * (sharp.high - sharp.low)


def test_quality_never_leaves_its_range() -> None:
    found = fit_curve(points((0.9, 0.99, 100, 1.0), error=0.03), rng=rng())
    assert found.at(800).high <= 1.0
    perfect = fit_curve([Point(rows=n, quality=1.0, error=0.01) for n in SIZES], rng=rng())
    assert perfect.at(800).value == pytest.approx(1.0, abs=0.02)


def test_nothing_is_said_beyond_twice_the_rows_or_from_one_size() -> None:
    with pytest.raises(ValueError, match="more than twice"):
        fit_curve(points(BENDING_DOWN), rng=rng()).at(801)
    with pytest.raises(ValueError, match="two sizes"):
        fit_curve(points(BENDING_DOWN)[:1], rng=rng())


@pytest.mark.slow
def test_the_band_covers_curves_drawn_from_its_own_priors() -> None:
    """Calibration by simulation (Talts et al. 2018, arXiv:1804.06788)."""
    chance, held, error, count = rng(5), 0, 0.015, 200
    for n in range(count):
        ends = [np.exp(chance.uniform(*np.log(pair))) for pair in (HALF_WAY, STEEP)]
        none, top = sorted(chance.uniform(size=2))
        law = (none, top, SIZES[-1] * ends[0], ends[1])
        noise = np.hypot(error, MISFIT) * chance.standard_normal(len(SIZES))
        found = fit_curve(points(law, error=error, noise=noise), rng=rng(n), draws=1000)
        held += found.at(800).low <= mmf(800, law) <= found.at(800).high
    assert held / count >= 0.85  # 90% within three standard errors


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [
        (-0.02, 0.03, "flat"),
        (0.01, 0.04, "flat"),
        (0.01, 0.09, "rising"),
        (-0.03, 0.08, "cannot say"),
    ],
)
def test_the_last_doubling_is_flat_rising_or_open(low: float, high: float, says: str) -> None:
    seen = Interval(value=(low + high) / 2, low=low, high=high, p=None, method="paired")
    assert last_doubling(seen, minimum_gain=0.05) == says


def test_a_difference_grows_as_the_curve_does_and_is_known_no_better_than_both() -> None:
    curve = fit_curve(points(BENDING_DOWN), rng=rng())
    now = Interval(value=0.2, low=0.12, high=0.28, p=None, method="paired")
    found = later_difference(now, curve, 800, rng=rng())
    growth = curve.growth(800)
    assert found.value == pytest.approx(0.2 + float(np.median(growth)), abs=0.005)
    low, high = np.quantile(growth, (0.05, 0.95))
    assert found.high - found.low == pytest.approx(np.hypot(0.16, high - low), rel=0.1)
