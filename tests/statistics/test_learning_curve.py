"""What three or four sizes say of twice the rows, and what they leave open."""

import numpy as np
import pytest

from tunewise.statistics.intervals import Interval
from tunewise.statistics.learning_curve import (
    ROOM,
    SLOPE_MEDIAN,
    SLOPE_SPREAD,
    Point,
    fit_curve,
    last_doubling,
)

SIZES = (50, 100, 200, 400)


def power_law(rows: float, quality: float, room: float, slope: float) -> float:
    return quality + room * (1.0 - (SIZES[-1] / rows) ** slope)


def points(*law: float, error: float = 0.004, noise: np.ndarray | None = None) -> list[Point]:
    off = np.zeros(len(SIZES)) if noise is None else noise
    return [
        Point(rows=rows, quality=power_law(rows, *law) + bit, error=error)
        for rows, bit in zip(SIZES, off, strict=True)
    ]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("law", [(0.7, 0.2, 0.5), (0.8, 0.08, 1.0), (0.6, 0.35, 0.3)])
def test_twice_the_rows_are_read_off_a_curve_that_is_known_well(law: tuple[float, ...]) -> None:
    found = fit_curve(points(*law), rng=rng()).at(800)
    true = power_law(800, *law)
    assert found.value == pytest.approx(true, abs=0.015)
    assert found.low <= true <= found.high


def test_where_rows_changed_nothing_more_rows_are_not_expected_to() -> None:
    found = fit_curve(points(0.7, 0.0, 0.5), rng=rng())
    assert float(np.quantile(found.growth(800), 0.95)) < 0.03


def test_what_is_perfect_already_cannot_grow() -> None:
    found = fit_curve([Point(rows=n, quality=1.0, error=0.01) for n in SIZES], rng=rng())
    assert found.at(800).value == pytest.approx(1.0, abs=0.01)


def test_points_that_are_known_badly_leave_a_wide_band() -> None:
    law = (0.7, 0.2, 0.5)
    sharp, vague = (
        fit_curve(points(*law, error=error), rng=rng()).at(800) for error in (0.004, 0.05)
    )
    assert vague.high - vague.low > 3 * (sharp.high - sharp.low)


def test_quality_never_leaves_its_range() -> None:
    found = fit_curve(points(0.98, 0.02, 0.4, error=0.03), rng=rng())
    assert found.at(800).high <= 1.0
    assert (found.quality + found.growth(800) <= 1.0 + 4 * 0.03).all()


def test_nothing_is_said_beyond_twice_the_rows_or_from_one_size() -> None:
    with pytest.raises(ValueError, match="more than twice"):
        fit_curve(points(0.7, 0.2, 0.5), rng=rng()).at(801)
    with pytest.raises(ValueError, match="two sizes"):
        fit_curve(points(0.7, 0.2, 0.5)[:1], rng=rng())


def test_the_band_covers_curves_drawn_from_its_own_priors() -> None:
    """Calibration by simulation (Talts et al. 2018, arXiv:1804.06788)."""
    chance, held, error, count = rng(5), 0, 0.015, 300
    for n in range(count):
        room = min(0.5, chance.exponential(ROOM))
        slope = float(np.exp(np.log(SLOPE_MEDIAN) + SLOPE_SPREAD * chance.standard_normal()))
        law = (1.0 - room - chance.uniform(0.0, 0.3), room, slope)
        noise = error * chance.standard_normal(len(SIZES))
        found = fit_curve(points(*law, error=error, noise=noise), rng=rng(n), draws=1000)
        held += found.at(800).low <= power_law(800, *law) <= found.at(800).high
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
