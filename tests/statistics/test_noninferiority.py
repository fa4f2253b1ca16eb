from itertools import product

import numpy as np
import pytest
from scipy.stats import binom

from tunewise.statistics.intervals import bonett_price
from tunewise.statistics.noninferiority import discordance_at_margin, no_worse_p
from tunewise.statistics.paired import rows_of, sample


def p_of(won: int, lost: int, n: int, margin: float, groups: list[str] | None = None) -> float:
    """The p-value where a alone has the first rows right, b alone the next, and both the rest."""
    a, b = np.ones(n), np.ones(n)
    b[:won] = 0.0
    a[won : won + lost] = 0.0
    rows = rows_of(n, binary=True, groups=groups)
    return no_worse_p(sample(a, rows), sample(b, rows), rows, margin=margin)


def enough_wins(lost: int, n: int, margin: float, error: float) -> int:
    """The fewest rows won, beside those lost, that are shown no worse; n + 1 where none are."""
    low, high = 0, n - lost + 1
    while low < high:
        middle = (low + high) // 2
        shown = middle <= n - lost and p_of(middle, lost, n, margin) <= error
        low, high = (low, middle) if shown else (middle + 1, high)
    return low if low <= n - lost else n + 1


def size_of(n: int, margin: float, error: float, discordance: list[float]) -> float:
    """The exact chance of the test, all outcomes summed, at the worst of some truths that are
    worse by exactly the margin."""
    least = [enough_wins(lost, n, margin, error) for lost in range(n + 1)]
    worst = 0.0
    for share in discordance:
        won_rate, lost_rate = (share - margin) / 2, (share + margin) / 2
        total = sum(
            binom.pmf(lost, n, lost_rate)
            * binom.sf(least[lost] - 1, n - lost, won_rate / (1 - lost_rate))
            for lost in range(n + 1)
            if least[lost] <= n
        )
        worst = max(worst, float(total))
    return worst


@pytest.mark.parametrize("error", [0.025, 1e-3, 1e-5])
@pytest.mark.parametrize(("n", "margin"), [(60, 0.1), (200, 0.05), (300, 0.02)])
def test_a_model_worse_by_the_margin_passes_no_more_often_than_it_may(
    n: int, margin: float, error: float
) -> None:
    discordance = [margin, 1.2 * margin, 2 * margin, margin + 0.1, margin + 0.3]
    assert size_of(n, margin, error, discordance) <= error


def test_an_interval_around_the_estimate_would_let_it_pass_far_too_often() -> None:
    """At an error of 1 in 100,000 it lies within 5 points where one row of 200 is lost."""
    n, margin, lost = 200, 0.05, 1
    found = bonett_price(0, lost, n, confidence=1 - 2e-5, degrees=n - 1.0)
    assert found.low > -margin
    chance = binom.cdf(lost, n, margin)  # of so few, where 5 of 100 are lost in truth
    assert chance > 3e-4
    assert p_of(0, lost, n, margin) > chance


def test_a_model_as_good_passes_the_more_often_the_more_rows_there_are() -> None:
    p_values = [p_of(n // 20, n // 20, n, 0.05) for n in (100, 200, 400, 1000)]
    assert p_values == sorted(p_values, reverse=True)
    assert p_values[0] > 0.025 > p_values[1]


def test_the_truth_that_is_worse_by_the_margin_has_as_many_rows_differ_as_are_likeliest() -> None:
    won, lost, n, margin = 7, 12, 150, 0.06

    def likelihood(p: np.ndarray) -> np.ndarray:
        same = n - won - lost
        return won * np.log(p) + lost * np.log(p + margin) + same * np.log(1 - 2 * p - margin)

    grid = np.linspace(1e-5, 0.4, 200_000)
    best = grid[np.argmax(likelihood(grid))]
    assert discordance_at_margin(won, lost, n, margin) == pytest.approx(2 * best + margin, abs=1e-4)


def test_rows_of_one_unit_are_no_independent_evidence() -> None:
    alone = p_of(20, 20, 400, 0.05)
    # Ten rows of a unit are won or lost together.
    units = [f"{n // 10}" for n in range(400)]
    assert p_of(20, 20, 400, 0.05, units) > 5 * alone


@pytest.mark.parametrize(("kind", "correlated"), product(["binary", "graded"], [False, True]))
def test_at_a_common_error_the_truth_at_the_margin_passes_as_rarely_as_it_may(
    kind: str, correlated: bool
) -> None:
    rng = np.random.default_rng(5)
    n, margin, error, passed, times = 240, 0.05, 0.05, 0, 1500
    groups = [f"{row // 6}" for row in range(n)] if correlated else None
    rows = rows_of(n, binary=kind == "binary", groups=groups)
    for _ in range(times):
        luck = rng.random(n // 6).repeat(6) if correlated else rng.random(n)
        own = np.where(rng.random(n) < 0.5, luck, rng.random(n))
        lost, won = own < 0.15, own > 0.9
        size = rng.choice([0.5, 1.0], n, p=[0.0, 1.0] if kind == "binary" else [0.5, 0.5])
        # E[d] = 0.1 - 0.15 = -0.05, for graded scores times 0.75.
        a, b = np.where(lost, 1 - size, 1.0), np.where(won, 1 - size, 1.0)
        truth = margin * (1.0 if kind == "binary" else 0.75)
        passed += no_worse_p(sample(a, rows), sample(b, rows), rows, margin=truth) <= error
    assert passed / times <= error + 3 * np.sqrt(error * (1 - error) / times)
    assert passed / times >= 0.2 * error  # it is a test, not a refusal


def test_too_few_rows_and_impossible_margins_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 20"):
        p_of(0, 0, 19, 0.05)
    with pytest.raises(ValueError, match="margin"):
        p_of(0, 0, 50, 0.0)
