"""A split by time: nothing that is learned from is newer than what is tested on."""

from datetime import date, timedelta

import pytest

from tunewise.data.splitting.split import split_examples
from tunewise.errors import UserError
from tunewise.types import Example, Message


def row(number: int, day: int, group: str | None = None) -> Example:
    when = date(2024, 1, 1) + timedelta(days=day)
    return Example(
        id=f"r{number}",
        messages=(Message(role="user", content=f"question {number} {number * 7919 % 1009}"),),
        target="yes" if number % 2 else "no",
        group=group,
        metadata={"created": when.isoformat()},
    )


def days(rows: tuple[Example, ...]) -> list[str]:
    return [str(one.metadata["created"]) for one in rows]


def test_the_newest_rows_are_tested_on_and_the_oldest_learned_from() -> None:
    rows = [row(n, n * 37 % 200) for n in range(200)]  # in no order of time
    found = split_examples(rows, seed=0, time="created")
    splits = found.splits
    assert max(days(splits.train)) < min(days(splits.dev))
    assert max(days(splits.dev)) < min(days(splits.test))
    assert (len(splits.train), len(splits.dev), len(splits.test)) == (110, 30, 60)
    (note,) = [one for one in found.notes if one.startswith("Split by created")]
    assert note == (
        "Split by created, the newest rows are tested on: train 2024-01-01 to 2024-04-19, dev "
        "2024-04-20 to 2024-05-19, test 2024-05-20 to 2024-07-18."
    )


def test_without_a_time_the_order_of_rows_does_not_matter() -> None:
    rows = [row(n, n) for n in range(200)]
    assert days(split_examples(rows, seed=0).splits.test) != days(tuple(rows[-60:]))


def test_a_group_goes_by_its_newest_row_so_that_train_holds_nothing_newer_than_the_border() -> None:
    rows = [row(n, n, group=f"customer {n % 40}") for n in range(200)]
    splits = split_examples(rows, seed=0, time="created").splits
    assert {one.group for one in splits.train}.isdisjoint({one.group for one in splits.test})
    newest = {f"customer {n % 40}": n for n in range(200)}  # the last one of each
    assert max(newest[str(one.group)] for one in splits.train) < min(
        newest[str(one.group)] for one in splits.test
    )


def test_rows_of_one_time_are_divided_by_their_hash() -> None:
    rows = [row(n, 0) for n in range(200)]
    one, other = (split_examples(rows, seed=seed, time="created").splits.test for seed in (0, 1))
    assert len(one) == len(other) == 60
    assert one != other


def test_the_share_of_test_is_that_of_the_settings() -> None:
    rows = [row(n, n) for n in range(200)]
    assert len(split_examples(rows, seed=0, time="created", test_size=0.5).splits.test) == 100


def test_a_row_without_a_time_is_refused() -> None:
    with pytest.raises(UserError, match=r"data\.time"):
        split_examples([row(n, n) for n in range(50)], seed=0, time="updated")
