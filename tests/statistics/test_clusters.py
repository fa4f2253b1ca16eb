import numpy as np
import pytest
from scipy.stats import t

from tunewise.statistics.clusters import _degrees, cluster_difference, cluster_mean, cluster_rate
from tunewise.statistics.intervals import clopper_pearson, mean_difference


def test_with_many_equal_groups_it_is_the_t_interval_of_the_group_means_or_a_tenth_wider():
    rng = np.random.default_rng(1)
    groups, rows = 80, 10
    per_group = rng.normal(0.0, 0.25, groups)
    values = np.clip(np.repeat(per_group, rows) + rng.normal(0, 0.2, groups * rows), -1, 1)
    means = values.reshape(groups, rows).mean(axis=1)
    reach = t.ppf(0.975, groups - 1) * means.std(ddof=1) / groups**0.5
    found = cluster_difference(values, np.repeat(np.arange(groups), rows))
    assert 2 * reach < found.high - found.low < 2.2 * reach
    assert (found.low + found.high) / 2 == pytest.approx(means.mean(), abs=1e-9)


def test_copied_rows_count_once():
    rng = np.random.default_rng(2)
    once = (rng.random(100) < 0.8).astype(float)
    copied = cluster_rate(np.repeat(once, 10), np.repeat(np.arange(100), 10))
    single = clopper_pearson(float(once.sum()), 100)
    assert copied.high - copied.low == pytest.approx(single.high - single.low, rel=0.08)


def test_it_is_never_narrower_than_for_independent_rows():
    rng = np.random.default_rng(3)
    for _ in range(50):
        values = rng.choice([-1.0, 0.0, 1.0], size=60, p=[0.1, 0.8, 0.1])
        found = cluster_difference(values, np.repeat(np.arange(20), 3))
        plain = mean_difference(values)
        assert found.low <= plain.low
        assert found.high >= plain.high


def test_when_no_row_differs_the_group_counts_as_one_row():
    same = cluster_difference(np.zeros(200), np.repeat(np.arange(10), 20))
    assert same.high > 0.2
    assert same.low == -same.high


def test_equal_groups_have_one_degree_of_freedom_less_than_groups():
    for correlation in (0.0, 0.4, 1.0):
        assert _degrees(np.full(12, 7.0), correlation) == pytest.approx(11)


def test_degrees_of_freedom_equal_the_matrix_formula():
    sizes, correlation = np.array([1.0, 2.0, 3.0, 10.0, 30.0]), 0.3
    weights = sizes / sizes.sum()
    centring = np.eye(5) - np.ones((5, 1)) * weights
    spread = centring @ np.diag(correlation + (1 - correlation) / sizes) @ centring.T
    product = np.diag(weights**2 / (1 - weights)) @ spread
    expected = np.trace(product) ** 2 / np.trace(product @ product)
    assert _degrees(sizes, correlation) == pytest.approx(expected)


def test_a_mean_score_stays_between_0_and_1_and_has_a_width():
    found = cluster_mean(np.ones(40), np.repeat(np.arange(10), 4))
    assert found.high == 1.0
    assert 0.5 < found.low < 0.95
