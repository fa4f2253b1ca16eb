import math

import pytest

from tunewise.statistics.amounts import added, break_even, mean_of_rounds, scaled
from tunewise.statistics.intervals import Interval


def interval(value, low, high):
    return Interval(value=value, low=low, high=high, p=None, method="t")


def test_the_mean_of_rounds_has_students_interval():
    found = mean_of_rounds([1.0, 2.0, 3.0, 4.0])
    reach = 3.182446 * math.sqrt(5 / 3) / 2
    assert (found.value, found.low, found.high) == pytest.approx((2.5, 2.5 - reach, 2.5 + reach))


def test_three_rounds_are_too_few():
    with pytest.raises(ValueError, match="at least 4"):
        mean_of_rounds([1.0, 2.0, 3.0])


def test_a_factor_below_0_turns_an_interval_round():
    found = scaled(interval(2.0, 1.0, 4.0), -3.0, 1.0)
    assert (found.low, found.value, found.high) == (-11.0, -5.0, -2.0)


def test_errors_of_a_sum_add_in_squares_at_each_end():
    found = added(interval(10.0, 7.0, 11.0), interval(1.0, -3.0, 1.5))
    assert (found.low, found.value) == (6.0, 11.0)
    assert found.high == pytest.approx(11.0 + math.hypot(1.0, 0.5))


def test_a_cost_is_recovered_between_the_ends_of_the_saving():
    found = break_even(600.0, interval(3.0, 2.0, 6.0))
    assert (found.low, found.value, found.high) == (100.0, 200.0, 300.0)
    assert found.recovered == "yes"


def test_break_even_is_unbounded_where_the_savings_interval_holds_0():
    found = break_even(600.0, interval(3.0, -1.0, 6.0))
    assert (found.low, found.value, found.high) == (100.0, 200.0, None)
    assert found.recovered == "open"


def test_an_estimated_loss_may_still_be_a_saving():
    found = break_even(600.0, interval(-1.0, -4.0, 2.0))
    assert (found.low, found.value, found.high) == (300.0, None, None)
    assert found.recovered == "open"


@pytest.mark.parametrize("high", [-0.5, 0.0])
def test_what_saves_nothing_is_never_recovered(high):
    assert break_even(600.0, interval(-1.0, -4.0, high)).recovered == "never"


def test_what_costs_nothing_is_recovered_at_once():
    assert break_even(0.0, interval(3.0, 2.0, 6.0)).high == 0.0


@pytest.mark.parametrize("requests", [1, 99, 100, 150, 300, 301, 10**6])
def test_it_holds_the_numbers_at_which_the_net_saving_may_be_0(requests):
    """Fieller's inversion, by its definition."""
    saving = interval(3.0, 2.0, 6.0)
    net = scaled(saving, requests, -600.0)
    found = break_even(600.0, saving)
    assert (net.low <= 0.0 <= net.high) == (found.low <= requests <= found.high)


def test_a_negative_cost_is_refused():
    with pytest.raises(ValueError, match="a cost of -1"):
        break_even(-1.0, interval(3.0, 2.0, 6.0))
