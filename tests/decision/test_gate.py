import numpy as np
import pytest

from tunewise.decision.gate import Gate, GateDemands, gate_rows
from tunewise.decision.plan import Measured
from tunewise.statistics.intervals import IntArray, Interval


def model(right: int, n: int = 400) -> Measured:
    """Right on the first rows."""
    return Measured(name="m", trained=False, scores={0: np.arange(n) < right})


def gate(*, margin: float | None = 0.05, floor: float | None = None, n: int = 400) -> Gate:
    return Gate(
        rows=gate_rows(n, binary=True, units=[None] * n),
        baseline=None if margin is None else model(320, n),
        demands=GateDemands(margin=margin, floor=floor),
    )


def test_a_model_as_good_as_the_release_passes_and_one_far_worse_does_not() -> None:
    assert gate().passes(model(320), error=0.025)
    assert not gate().passes(model(290), error=0.025)
    # Within the margin by point estimate, but not shown to be.
    assert not gate().passes(model(304), error=0.025)


def test_a_stricter_look_asks_for_more() -> None:
    assert gate().passes(model(316), error=0.025)
    assert not gate().passes(model(316), error=1e-9)


def test_a_floor_has_to_be_exceeded_surely() -> None:
    alone = gate(margin=None, floor=0.8)
    assert alone.passes(model(340), error=0.025)
    assert not alone.passes(model(330), error=0.025)
    assert alone.chance(0.025) is None


def test_release_and_floor_are_both_asked_where_both_are_given() -> None:
    both = gate(margin=0.05, floor=0.8)
    assert both.passes(model(340), error=0.025)
    assert not both.passes(model(320), error=0.025)  # as good as the release, at the floor


def test_a_crash_counts_as_wrong() -> None:
    scores = np.where(np.arange(400) < 320, 1.0, 0.0)
    scores[:40] = np.nan
    crashed = Measured(name="m", trained=False, scores={0: scores})
    assert not gate().passes(crashed, error=0.025)


def test_a_metric_that_is_no_mean_is_judged_by_its_own_value() -> None:
    n = 100
    right = np.arange(n) < 80

    def squared(of: np.ndarray) -> Measured:
        def quality(rows: IntArray) -> float:
            return float(np.mean(of[rows])) ** 2

        return Measured(name="m", trained=False, scores={0: of}, aggregate={0: quality})

    judged = Gate(
        rows=gate_rows(n, binary=False, units=[None] * n),
        baseline=squared(right.astype(float)),
        demands=GateDemands(margin=0.1, floor=None),
    )
    worse = right & (np.arange(n) >= 6)
    # 6 points by accuracy, 9 by its square.
    assert judged.numbers(squared(worse.astype(float))).difference is not None
    assert judged.passes(squared(right.astype(float)), error=0.025)
    assert not judged.passes(squared(worse.astype(float)), error=0.025)


def test_units_are_what_counts() -> None:
    scores = np.ones(400)
    scores[:8] = 0.0
    baseline = Measured(name="b", trained=False, scores={0: np.ones(400)})
    given = Measured(name="m", trained=False, scores={0: scores})
    demands = GateDemands(margin=0.05, floor=None)
    apart, units = (
        Gate(rows=gate_rows(400, binary=True, units=names), baseline=baseline, demands=demands)
        for names in ([None] * 400, [f"{row // 8}" for row in range(400)])
    )
    assert apart.passes(given, error=0.005)
    assert not units.passes(given, error=0.005)


def test_numbers_are_quality_and_difference_with_intervals() -> None:
    numbers = gate().numbers(model(330))
    assert numbers.quality.value == pytest.approx(0.825)
    assert isinstance(numbers.difference, Interval)
    assert numbers.difference.value == pytest.approx(0.025)
    assert numbers.difference.low < 0.025 < numbers.difference.high


def test_the_chance_of_an_equal_model_falls_with_every_look() -> None:
    first, later = gate().chance(0.025), gate().chance(1e-5)
    assert first is not None
    assert later is not None
    assert first > 0.5 > later
