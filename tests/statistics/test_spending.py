import numpy as np
import pytest
from scipy.stats import norm

from tunewise.statistics.spending import ERROR_BUDGET, FIRST_LOOK, look_confidence


def share_that_crosses(sizes, correlation, *, projects=400_000):
    """The share of projects without a gain in which some look lies above its bound."""
    rng = np.random.default_rng(0)
    looks = len(sizes)
    resemblance = np.array(
        [
            [
                1.0
                if a == b
                else correlation * np.sqrt(min(sizes[a], sizes[b]) / max(sizes[a], sizes[b]))
                for b in range(looks)
            ]
            for a in range(looks)
        ]
    )
    z = rng.multivariate_normal(np.zeros(looks), resemblance, size=projects)
    bounds = [norm.ppf((1 + look_confidence(sizes[:k], sizes[k])) / 2) for k in range(looks)]
    return (z > np.array(bounds)).any(axis=1).mean()


def test_the_first_look_spends_four_of_five_percent():
    assert look_confidence((), 200) == pytest.approx(1 - 2 * FIRST_LOOK)


@pytest.mark.parametrize("sizes", [(100, 100), (100, 200), (80, 120, 200, 300), (50,) * 6])
@pytest.mark.parametrize("correlation", [0.8, 0.6])
def test_all_looks_together_spend_no_more_than_the_budget(sizes, correlation):
    assert share_that_crosses(sizes, correlation) <= ERROR_BUDGET + 0.002


def test_a_later_look_is_stricter_and_never_impossible():
    confidences = [look_confidence([100] * k, 100) for k in range(6)]
    assert confidences == sorted(confidences)
    assert confidences[-1] < 1.0


def test_many_new_rows_cost_little_more_than_a_look_at_the_very_same_ones():
    assert look_confidence((100,), 100) < look_confidence((100,), 1000) < 0.985


def test_a_look_needs_rows():
    with pytest.raises(ValueError, match="rows"):
        look_confidence((), 0)
