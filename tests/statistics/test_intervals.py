import numpy as np
import pytest

from tunewise.statistics.intervals import bonett_price, clopper_pearson, mean_difference, too_few


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(9, 10, 0.5550, 0.9975), (0, 20, 0.0, 0.1684), (10, 20, 0.2720, 0.7280), (20, 20, 0.8316, 1)],
)
def test_clopper_pearson_gives_the_tabulated_values(successes, n, low, high):
    found = clopper_pearson(successes, n)
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


def test_bonett_price_follows_the_published_formula():
    # (11 − 5) / 52 ± 1.95996 · sqrt((16/52 − (6/52)²) / 52), by hand
    found = bonett_price(10, 4, 50)
    assert (found.value, found.low, found.high) == pytest.approx(
        (0.12, -0.03208, 0.26285), abs=1e-5
    )


def test_no_discordant_row_still_leaves_uncertainty():
    found = bonett_price(0, 0, 100)
    assert found.low == -found.high
    assert found.high == pytest.approx(1.959964 * (2 / 102 / 102) ** 0.5)


def test_swapping_the_contenders_mirrors_the_interval():
    one, other = bonett_price(9, 3, 40), bonett_price(3, 9, 40)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))


def test_differences_of_any_size_agree_with_counts_when_they_are_yes_or_no():
    rows = np.array([1.0] * 10 + [-1.0] * 4 + [0.0] * 36)
    by_count = bonett_price(10, 4, 50, degrees=49)
    found = mean_difference(rows)
    assert (found.low, found.high) == pytest.approx((by_count.low, by_count.high))


def test_impossible_counts_are_refused():
    with pytest.raises(ValueError, match="impossible"):
        bonett_price(30, 30, 50)
    with pytest.raises(ValueError, match="impossible"):
        clopper_pearson(6, 5)


def test_too_few_rows_or_groups_is_said():
    assert too_few(6, None) == "6 rows (at least 20 are needed)"
    assert too_few(200, 8) == "8 groups (at least 10 are needed)"
    assert too_few(20, 10) is None
