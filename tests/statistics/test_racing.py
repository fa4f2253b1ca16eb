import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from tunewise.statistics.intervals import IntArray
from tunewise.statistics.racing import BETS, ERROR, Course, Rival, Seen, evidence_behind

MARGIN = 0.05


def course(rows: int, *, unit_rows: int = 1, margin: float = MARGIN) -> Course:
    alone = unit_rows == 1
    groups = [None if alone else f"unit {row // unit_rows}" for row in range(rows)]
    return Course(groups=groups, margin=margin)


def seen(scores: Sequence[float]) -> Seen:
    return Seen(scores=np.array(scores, dtype=np.float64))


def behind(one: Sequence[float], *others: Sequence[float], unit_rows: int = 1) -> bool:
    rivals = [Rival(seen=seen(other), weight=1.0 / len(others)) for other in others]
    rows = course(max(len(one), *map(len, others)), unit_rows=unit_rows)
    return rows.surely_behind(seen(one), rivals, look=1)


def rows_until_out(right: int, of: int, *, others: int = 1) -> int:
    """Rows after which one that is never right is out, beside one that is right so often and
    others that are never right either."""
    for n in range(1, 200):
        best = [float(row * right % of < right) for row in range(n)]
        if behind([0.0] * n, best, *[[0.0] * n] * (others - 1)):
            return n
    return 200


def chance_of_wrong_stop(
    rows: int, lower: float, higher: float, *, margin: float = MARGIN
) -> float:
    """The exact chance that the evidence is ever enough, looked at after every row.

    Args:
        rows: in all.
        lower: share of rows on which the one that is asked about is right and the rival is not.
        higher: the other way round.
        margin: of the race; the truth lies on it where `higher - lower` is the margin.
    """
    chance, stopped = {(0, 0): 1.0}, 0.0
    for n in range(1, rows + 1):
        next_ones: dict[tuple[int, int], float] = {}
        for (ahead, back), so_far in chance.items():
            steps = ((1, 0, lower), (0, 1, higher), (0, 0, 1.0 - lower - higher))
            for more, less, share in steps:
                if share:
                    place = (ahead + more, back + less)
                    next_ones[place] = next_ones.get(place, 0.0) + so_far * share
        chance = {}
        for (ahead, back), reached in next_ones.items():
            differences = np.repeat([1.0, -1.0, 0.0], [ahead, back, n - ahead - back])
            if evidence_behind(differences, margin=margin) >= 1.0 / ERROR:
                stopped += reached
            elif reached > 1e-12:
                chance[ahead, back] = reached
    return stopped


# The evidence


def test_two_rows_by_hand() -> None:
    # 0 and −1 lie 0.1 above and 0.9 below −0.1; the highest stake that cannot lose all is 1 / 1.1.
    wealth = [(1 - bet * 0.1 / 1.1) * (1 + bet * 0.9 / 1.1) for bet in BETS]
    found = evidence_behind(np.array([0.0, -1.0]), margin=0.1)
    assert found == pytest.approx(sum(wealth) / len(wealth))


def test_where_nothing_was_seen_there_is_no_evidence() -> None:
    assert evidence_behind(np.array([]), margin=MARGIN) == 1.0


def test_the_order_of_rows_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    differences = rng.choice([-1.0, -0.5, 0.0, 1.0], size=40)
    assert evidence_behind(rng.permutation(differences), margin=MARGIN) == pytest.approx(
        evidence_behind(differences, margin=MARGIN)
    )


@pytest.mark.parametrize("margin", [0.01, 0.05, 0.2])
def test_the_evidence_is_1_on_average_where_the_truth_lies_on_the_margin(margin: float) -> None:
    rows = 30
    average = sum(
        math.comb(rows, wrong) * margin**wrong * (1 - margin) ** (rows - wrong)
        * evidence_behind(np.repeat([-1.0, 0.0], [wrong, rows - wrong]), margin=margin)
        for wrong in range(rows + 1)
    )  # fmt: skip
    assert average == pytest.approx(1.0)


def test_no_row_costs_all_even_where_a_whole_unit_is_won() -> None:
    codes = np.zeros(5, dtype=np.int64)
    assert evidence_behind(np.ones(5), margin=MARGIN, codes=codes, largest=5) > 0.0


def test_a_unit_counts_as_one_row() -> None:
    """Five rows of a unit that say the same are no more evidence than one."""
    codes = np.repeat(np.arange(8, dtype=np.int64), 5)
    in_units = evidence_behind(-np.ones(40), margin=MARGIN, codes=codes, largest=5)
    assert in_units == pytest.approx(evidence_behind(-np.ones(8), margin=MARGIN))


# At most one wrong stop of a hundred, however often one looks


@pytest.mark.parametrize(
    ("margin", "chance"), [(0.02, 0.00003), (0.05, 0.0005), (0.2, 0.0026), (0.4, 0.0030)]
)
def test_a_rival_that_never_fails_where_the_other_is_right(margin: float, chance: float) -> None:
    assert chance_of_wrong_stop(200, 0.0, margin, margin=margin) == pytest.approx(chance, rel=0.2)


@pytest.mark.parametrize(("lower", "chance"), [(0.05, 0.00015), (0.3, 0.0029)])
def test_rivals_that_differ_both_ways(lower: float, chance: float) -> None:
    found = chance_of_wrong_stop(45, lower, lower + MARGIN)
    assert found == pytest.approx(chance, rel=0.1)
    assert found <= ERROR


def test_units_of_5_alike_by_four_fifths() -> None:
    """300 races of 40 units on the margin, looked at after each."""
    rng = np.random.default_rng(1)
    rows = course(200, unit_rows=5)
    stopped = 0
    for _ in range(300):
        of_unit = np.repeat(rng.random(40) < 0.8, 5)
        latent = np.where(of_unit, np.repeat(rng.random(40), 5), rng.random(200))
        difference = np.select([latent < 0.25, latent < 0.45], [-1.0, 1.0], 0.0)
        one, other = np.maximum(difference, 0.0), np.maximum(-difference, 0.0)
        rival = [Rival(seen=Seen(scores=other), weight=1.0)]
        stopped += any(
            rows.surely_behind(Seen(scores=one[:end]), rival, look=look)
            for look, end in enumerate(range(5, 201, 5), 1)
        )
    assert stopped <= ERROR * 300


# What it takes to be out


def test_one_that_is_never_right_is_out_after_two_blocks() -> None:
    assert rows_until_out(10, 10) == 10
    assert rows_until_out(7, 10) == 16
    assert rows_until_out(5, 10) == 21
    assert rows_until_out(2, 10) == 66


def test_the_more_rivals_share_the_evidence_the_longer_it_takes() -> None:
    assert [rows_until_out(7, 10, others=others) for others in (1, 2, 10)] == [16, 17, 21]


def test_one_within_the_margin_of_what_was_seen_is_never_out() -> None:
    best = [1.0, 0.0] * 500
    assert not behind(best, best)
    assert not behind([0.0] * 25 + best[25:], best)


def test_more_rivals_make_it_no_easier_to_be_out() -> None:
    """What no rival shows by itself, all of them together do not."""
    rng = np.random.default_rng(2)
    for rate in (0.0, 0.2, 0.4):
        one = (rng.random(25) < rate).astype(float)
        rivals = [(rng.random(25) < 0.8).astype(float) for _ in range(12)]
        assert any(behind(one, rival) for rival in rivals) or not behind(one, *rivals)


def test_rows_that_only_one_of_two_answered_do_not_count() -> None:
    assert behind([0.0] * 10, [1.0] * 10)
    assert not behind([0.0] * 50, [1.0] * 8)
    assert not behind([0.0] * 8, [1.0] * 50)


def test_without_a_rival_nobody_is_out() -> None:
    assert not course(50).surely_behind(seen([0.0] * 50), [], look=1)


def test_rows_of_one_unit_are_no_haste() -> None:
    assert behind([0.0] * 40, [1.0] * 40)
    assert not behind([0.0] * 40, [1.0] * 40, unit_rows=5)
    assert behind([0.0] * 50, [1.0] * 50, unit_rows=5)


# Where quality is no mean


def macro_f1(said: IntArray, true: IntArray) -> Callable[[IntArray], float]:
    def of(rows: IntArray) -> float:
        hits = np.bincount(true[rows][said[rows] == true[rows]], minlength=3)
        total = np.bincount(true[rows], minlength=3) + np.bincount(said[rows], minlength=3)
        occurring = np.bincount(true[rows], minlength=3) > 0
        return float((2 * hits[occurring] / total[occurring]).mean())

    return of


def labelled(rows: int, rate: float, true: IntArray, rng: np.random.Generator) -> Seen:
    right = rng.random(rows) < rate
    said = np.where(right, true[:rows], (true[:rows] + 1) % 3)
    return Seen(scores=right.astype(float), aggregate=macro_f1(said, true[:rows]))


def test_an_aggregate_that_is_far_behind_is_out_once_there_are_rows_for_an_interval() -> None:
    rng = np.random.default_rng(3)
    true = rng.choice(3, size=40)
    one, other = labelled(40, 0.05, true, rng), labelled(40, 0.95, true, rng)
    assert course(40).surely_behind(one, [Rival(seen=other, weight=1.0)], look=1)
    few = labelled(19, 0.05, true, rng)
    assert not course(40).surely_behind(few, [Rival(seen=other, weight=1.0)], look=1)


def test_an_aggregate_is_harder_to_be_sure_of_at_every_look_and_with_every_rival() -> None:
    rng = np.random.default_rng(4)
    true = rng.choice(3, size=40)
    one, other = labelled(40, 0.45, true, rng), labelled(40, 0.95, true, rng)

    def out(look: int, weight: float) -> bool:
        return course(40).surely_behind(one, [Rival(seen=other, weight=weight)], look=look)

    assert out(1, 1.0)
    assert not out(10_000, 1.0)
    assert not out(1, 1e-6)


def test_an_aggregate_that_is_as_good_is_rarely_out() -> None:
    rng = np.random.default_rng(5)
    stopped = 0
    for _ in range(60):
        true = rng.choice(3, size=45, p=(0.7, 0.2, 0.1))
        one, other = (labelled(45, 0.7, true, rng) for _ in range(2))
        rival = [Rival(seen=other, weight=1.0)]
        stopped += course(45).surely_behind(one, rival, look=3)
    assert stopped == 0
