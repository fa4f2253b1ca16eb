"""Learning from nested parts, judged on rows that no part holds."""

from collections.abc import Sequence

import numpy as np
import pytest

from tunewise.contenders.protocol import NotApplicable
from tunewise.evaluation.learning_curve import (
    Fold,
    LearningCurve,
    measure_curve,
    rounds_by_folds,
    rounds_on_dev,
)
from tunewise.metrics.by_name import metric_named
from tunewise.statistics.intervals import NotComputed
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
