import numpy as np
import pytest

from costs import LOGS, cost_coverage
from tunewise.statistics import paired
from tunewise.statistics.heavy_tails import heavy_tailed_mean
from tunewise.statistics.intervals import NotComputed


def rows(n, groups=None):
    return paired.rows_of(n, binary=False, groups=groups)


def drawn(n, seed=1):
    return np.exp(np.random.default_rng(seed).standard_normal(n))


def test_the_estimate_is_the_mean():
    values = drawn(50)
    assert heavy_tailed_mean(values, rows(50), largest=10.0).value == pytest.approx(values.mean())


def test_a_long_tail_to_the_right_reaches_further_up_than_down():
    found = heavy_tailed_mean(drawn(60), rows(60), largest=10.0)
    assert found.high - found.value > 1.1 * (found.value - found.low)


def test_the_interval_of_losses_is_that_of_gains_turned_round():
    one = heavy_tailed_mean(drawn(40), rows(40), largest=8.0)
    other = heavy_tailed_mean(-drawn(40), rows(40), largest=8.0)
    assert (other.low, other.high) == pytest.approx((-one.high, -one.low))


def test_it_does_not_depend_on_the_currency():
    one = heavy_tailed_mean(drawn(40), rows(40), largest=8.0)
    cents = heavy_tailed_mean(100 * drawn(40), rows(40), largest=800.0)
    assert (cents.low, cents.high) == pytest.approx((100 * one.low, 100 * one.high))


def test_a_saving_that_is_the_same_in_each_row_is_not_taken_for_certainty():
    found = heavy_tailed_mean(np.full(100, 3.0), rows(100), largest=5.0)
    assert 2.0 < found.low < 3.0 < found.high < 4.0


def test_what_may_be_larger_than_all_that_was_seen_widens_the_interval():
    seen, more = (heavy_tailed_mean(drawn(40), rows(40), largest=size) for size in (8.0, 80.0))
    assert more.high - more.low > 2 * (seen.high - seen.low)


def test_copies_in_units_are_worth_no_more_than_their_units():
    values = drawn(30)
    copied = heavy_tailed_mean(
        np.repeat(values, 5), rows(150, [str(n // 5) for n in range(150)]), largest=8.0
    )
    alone = heavy_tailed_mean(values, rows(30), largest=8.0)
    assert (copied.low, copied.high) == pytest.approx((alone.low, alone.high))


def test_with_19_rows_or_9_units_nothing_is_computed():
    assert isinstance(heavy_tailed_mean(drawn(19), rows(19), largest=8.0), NotComputed)
    groups = [str(n % 9) for n in range(90)]
    assert isinstance(heavy_tailed_mean(drawn(90), rows(90, groups), largest=8.0), NotComputed)


@pytest.mark.parametrize(("size", "largest"), [(20, 0.0), (21, 1.0)])
def test_impossible_input_is_refused(size, largest):
    with pytest.raises(ValueError, match="for 20 rows"):
        heavy_tailed_mean(np.ones(size), rows(20), largest=largest)


def test_a_saving_is_covered_where_answers_have_heavy_tails():
    assert cost_coverage(LOGS["the rival talks"], units=40, draws=300, seed=3).saving >= 0.92


@pytest.mark.slow
@pytest.mark.parametrize("name", list(LOGS))
def test_savings_and_break_even_are_covered_whatever_the_logs_look_like(name):
    for units in (20, 50, 120, 300):
        found = cost_coverage(LOGS[name], units=units, draws=1500, seed=units)
        print(name, units, found)  # noqa: T201 -- the numbers of docs/method.md
        assert found.saving >= 0.93 - 0.013  # two standard errors of 1,500 draws
        assert found.break_even >= 0.93 - 0.013


@pytest.mark.slow
def test_students_interval_would_not_cover_them():
    """The simulation is sharp enough to notice an interval that knows no skewness."""
    found = cost_coverage(LOGS["the rival talks, long tail"], units=50, draws=1500, seed=5)
    assert found.student < 0.91
