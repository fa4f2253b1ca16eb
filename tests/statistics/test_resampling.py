import numpy as np
import pytest
from scipy import stats

from tunewise.statistics.resampling import (
    bca_difference,
    bca_mean,
    is_thin,
    replicate,
    replicate_mean,
)


def test_bca_agrees_with_scipy_on_skewed_scores():
    scores = np.random.default_rng(5).beta(0.6, 2.0, 150)
    found = bca_mean(replicate_mean(scores, seed=1, resamples=20_000))
    reference = stats.bootstrap(
        (scores,), np.mean, method="BCa", n_resamples=20_000, rng=np.random.default_rng(2)
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((reference.low, reference.high), abs=0.002)


def test_an_aggregate_of_row_indices_is_resampled_like_its_formula():
    scores = np.random.default_rng(6).random(80)
    by_rows = replicate(lambda rows: float(scores[rows].mean()), 80, seed=3, resamples=200)
    by_formula = replicate_mean(scores, seed=3, resamples=200)
    assert by_rows.resampled == pytest.approx(by_formula.resampled)
    assert by_rows.left_out == pytest.approx(by_formula.left_out)
    assert by_formula.pseudo_values == pytest.approx(scores)


def test_the_comparison_is_paired():
    """Two contenders that differ by a constant on very uneven rows: the rows cancel out."""
    scores = np.random.default_rng(7).random(200) * 0.8
    better = scores + np.random.default_rng(8).uniform(0.08, 0.12, 200)
    found = bca_difference(replicate_mean(better, seed=1) - replicate_mean(scores, seed=1))
    assert 0.09 < found.low < found.high < 0.11
    assert found.p == pytest.approx(1 / 5001)


def test_the_p_value_agrees_with_a_t_test_on_well_behaved_scores():
    gains = np.random.default_rng(9).normal(0.03, 0.2, 300)
    found = bca_difference(replicate_mean(gains, seed=1) - replicate_mean(0 * gains, seed=1))
    assert found.p == pytest.approx(stats.ttest_1samp(gains, 0).pvalue, abs=0.01)


def test_few_differing_rows_are_left_to_the_guard():
    gains = np.zeros(300)
    gains[:3] = 0.5
    found = bca_difference(replicate_mean(gains, seed=1) - replicate_mean(0 * gains, seed=1))
    assert is_thin(gains)
    assert "guard" in found.method
    assert found.low < 0.0 < found.high


def test_identical_scores_have_a_width():
    found = bca_mean(replicate_mean(np.ones(100), seed=1))
    assert 0.9 < found.low < found.high == 1.0


def test_the_same_seed_gives_the_same_interval_and_another_one_does_not():
    scores = np.random.default_rng(10).random(100)
    one, same, other = (bca_mean(replicate_mean(scores, seed=seed)) for seed in (1, 1, 2))
    assert one == same
    assert one != other


def test_bca_covers_the_mean_of_graded_scores():
    rng = np.random.default_rng(11)
    held = 0
    for seed in range(300):
        gains = rng.beta(2, 1, 80) - rng.beta(2, 1, 80)
        gains = gains * (rng.random(80) < 0.5)
        made = replicate_mean(gains, seed=seed, resamples=1000)
        found = bca_difference(made)
        held += found.low <= 0.0 <= found.high
    assert 0.91 <= held / 300 <= 0.98
