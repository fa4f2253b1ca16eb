import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunewise.data.read import ReadResult
from tunewise.data.split import keep_split, split_data, split_examples
from tunewise.errors import UserError
from tunewise.project import Data
from tunewise.types import Example, Message, Splits


def row(name: str, text: str | None = None, group: str | None = None) -> Example:
    turn = Message(role="user", content=text or f"question {name}")
    return Example(id=name, messages=(turn,), target="answer", group=group)


def rows(n: int, start: int = 0) -> list[Example]:
    return [row(str(k)) for k in range(start, start + n)]


def sides(splits: Splits) -> dict[str, str]:
    parts = {"train": splits.train, "dev": splits.dev, "test": splits.test}
    return {example.id: name for name, part in parts.items() for example in part}


def test_shares_are_30_test_15_dev_55_train() -> None:
    splits = split_examples(rows(4000), seed=0).splits
    assert len(splits.test) / 4000 == pytest.approx(0.30, abs=0.025)
    assert len(splits.dev) / 4000 == pytest.approx(0.15, abs=0.025)
    assert len(splits.train) / 4000 == pytest.approx(0.55, abs=0.025)


def test_another_test_share_keeps_the_proportion_of_dev_to_train() -> None:
    splits = split_examples(rows(4000), seed=0, test_size=0.65).splits
    assert len(splits.test) / 4000 == pytest.approx(0.65, abs=0.025)
    assert len(splits.dev) / 4000 == pytest.approx(0.075, abs=0.015)


def test_every_row_is_on_exactly_one_side_in_the_order_of_the_file() -> None:
    splits = split_examples(rows(200), seed=0).splits
    numbers = [[int(row.id) for row in part] for part in (splits.train, splits.dev, splits.test)]
    assert sorted(number for part in numbers for number in part) == list(range(200))
    assert all(part == sorted(part) for part in numbers)


@settings(max_examples=50, deadline=None)
@given(n=st.integers(60, 150), more=st.integers(1, 100), seed=st.integers(0, 10**6))
def test_adding_rows_moves_no_old_one(n: int, more: int, seed: int) -> None:
    before = split_examples(rows(n), seed=seed)
    after = split_examples(rows(more, start=n) + rows(n), seed=seed)
    if not before.notes:
        assert sides(before.splits).items() <= sides(after.splits).items()


def test_another_seed_splits_otherwise() -> None:
    assert sides(split_examples(rows(100), seed=1).splits) != sides(
        split_examples(rows(100), seed=2).splits
    )


def test_rows_alike_but_for_case_and_space_stay_on_one_side() -> None:
    twins = [row(f"twin {n}", " Where IS\nmy parcel" + "?" + " " * n) for n in range(10)]
    twins += [row(f"low {n}", "where is my parcel?") for n in range(10)]
    side = sides(split_examples(rows(100) + twins, seed=0).splits)
    assert len({side[twin.id] for twin in twins}) == 1


def test_a_group_stays_on_one_side() -> None:
    data = [row(str(n), group=f"customer {n % 40}") for n in range(400)]
    side = sides(split_examples(data, seed=0).splits)
    for group in range(40):
        assert len({side[str(n)] for n in range(400) if n % 40 == group}) == 1


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10**9), n=st.integers(20, 40))
def test_twenty_rows_give_three_splits_at_any_seed(seed: int, n: int) -> None:
    splits = split_examples(rows(n), seed=seed).splits
    assert len(splits.test) >= 5
    assert len(splits.dev) >= 3
    assert len(splits.train) >= 5
    assert len(sides(splits)) == n


def test_rows_moved_to_fill_a_split_are_noted() -> None:
    noted = [split_examples(rows(20), seed=seed).notes for seed in range(40)]
    assert any(notes and "were moved by hash order" in notes[0] for notes in noted)
    assert any(not notes for notes in noted)


def test_too_few_rows_are_refused_with_the_number_needed() -> None:
    with pytest.raises(UserError, match=r"19 rows are too few .* Give at least 20"):
        split_examples(rows(19), seed=0)


def test_too_few_different_inputs_are_refused() -> None:
    with pytest.raises(UserError, match="with inputs or groups that differ"):
        split_examples([row(str(n), "same") for n in range(50)], seed=0)


def test_a_limit_keeps_the_same_rows_and_all_three_sides() -> None:
    whole = sides(split_examples(rows(1000), seed=0).splits)
    small = sides(split_examples(rows(1000), seed=0, limit=100).splits)
    smaller = sides(split_examples(rows(1000), seed=0, limit=60).splits)
    assert len(small) == 100
    assert small.items() <= whole.items()
    assert smaller.items() <= small.items()
    assert {"train", "dev", "test"} == set(small.values())


def test_limits_of_train_and_test_apply_to_their_side_only() -> None:
    splits = split_examples(rows(1000), seed=0, limit_train=50, limit_test=20).splits
    assert (len(splits.train), len(splits.test)) == (50, 20)
    assert len(splits.dev) > 100


def test_an_own_split_is_kept_and_dev_is_taken_from_train() -> None:
    division = keep_split(rows(400), None, rows(100, start=400), seed=0)
    assert [example.id for example in division.splits.test] == [str(n) for n in range(400, 500)]
    assert len(division.splits.train) + len(division.splits.dev) == 400
    assert len(division.splits.dev) / 400 == pytest.approx(15 / 70, abs=0.06)
    assert f"{len(division.splits.dev)} rows of train serve as dev" in division.notes[0]


def test_an_own_dev_is_left_alone() -> None:
    division = keep_split(rows(10), rows(4, start=10), rows(6, start=14), seed=0)
    sizes = [len(part) for part in (division.splits.train, division.splits.dev)]
    assert sizes == [10, 4]
    assert division.notes == ()


def test_an_own_split_too_small_names_every_part() -> None:
    with pytest.raises(UserError) as caught:
        keep_split(rows(4), rows(2), rows(1), seed=0)
    assert [line.split()[1] for line in str(caught.value).splitlines()] == ["train", "dev", "test"]


def test_the_fingerprint_is_of_content_and_sides() -> None:
    first = split_examples(rows(100), seed=0).splits.fingerprint
    assert len(first) == 64
    assert split_examples(rows(100), seed=0).splits.fingerprint == first
    assert split_examples(rows(100), seed=1).splits.fingerprint != first
    changed = [*rows(99), row("99", "another question")]
    assert split_examples(changed, seed=0).splits.fingerprint != first


def test_split_data_follows_the_parts_that_were_read() -> None:
    one = {"examples": ReadResult(examples=tuple(rows(100)))}
    assert split_data(one, Data(seed=3)) == split_examples(rows(100), seed=3)
    own = {
        "train": ReadResult(examples=tuple(rows(300))),
        "test": ReadResult(examples=tuple(rows(100, start=300))),
    }
    splits = split_data(own, Data(limit_test=20), limit=200).splits
    assert len(splits.train) + len(splits.dev) == 150
    assert len(splits.test) == 20
