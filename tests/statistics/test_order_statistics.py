from math import comb

import numpy as np
import pytest

from tunewise.statistics.order_statistics import median_range, median_rank


def coverage(n: int, rank: int) -> float:
    """P(rank <= X <= n − rank), X the values below the median: exact, in whole numbers."""
    return sum(comb(n, below) for below in range(rank, n - rank + 1)) / 2**n


# Conover 1999, table A3; Hahn and Meeker 1991, table A.16.
@pytest.mark.parametrize(("n", "rank"), [(6, 1), (8, 1), (9, 2), (12, 3), (20, 6), (30, 10)])
def test_the_ranks_are_those_of_the_tables(n: int, rank: int) -> None:
    assert median_rank(n) == rank


@pytest.mark.parametrize("n", [6, 7, 8, 20, 30, 60])
def test_they_cover_at_least_95_percent_and_the_next_ones_do_not(n: int) -> None:
    rank = median_rank(n)
    assert rank is not None
    assert coverage(n, rank) >= 0.95
    assert coverage(n, rank + 1) < 0.95


@pytest.mark.parametrize("n", range(6))
def test_below_six_values_there_is_no_interval(n: int) -> None:
    assert median_rank(n) is None
    assert median_range([1.0] * n) is None


def test_the_interval_is_between_two_of_the_values_in_any_order() -> None:
    values = [float(n) for n in range(1, 21)]
    assert median_range(values[::-1]) == (6.0, 15.0)
    assert median_range(values[:8]) == (1.0, 8.0)


def test_times_with_a_long_tail_are_covered() -> None:
    rng = np.random.default_rng(1)
    found = [median_range(rng.lognormal(0.0, 1.0, 20).tolist()) for _ in range(4000)]
    assert np.mean([one is not None and one.low <= 1.0 <= one.high for one in found]) >= 0.945
