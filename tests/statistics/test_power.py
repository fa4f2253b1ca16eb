import numpy as np
import pytest

from tunewise.statistics.intervals import bonett_price
from tunewise.statistics.power import chance_to_tell, rows_for_power


def test_rows_follow_connors_formula():
    # (1.95996 · sqrt(0.2) + 0.84162 · sqrt(0.2 − 0.01))² / 0.01 = 154.6
    assert rows_for_power(0.1, 0.2) == 155


def test_that_many_rows_do_show_the_gain_in_about_80_of_100_projects():
    rng = np.random.default_rng(1)
    n = rows_for_power(0.1, 0.2)
    draws = rng.multinomial(n, [0.15, 0.05, 0.8], size=2000).tolist()
    shown = np.mean([bonett_price(a, b, n, degrees=n - 1).low > 0 for a, b, _ in draws])
    assert shown == pytest.approx(0.8, abs=0.04)


def test_a_gain_of_just_the_minimum_is_told_in_half_of_all_projects_at_most():
    assert chance_to_tell(100, 0.05, 0.05) == pytest.approx(0.27, abs=0.01)
    assert chance_to_tell(630, 0.05, 0.05) == pytest.approx(0.5, abs=0.001)
    assert chance_to_tell(100_000, 0.05, 0.05) == pytest.approx(0.5, abs=0.001)


def test_the_chance_grows_with_the_rows_and_with_the_gain():
    chances = [[chance_to_tell(n, gain, 0.05) for gain in (0.1, 0.2)] for n in (20, 50, 100, 600)]
    assert chances == sorted(chances)
    assert all(smaller < larger for smaller, larger in chances)
    assert chance_to_tell(20, 1.0, 0.05) > 0.999


def test_nothing_can_be_planned_for_no_difference():
    with pytest.raises(ValueError, match="above 0"):
        rows_for_power(0.0, 0.2)
