"""Learning from nested parts, judged on rows that no part holds."""

from collections.abc import Sequence

import numpy as np
import pytest

from tunewise.contenders.protocol import NotApplicable
from tunewise.evaluation.learning_curve import (
    Fold,
    LearningCurve,
    half_and_whole,
    hold_against,
    measure_curve,
    rounds_by_folds,
    rounds_on_dev,
)
from tunewise.metrics.by_name import metric_named
from tunewise.statistics.intervals import Interval, NotComputed
from tunewise.types import Example, Message

ACCURACY = metric_named("accuracy", ["yes", "no"])


def rows(count: int, start: int = 0) -> list[Example]:
    return [
        Example(
            id=f"row {n}",
            messages=(Message(role="user", content=f"question {n}"),),
            target="yes" if n % 2 else "no",
        )
        for n in range(start, start + count)
    ]


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def knows_more(learned: Sequence[Example], asked: Sequence[Example]) -> list[str | None]:
    """Right on more of 100 numbers the more rows it learned from, on all with rows without end."""
    known = round(100 * (1.0 - (8 / len(learned)) ** 0.5))
    return [one.target if int(one.id.split()[1]) % 100 < known else "neither" for one in asked]


def knows_half(learned: Sequence[Example], asked: Sequence[Example]) -> list[str | None]:
    return [one.target if int(one.id.split()[1]) % 2 else "neither" for one in asked]


def curve(learn, rounds, metric=ACCURACY) -> LearningCurve:
    return measure_curve(learn, rounds, {}, metric, minimum_gain=0.05, rng=rng())


def folds_of(rounds) -> list[Fold]:
    return [fold for one in rounds for fold in one]


def test_each_part_lies_within_the_next_and_the_last_is_everything() -> None:
    ((fold,),) = rounds_on_dev(rows(80), rows(20, 1000), {}, rounds=1, rng=rng())
    assert [len(part) for part in fold.parts] == [10, 20, 40, 80]
    for smaller, larger in zip(fold.parts, fold.parts[1:], strict=False):
        assert larger[: len(smaller)] == smaller
    assert {row.id for row in fold.parts[-1]} == {row.id for row in rows(80)}


def test_parts_of_a_few_rows_are_left_out() -> None:
    ((fold,),) = rounds_on_dev(rows(20), rows(20, 1000), {}, rounds=1, rng=rng())
    assert [len(part) for part in fold.parts] == [10, 20]


def test_rows_of_one_unit_are_in_a_part_together() -> None:
    units = {f"row {n}": f"family {n // 8}" for n in range(80)}
    ((fold,),) = rounds_on_dev(rows(80), rows(20, 1000), units, rounds=1, rng=rng())
    for part in fold.parts:
        names = [units[row.id] for row in part]
        assert all(names.count(name) == 8 for name in set(names))


def test_folds_judge_every_row_once_by_what_was_learned_without_its_unit() -> None:
    units = {f"row {n}": f"family {n // 4}" for n in range(80)}
    rounds = rounds_by_folds(rows(80), units, rounds=2, rng=rng())
    assert len(rounds) == 2
    for folds in rounds:
        assert sorted(row.id for fold in folds for row in fold.judged) == sorted(
            row.id for row in rows(80)
        )
        for fold in folds:
            judged = {units[row.id] for row in fold.judged}
            assert judged.isdisjoint(units[row.id] for row in fold.parts[-1])


def test_what_learns_from_every_row_is_seen_to_rise() -> None:
    found = curve(knows_more, rounds_by_folds(rows(200), {}, rounds=2, rng=rng()))
    assert found.says == "rising"
    assert [point.rows for point in found.points] == [20, 40, 80, 160]
    qualities = [point.quality for point in found.points]
    assert qualities == sorted(qualities)
    assert found.curve is not None
    twice = found.curve.at(320)
    assert twice.low <= 1.0 - (8 / 320) ** 0.5 <= twice.high
    assert twice.value > qualities[-1] + 0.02


def test_what_learns_nothing_is_flat() -> None:
    found = curve(knows_half, rounds_by_folds(rows(400), {}, rounds=1, rng=rng()))
    assert found.says == "flat"
    assert {point.quality for point in found.points} == {0.5}


def test_few_rows_that_judge_leave_it_open() -> None:
    found = curve(knows_more, rounds_on_dev(rows(80), rows(12, 1000), {}, rounds=1, rng=rng()))
    assert isinstance(found.doubled, NotComputed)
    assert (found.says, found.curve) == (None, None)


def test_parts_too_small_to_learn_from_are_left_out() -> None:
    def choosy(learned: Sequence[Example], asked: Sequence[Example]) -> list[str | None]:
        if len(learned) < 30:
            raise NotApplicable("too few")
        return knows_half(learned, asked)

    found = curve(choosy, rounds_on_dev(rows(80), rows(40, 1000), {}, rounds=1, rng=rng()))
    assert [point.rows for point in found.points] == [40, 80]
    assert found.curve is None
    with pytest.raises(NotApplicable):
        curve(choosy, rounds_on_dev(rows(20), rows(40, 1000), {}, rounds=1, rng=rng()))


def test_a_quality_that_is_no_mean_is_measured_as_such() -> None:
    macro = metric_named("macro_f1", ["yes", "no"])
    found = curve(knows_half, rounds_by_folds(rows(200), {}, rounds=1, rng=rng()), macro)
    assert found.points[-1].quality == pytest.approx(0.5)


def test_an_answer_that_crashed_counts_as_wrong() -> None:
    def crashes(learned: Sequence[Example], asked: Sequence[Example]) -> list[str | None]:
        return [None] * len(asked)

    found = curve(crashes, rounds_on_dev(rows(80), rows(40, 1000), {}, rounds=1, rng=rng()))
    assert {point.quality for point in found.points} == {0.0}


def test_folds_that_lack_the_smallest_part_leave_it_out_of_the_curve() -> None:
    # Of 79 rows, folds learn from 63 or 64: an eighth of these is 8 rows, of those fewer.
    rounds = rounds_by_folds(rows(79), {}, rounds=1, rng=rng())
    assert {len(fold.parts) for fold in folds_of(rounds)} == {3, 4}
    assert [point.rows for point in curve(knows_half, rounds).points] == [16, 32, 63]


def test_too_few_rows_to_learn_from_are_no_curve() -> None:
    with pytest.raises(NotApplicable, match="fewer than 8 rows"):
        curve(knows_half, rounds_on_dev(rows(5), rows(40, 1000), {}, rounds=1, rng=rng()))


def said(judged: Sequence[Example], right: int) -> dict[str, str | None]:
    """So many of the first rows right."""
    return {row.id: row.target if n < right else "neither" for n, row in enumerate(judged)}


def test_the_difference_to_one_that_learns_nothing_is_paired_on_the_rows_both_answered() -> None:
    found = curve(knows_more, rounds_by_folds(rows(200), {}, rounds=2, rng=rng()))
    both = rows(50)
    differences = hold_against(found, said(both, 10), both, {}, ACCURACY)
    assert list(differences) == [point.rows for point in found.points]
    first, *_, last = differences.values()
    known = knows_more(rows(160), both)
    right = sum(answer == row.target for row, answer in zip(both, known, strict=True))
    assert last.value == pytest.approx(right / 50 - 0.2)
    assert isinstance(last, Interval)
    assert last.low > 0
    assert first.value < last.value


def test_what_chance_does_to_a_training_is_in_the_interval_of_half_and_whole() -> None:
    judged = rows(200)
    half = said(judged, 120)
    alike = half_and_whole(half, [said(judged, 140)] * 3, judged, {}, ACCURACY)
    unlike = half_and_whole(half, [said(judged, n) for n in (120, 140, 160)], judged, {}, ACCURACY)
    for less, mean, difference in (alike, unlike):
        assert (less, mean) == (pytest.approx(0.6), pytest.approx(0.7))
        assert isinstance(difference, Interval)
    # Three seeds with a standard deviation of 10 points: t of 2 degrees is 2.92.
    reach = (unlike[2].high - unlike[2].low) / 2
    assert reach >= 2.92 * 0.1 * (4 / 3) ** 0.5
    assert alike[2].low > 0 > unlike[2].low
    with pytest.raises(ValueError, match="two of them"):
        half_and_whole(half, [half], judged, {}, ACCURACY)


@pytest.mark.slow
def test_trainings_that_differ_by_chance_alone_are_rarely_called_rising() -> None:
    chance, judged, rising, count = np.random.default_rng(3), rows(60), 0, 400
    for _ in range(count):
        shares = np.clip(0.7 + 0.03 * chance.standard_normal(4), 0, 1)
        right = chance.uniform(size=(4, 60)) < shares[:, None]
        given = [
            {row.id: row.target if ok else "neither" for row, ok in zip(judged, some, strict=True)}
            for some in right
        ]
        _, _, difference = half_and_whole(given[0], given[1:], judged, {}, ACCURACY)
        rising += isinstance(difference, Interval) and difference.low > 0
    assert rising / count <= 0.05 + 3 * (0.05 * 0.95 / count) ** 0.5


def test_parts_that_differ_by_which_rows_they_hold_make_the_last_doubling_less_sure() -> None:
    def lucky(learned: Sequence[Example], asked: Sequence[Example]) -> list[str | None]:
        """All depends on whether a part holds row 7."""
        known = 80 if any(one.id == "row 7" for one in learned) else 40
        return [one.target if int(one.id.split()[1]) % 100 < known else "neither" for one in asked]

    judged, both = rows(200, 1000), []
    for rounds in (1, 12):
        made = rounds_on_dev(rows(80), judged, {}, rounds=rounds, rng=rng())
        both.append(curve(lucky, made).doubled)
    once, often = both
    assert all(isinstance(one, Interval) for one in both)
    halves = [fold.parts[-2] for fold in folds_of(made)]
    without = sum(all(one.id != "row 7" for one in half) for half in halves) / len(halves)
    assert often.value == pytest.approx(0.4 * without)
    # Twelve halves with a standard deviation of 20 points each.
    assert (often.high - often.low) / 2 >= 1.6 * 0.2 / 12**0.5
    paired_alone = curve(knows_half, made).doubled
    assert paired_alone.high - paired_alone.low < often.high - often.low
    assert once.value in (pytest.approx(0.0), pytest.approx(0.4))
