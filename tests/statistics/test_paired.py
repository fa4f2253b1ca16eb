import numpy as np
import pytest

from tunewise.statistics import paired
from tunewise.statistics.intervals import NotComputed


def scores(n, right):
    return np.array([1.0] * right + [0.0] * (n - right))


def test_yes_no_scores_use_clopper_pearson_bonett_price_and_mcnemar():
    rows = paired.rows_of(40, binary=True)
    a, b = paired.sample(scores(40, 30), rows), paired.sample(scores(40, 20), rows)
    assert paired.quality(a, rows).method == "Clopper–Pearson"
    found = paired.difference(a, b, rows)
    assert found.method == "Bonett–Price interval, exact McNemar test"
    assert found.value == pytest.approx(0.25)
    assert found.p == pytest.approx(2 / 2**10)


def test_six_rows_are_too_few_for_an_interval():
    rows = paired.rows_of(6, binary=True)
    one = paired.sample(scores(6, 4), rows)
    assert paired.quality(one, rows) == NotComputed(
        value=pytest.approx(4 / 6), reason="6 rows (at least 20 are needed)"
    )


def test_nine_groups_are_too_few_for_an_interval():
    rows = paired.rows_of(90, binary=False, groups=[f"g{row % 9}" for row in range(90)])
    one = paired.sample(scores(90, 45), rows)
    assert paired.difference(one, one, rows).reason == "9 groups (at least 10 are needed)"


def test_groups_of_one_row_each_are_independent_rows():
    rows = paired.rows_of(30, binary=True, groups=[str(row) for row in range(30)])
    assert rows.codes is None
    assert rows.group_count == 30


def test_rows_without_a_group_stand_alone():
    rows = paired.rows_of(4, binary=True, groups=["a", None, "a", None])
    assert rows.group_count == 3


def test_groups_must_be_given_for_every_row():
    with pytest.raises(ValueError, match="3 groups for 4 rows"):
        paired.rows_of(4, binary=True, groups=["a", "b", "c"])


def macro_f1(right):
    """Stands for an aggregate: the mean of the means of two halves of the labels."""
    labels = np.arange(right.size) % 2

    def statistic(index):
        picked = labels[index]
        parts = [
            right[index][picked == label].mean() for label in (0, 1) if (picked == label).any()
        ]
        return float(np.mean(parts))

    return statistic


@pytest.mark.parametrize("grouped", [False, True])
def test_an_aggregate_is_compared_as_a_whole(grouped):
    rng = np.random.default_rng(1)
    good, poor = (rng.random(120) < 0.9).astype(float), (rng.random(120) < 0.5).astype(float)
    groups = [str(row // 4) for row in range(120)] if grouped else None
    rows = paired.rows_of(120, binary=False, groups=groups)
    a, b = (paired.sample(right, rows, macro_f1(right)) for right in (good, poor))
    found = paired.difference(a, b, rows)
    assert found.method == ("cluster t" if grouped else "paired t with pseudo-rows")
    assert found.value == pytest.approx(good.mean() - poor.mean(), abs=0.01)
    assert 0.15 < found.low < found.value < found.high < 0.65


def test_graded_scores_in_groups_use_the_cluster_t_interval():
    rng = np.random.default_rng(2)
    graded = rng.random(100)
    rows = paired.rows_of(100, binary=False, groups=[str(row // 5) for row in range(100)])
    one = paired.sample(graded, rows)
    found = paired.quality(one, rows)
    assert found.method == "cluster t"
    assert found.low < graded.mean() < found.high
