"""PPI++: what it is by its formulas, and what its intervals cover."""

import math
from dataclasses import dataclass

import numpy as np
import pytest

from judged_pairs import Kind, draw_truths
from tunewise.statistics.intervals import NotComputed
from tunewise.statistics.ppi import Corrected, Guessed, corrected_mean, power_of

NONE = np.array([])


def guessed(truths, guesses, *, rated, settled=NONE, codes=None):
    """The person saw the first rows."""
    seen = np.where(np.arange(truths.size) < rated, truths, np.nan)
    return Guessed(guesses=guesses, truths=seen, settled=settled, codes=codes)


def drawn(seed=0, n=400):
    rng = np.random.default_rng(seed)
    truths = draw_truths(n, rng)
    return truths, Kind(accuracy=0.8).draw(truths, rng).values


def corrected(rows, **given) -> Corrected:
    found = corrected_mean(rows, **given)
    assert isinstance(found, Corrected)
    return found


def test_a_judge_that_is_always_right_gives_the_mean_of_all_rows():
    """By the paper: λ = 1 / (1 + m / N), and the estimate is the mean of all n rows."""
    truths, _ = drawn()
    rows = guessed(truths, truths, rated=100)
    m, others = 100, 300
    found = corrected(rows)
    cov = np.cov(truths[:m], truths[:m])[0, 1] / truths.var(ddof=1)
    assert power_of(rows) == pytest.approx(cov / (1 + m / others))
    assert corrected(rows, power=others / (m + others)).interval.value == pytest.approx(
        truths.mean()
    )
    assert found.interval.value == pytest.approx(truths.mean(), abs=0.02)


def test_the_estimate_and_its_error_are_those_of_the_paper():
    """Angelopoulos, Duchi and Zrnic (2023), written out for a mean, beside two pseudo-ratings."""
    truths, guesses = drawn()
    m, n = 100, 400
    found = corrected(guessed(truths, guesses, rated=m))
    lam = np.cov(truths[:m], guesses[:m])[0, 1] / ((1 + m / (n - m)) * guesses.var(ddof=1))
    value = truths[:m].mean() - lam * (guesses[:m].mean() - guesses[m:].mean())
    variance = (truths[:m] - lam * guesses[:m]).var(ddof=1) / m + 2 / m**2
    variance += lam**2 * guesses[m:].var() / (n - m)
    reach = 1.984217 * math.sqrt(variance)  # Student's quantile, 99 degrees of freedom
    assert found.power == pytest.approx(lam)
    assert found.interval.value == pytest.approx(value)
    assert found.interval.high - value == pytest.approx(reach, rel=0.002)
    assert value - found.interval.low == pytest.approx(reach, rel=0.002)


def test_a_judge_that_knows_nothing_counts_nothing():
    truths, _ = drawn()
    found = corrected(guessed(truths, np.zeros(400), rated=100))
    assert found.power == 0.0
    assert found.interval.value == pytest.approx(truths[:100].mean())
    assert "ratings" in found.interval.method


def test_a_judge_that_is_always_wrong_counts_nothing():
    truths, _ = drawn()
    assert power_of(guessed(truths, -truths, rated=100)) == 0.0


def test_where_the_person_saw_all_the_judge_counts_nothing():
    truths, guesses = drawn(n=120)
    found = corrected(guessed(truths, guesses, rated=120))
    assert found.power == 0.0
    assert found.interval.value == pytest.approx(truths.mean())


def test_settled_rows_join_with_their_weight():
    truths, guesses = drawn()
    alone = corrected(guessed(truths, guesses, rated=100)).interval
    half = corrected(guessed(truths, guesses, rated=100, settled=np.zeros(400))).interval
    assert half.value == pytest.approx(alone.value / 2)
    assert (half.high - half.low) == pytest.approx((alone.high - alone.low) / 2, rel=0.03)


def test_rows_that_all_say_the_same_leave_a_width():
    found = corrected(guessed(np.ones(200), np.ones(200), rated=100)).interval
    assert found.low < 1.0 == found.value == found.high


def test_rows_of_a_unit_that_are_copies_count_once():
    truths, guesses = drawn(n=100)
    copies = [np.repeat(values, 4) for values in (truths, guesses)]
    codes = np.repeat(np.arange(100), 4)
    alone = corrected(guessed(truths, guesses, rated=50)).interval
    found = corrected(guessed(*copies, rated=200, codes=codes)).interval
    assert (found.high - found.low) == pytest.approx(alone.high - alone.low, rel=0.05)


@pytest.mark.parametrize("rated", [0, 19])
def test_too_few_ratings_give_no_interval(rated):
    truths, guesses = drawn()
    found = corrected_mean(guessed(truths, guesses, rated=rated))
    assert isinstance(found, NotComputed)
    assert f"{rated} rated pairs" in found.reason


JUDGES = [
    Kind(accuracy=accuracy, bias=bias)
    for accuracy in (1 / 3, 0.6, 0.8, 1.0)
    for bias in (0.0, 0.3, 0.7)
]


@dataclass(frozen=True)
class Simulated:
    held: float
    """Share of the intervals that hold the truth."""
    naive: float
    """The same where the judge is taken at its word."""
    width: float
    """Mean width beside that of the ratings alone."""


def simulated(kind, *, times, unit=1, settled=0.0, n=400, rated=100):
    """Data sets whose true mean is 0.2 on the rows that are not settled."""
    rng = np.random.default_rng(17)
    truth = 0.2 * (1.0 - settled)
    held, naive, widths = 0, 0, []
    for _ in range(times):
        known = rng.binomial(n, settled)
        truths = np.repeat(draw_truths((n - known) // unit, rng), unit)
        codes = None
        if unit > 1:  # a quarter of the rows are not like the others of their unit
            truths = np.where(rng.random(n) < 0.75, truths, draw_truths(n, rng))
            codes = np.repeat(np.arange(n // unit), unit)
        values = kind.draw(truths, rng).values
        rows = guessed(truths, values, rated=rated, settled=np.zeros(known), codes=codes)
        found, alone = corrected(rows).interval, corrected(rows, power=0.0).interval
        held += found.low <= truth <= found.high
        every = np.concatenate([values, np.zeros(known)])
        naive += abs(every.mean() - truth) <= 1.96 * every.std() / math.sqrt(n)
        widths.append((found.high - found.low) / (alone.high - alone.low))
    return Simulated(held / times, naive / times, float(np.mean(widths)))


@pytest.mark.parametrize("kind", JUDGES, ids=str)
def test_intervals_cover_the_truth_whatever_the_judge_is_worth(kind):
    assert simulated(kind, times=2000).held >= 0.93


@pytest.mark.slow
@pytest.mark.parametrize("rated", [20, 50, 100, 300])
@pytest.mark.parametrize("kind", JUDGES, ids=str)
def test_intervals_cover_the_truth_with_few_and_many_ratings(kind, rated):
    assert simulated(kind, times=2000, rated=rated).held >= 0.93


@pytest.mark.parametrize("kind", [Kind(accuracy=0.6), Kind(accuracy=0.8, bias=0.3)], ids=str)
def test_intervals_cover_the_truth_with_settled_rows_and_with_units(kind):
    assert simulated(kind, times=2000, settled=0.3).held >= 0.93
    assert simulated(kind, times=2000, unit=4).held >= 0.93


def test_taking_a_judge_at_its_word_would_not():
    """Half of the pairs are flips to this judge, so that it sees half of the difference."""
    assert simulated(Kind(accuracy=0.8, bias=0.5), times=200).naive < 0.5


def test_a_good_judge_narrows_the_interval_and_a_useless_one_hardly_widens_it():
    assert simulated(Kind(accuracy=0.9), times=100).width < 0.75
    assert simulated(Kind(accuracy=1 / 3), times=100).width < 1.01
