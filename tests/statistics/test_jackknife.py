import numpy as np
import pytest
from scipy import stats

from tunewise.metrics.by_name import metric_named
from tunewise.statistics import paired
from tunewise.statistics.intervals import Interval
from tunewise.statistics.jackknife import (
    jackknife,
    jackknife_difference,
    jackknife_mean,
    jackknife_quality,
)


def gains_of(gains):
    return jackknife_difference(jackknife_mean(np.asarray(gains, dtype=float)))


def test_the_pseudo_values_of_a_mean_are_the_scores():
    scores = np.random.default_rng(6).random(80)
    made = jackknife(lambda rows: float(scores[rows].mean()), 80)
    assert made.value == pytest.approx(scores.mean())
    assert made.pseudo_values == pytest.approx(scores)


def test_the_error_of_a_ratio_is_that_of_its_linear_part():
    """A ratio of means: the delta method gives its standard error."""
    rng = np.random.default_rng(3)
    x, y = rng.random(400), 1.0 + rng.random(400)
    made = jackknife(lambda rows: float(x[rows].sum() / y[rows].sum()), 400)
    linear = (x - made.value * y) / y.mean()
    assert made.pseudo_values.std() == pytest.approx(linear.std(), rel=0.01)


def test_many_rows_have_the_t_interval_of_the_text_books():
    gains = np.random.default_rng(9).normal(0.03, 0.2, 2000)
    found, reference = gains_of(gains), stats.ttest_1samp(gains, 0)
    low, high = reference.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high), abs=3e-4)
    assert found.p == pytest.approx(reference.pvalue, abs=2e-3)


def test_the_comparison_is_paired():
    """Two contenders that differ by a constant on very uneven rows: the rows cancel out."""
    scores = np.random.default_rng(7).random(200) * 0.8
    better = scores + np.random.default_rng(8).uniform(0.08, 0.12, 200)
    found = jackknife_difference(jackknife_mean(better) - jackknife_mean(scores))
    assert 0.08 < found.low < found.high < 0.12


def test_a_few_rows_that_differ_are_not_taken_for_certainty():
    gains = np.zeros(300)
    gains[:3] = 0.5
    found = gains_of(gains)
    assert found.low < 0.0 < found.value < found.high


def test_no_difference_at_all_has_a_width_and_no_p():
    found = gains_of(np.zeros(100))
    assert -0.05 < found.low < 0.0 < found.high < 0.05
    assert found.p == 1.0


@pytest.mark.parametrize("score", [0.0, 1.0])
def test_a_quality_at_its_bound_has_a_width_inside_the_bounds(score):
    found = jackknife_quality(jackknife_mean(np.full(100, score)))
    assert found.value == score
    assert 0.0 <= found.low < found.high <= 1.0
    assert found.high - found.low < 0.1


CLASSES = {
    "77 alike": (np.ones(77), 200),
    "77 by Zipf": (1.0 / np.arange(1, 78), 200),
    "three, one of them rare": (np.array([0.9, 0.07, 0.03]), 100),
    "three alike": (np.ones(3), 100),
}
"""Frequencies of the labels, and test rows. The BCa bootstrap covered 88–91% in three of them."""


def macro_f1(given, targets, count):
    """Macro F1 of label numbers below `count`, over the labels that occur in `targets`."""
    occurring = np.bincount(targets, minlength=count)
    right = np.bincount(targets[given == targets], minlength=count)
    either = occurring + np.bincount(given, minlength=count)
    return float((2.0 * right / np.maximum(either, 1))[occurring > 0].mean())


def test_macro_f1_of_these_tests_is_that_of_the_metric():
    rng = np.random.default_rng(4)
    given, targets = rng.integers(6, size=50), rng.integers(5, size=50)
    aggregate = metric_named("macro_f1", [f"label {n}" for n in range(6)]).aggregate
    assert aggregate is not None
    texts = [[f"label {n}" for n in numbers] for numbers in (given, targets)]
    assert macro_f1(given, targets, 6) == pytest.approx(aggregate(*texts))


@pytest.mark.slow
@pytest.mark.parametrize("gain", [0.0, 0.1])
@pytest.mark.parametrize(("weights", "n"), CLASSES.values(), ids=CLASSES.keys())
def test_a_difference_of_macro_f1_is_covered(weights, n, gain):
    rng = np.random.default_rng(12)
    shares = weights / weights.sum()
    poor = np.clip(rng.normal(0.7, 0.12, shares.size), 0.2, 0.9)

    def answers(targets, luck, accuracy):
        other = rng.choice(shares.size, size=targets.size, p=shares)
        other = np.where(other == targets, (other + 1) % shares.size, other)
        return np.where(luck < accuracy[targets], targets, other)

    def quality(given, targets):
        return lambda rows: macro_f1(given[rows], targets[rows], shares.size)

    def project(size):
        targets = rng.choice(shares.size, size=size, p=shares)
        luck = rng.random(size)
        others = np.where(rng.random(size) < 0.6, luck, rng.random(size))
        return targets, answers(targets, luck, poor + gain), answers(targets, others, poor)

    targets, a, b = project(200_000)
    everything = np.arange(targets.size)
    truth = quality(a, targets)(everything) - quality(b, targets)(everything)
    rows = paired.rows_of(n, binary=False)
    held = 0
    for _ in range(250):
        targets, a, b = project(n)
        one, other = (
            paired.sample((given == targets).astype(float), rows, quality(given, targets))
            for given in (a, b)
        )
        found = paired.difference(one, other, rows)
        assert isinstance(found, Interval)
        held += found.low <= truth <= found.high
    assert held / 250 >= 0.93


FIELDS = {  # P(1), P(0) of a and of b; the rest in quarters between
    "in the middle": ((0.5, 0.2), (0.45, 0.2)),
    "near the ceiling": ((0.95, 0.01), (0.9, 0.02)),
    "near the floor": ((0.02, 0.95), (0.02, 0.9)),
    "one far ahead": ((0.98, 0.0), (0.85, 0.05)),
}


@pytest.mark.parametrize("n", [20, 50, 200])
@pytest.mark.parametrize(("a", "b"), FIELDS.values(), ids=FIELDS.keys())
def test_a_difference_of_graded_scores_with_mass_at_0_and_1_is_covered(a, b, n):
    rng = np.random.default_rng(13)

    def scores(ones, zeros):
        luck = rng.random((1500, n))
        between = rng.integers(1, 4, size=luck.shape) / 4
        return np.where(luck < ones, 1.0, np.where(luck < ones + zeros, 0.0, between))

    gains = scores(*a) - scores(*b)
    truth = (a[0] - b[0]) + 0.5 * ((1 - sum(a)) - (1 - sum(b)))
    found = [gains_of(row) for row in gains]
    assert np.mean([one.low <= truth <= one.high for one in found]) >= 0.94
    assert np.mean([one.low > truth for one in found]) <= 0.035
