import numpy as np
import pytest

from tunewise.statistics.intervals import bonett_price
from tunewise.statistics.power import DISCORDANCE, detectable_gain, rows_for_power


def test_rows_follow_connors_formula():
    # (1.95996 · sqrt(0.2) + 0.84162 · sqrt(0.2 − 0.01))² / 0.01 = 154.6
    assert rows_for_power(0.1, 0.2) == 155


def test_that_many_rows_do_show_the_gain_in_about_80_of_100_projects():
    rng = np.random.default_rng(1)
    n = rows_for_power(0.1, 0.2)
    draws = rng.multinomial(n, [0.15, 0.05, 0.8], size=2000).tolist()
    shown = np.mean([bonett_price(a, b, n, degrees=n - 1).low > 0 for a, b, _ in draws])
    assert shown == pytest.approx(0.8, abs=0.04)


def test_the_gain_that_rows_can_tell_is_the_inverse_of_the_rows_that_a_gain_needs():
    for gain in (0.03, 0.05, 0.1, 0.15):
        needed = rows_for_power(gain, DISCORDANCE)
        assert detectable_gain(needed) == pytest.approx(gain, rel=0.01)
        assert detectable_gain(needed - 1) > gain
    assert detectable_gain(90) == pytest.approx(0.131, abs=0.001)


def test_few_rows_tell_only_a_gain_larger_than_the_usual_discordance():
    assert DISCORDANCE < detectable_gain(20) < detectable_gain(10) < detectable_gain(5) <= 1


def test_nothing_can_be_planned_for_no_difference():
    with pytest.raises(ValueError, match="above 0"):
        rows_for_power(0.0, 0.2)
