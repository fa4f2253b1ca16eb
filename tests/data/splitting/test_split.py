import random
import time
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunewise.data.read import ReadResult
from tunewise.data.splitting.split import keep_split, split_data, split_examples
from tunewise.errors import UserError
from tunewise.project.settings import Data
from tunewise.types import Example, Message, Splits


def row(name: str, text: str | None = None, group: str | None = None) -> Example:
    turn = Message(role="user", content=text or f"question {name}")
    return Example(id=name, messages=(turn,), target="answer", group=group)


def rows(n: int, start: int = 0) -> list[Example]:
    return [row(str(k)) for k in range(start, start + n)]


def long_text(number: int, words: int = 20) -> str:
    """Words that no other number has: never near another text."""
    return " ".join(f"w{number}x{k}" for k in range(words))


def nearly(text: str, variant: int) -> str:
    """The text with its last word exchanged: similarity 0.9."""
    return " ".join([*text.split()[:-1], f"other{variant}"])


def sides(splits: Splits) -> dict[str, str]:
    parts = {"train": splits.train, "dev": splits.dev, "test": splits.test}
    return {example.id: name for name, part in parts.items() for example in part}


def ids(examples: Sequence[Example]) -> set[str]:
    return {example.id for example in examples}


def conversation(number: int, answers: int) -> list[Example]:
    """A conversation as exports write it: a row for each answer, with the turns before it."""
    turns: list[Message] = []
    found: list[Example] = []
    for k in range(answers):
        turns.append(Message(role="user", content=f"{number} asks {k}"))
        target = f"{number} hears {k}"
        found.append(Example(id=f"{number}.{k}", messages=tuple(turns), target=target))
        turns.append(Message(role="assistant", content=target, weight=1))
    return found


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


@settings(max_examples=25, deadline=None)
@given(n=st.integers(60, 150), seed=st.integers(0, 10**6), rng=st.randoms(use_true_random=False))
def test_adding_near_duplicates_at_the_end_moves_no_old_row(
    n: int, seed: int, rng: random.Random
) -> None:
    old = [row(f"old {k}", long_text(k)) for k in range(n)]
    new = [
        row(f"new {k}", nearly(long_text(rng.randrange(2 * n)), k)) for k in range(rng.randrange(n))
    ]
    before = split_examples(old, seed=seed)
    after = split_examples(old + new, seed=seed)
    if not before.notes:
        assert sides(before.splits).items() <= sides(after.splits).items()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), rng=st.randoms(use_true_random=False))
def test_near_duplicates_stay_on_one_side_wherever_they_stand(
    seed: int, rng: random.Random
) -> None:
    data = [row(f"{k}", long_text(k)) for k in range(100)]
    for k in range(30):
        data.insert(rng.randrange(len(data)), row(f"near {k}", nearly(long_text(k), k)))
    side = sides(split_examples(data, seed=seed).splits)
    assert all(side[f"near {k}"] == side[str(k)] for k in range(30))


def test_a_near_duplicate_of_a_near_duplicate_follows_too() -> None:
    text = long_text(1, words=40)
    chain = [row("link 0", text)]
    for k in range(1, 8):
        kept = text.split()[: -2 * k]
        chain.append(
            row(f"link {k}", " ".join([*kept, *(f"new{j}" for j in range(len(kept), 40))]))
        )
    side = sides(split_examples([*rows(100), *chain], seed=0).splits)
    assert len({side[link.id] for link in chain}) == 1


def test_a_shared_instruction_does_not_make_all_rows_near_duplicates() -> None:
    told = "Read the message below and answer with one word, which is the department it is for: "
    data = [row(str(k), f"{told * 3}{long_text(k, words=6)}") for k in range(200)]
    assert len(split_examples(data, seed=0).splits.test) / 200 == pytest.approx(0.30, abs=0.1)


def test_the_same_rows_and_seed_give_the_same_split() -> None:
    data = [row(str(k), nearly(long_text(k // 2), k)) for k in range(200)]
    assert split_examples(data, seed=5) == split_examples(data, seed=5)


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


def grouped(name: str, group: str, text: str) -> Example:
    return row(name, text, group=group)


def torn_data(seed: int) -> tuple[list[Example], str, str]:
    """Groups on both sides of test, and a row of the one that nearly repeats one of the other."""
    data = [grouped(f"{k}", f"customer {k % 40}", long_text(k)) for k in range(200)]
    side = sides(split_examples(data, seed=seed).splits)
    sealed = next(k for k in range(200) if side[str(k)] == "test")
    open_one = next(k for k in range(200) if side[str(k)] == "train")
    copy = grouped("copy", f"customer {open_one % 40}", nearly(long_text(sealed), 0))
    return [*data, copy], str(sealed), str(open_one)


def test_a_new_group_that_begins_near_another_group_joins_it() -> None:
    data = [grouped(f"{k}", f"customer {k % 40}", long_text(k)) for k in range(200)]
    for number in (3, 17, 31):
        again = grouped("again", "newcomer", nearly(long_text(number), 0))
        more = grouped("more", "newcomer", long_text(1000))
        side = sides(split_examples([*data, again, more], seed=0).splits)
        assert side["again"] == side["more"] == side[str(number)]


@pytest.mark.parametrize("seed", range(5))
def test_a_row_whose_group_and_likeness_pull_apart_is_left_out_and_counted(seed: int) -> None:
    data, sealed, _ = torn_data(seed)
    before = split_examples(data[:-1], seed=seed)
    after = split_examples(data, seed=seed)
    assert sides(after.splits) == sides(before.splits)
    assert sides(after.splits)[sealed] == "test"
    assert [row.id for row in after.splits.reserved] == ["copy"]
    assert after.notes == (
        "Left out: 1 row that nearly repeats a row of another group across the border of test.",
    )


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


def test_what_limits_leave_out_is_reserved() -> None:
    splits = split_examples(rows(1000), seed=0, limit=300, limit_train=50, limit_test=20).splits
    used = {row.id for row in (*splits.train, *splits.dev, *splits.test)}
    assert len(splits.reserved) == 1000 - len(used)
    assert not used & {row.id for row in splits.reserved}
    assert split_examples(rows(1000), seed=0).splits.reserved == ()


class TestTheSizeOfTest:
    def test_is_what_the_gain_needs_and_the_rest_is_reserved(self) -> None:
        whole = split_examples(rows(1000), seed=0)
        chosen = split_examples(rows(1000), seed=0, minimum_gain=0.1)
        assert len(chosen.splits.test) == 160  # Connor: 155, to two digits
        assert ids(chosen.splits.test) | ids(chosen.splits.reserved) == ids(whole.splits.test)
        assert (chosen.splits.train, chosen.splits.dev) == (whole.splits.train, whole.splits.dev)
        spare = len(whole.splits.test) - 160
        assert chosen.notes == (
            "With 160 test rows, a true gain of 10 points would be told with a chance of 50%, one "
            f"of 20 points with over 99%. {spare} more stay reserved: nothing is trained or tested "
            "on them until a verdict, or [data] limit_test, asks for more.",
        )

    def test_is_the_whole_side_where_that_is_less(self) -> None:
        chosen = split_examples(rows(300), seed=0, minimum_gain=0.05)
        assert chosen.splits == split_examples(rows(300), seed=0).splits
        n = len(chosen.splits.test)
        assert chosen.notes[0].startswith(f"With {n} test rows, a true gain of 5 points would be")
        assert chosen.notes[0].endswith("More rows, up to about 630, would tell more.")

    def test_is_the_limit_of_the_person_where_there_is_one(self) -> None:
        for limit in (40, 250):
            chosen = split_examples(rows(1000), seed=0, limit_test=limit, minimum_gain=0.1)
            assert len(chosen.splits.test) == limit

    def test_takes_the_same_rows_for_a_larger_gain(self) -> None:
        small = split_examples(rows(1000), seed=0, minimum_gain=0.2).splits.test
        large = split_examples(rows(1000), seed=0, minimum_gain=0.1).splits.test
        assert ids(small) < ids(large)

    def test_grows_with_groups_whose_rows_are_worth_less(self) -> None:
        data = [grouped(str(k), f"customer {k % 400}", long_text(k)) for k in range(2000)]
        chosen = split_examples(data, seed=0, minimum_gain=0.1)
        assert 155 * 1.8 <= len(chosen.splits.test) <= 155 * 1.8 + 11  # 5 rows a group: 1.8
        assert "units (worth about 160 rows alone), a true gain of 10 points" in chosen.notes[0]

    def test_that_allows_no_interval_is_said(self) -> None:
        (said,) = split_examples(rows(40), seed=1, minimum_gain=0.05).notes
        assert "a verdict is not possible: it takes 20 at least" in said

    def test_of_an_own_split_is_only_explained(self) -> None:
        own = keep_split(rows(60), rows(20, 60), rows(900, 80), seed=0, minimum_gain=0.05)
        assert len(own.splits.test) == 900
        assert own.notes[0].startswith("With 900 test rows, a true gain of 5 points would be told")

    def test_takes_in_reserved_rows_that_a_verdict_asked_for_before_any_are_labelled(self) -> None:
        first = split_examples(rows(3000), seed=0, minimum_gain=0.05)
        assert (len(first.splits.test), len(first.splits.reserved)) == (630, 302)
        again = split_examples(rows(3000), seed=0, minimum_gain=0.05, asked=630 + 200)
        assert (len(again.splits.test), len(again.splits.reserved)) == (830, 102)
        assert ids(first.splits.test) < ids(again.splits.test)
        assert ids(again.splits.test) < ids(first.splits.test) | ids(first.splits.reserved)
        assert again.notes[0] == (
            "Test takes 830 rows: 630, and 200 more that the last verdict asked for."
        )

    def test_takes_in_rows_that_are_labelled_later(self) -> None:
        asked = {"seed": 0, "minimum_gain": 0.05, "asked": 630 + 800}
        before = split_examples(rows(3000), **asked)
        after = split_examples(rows(5000), **asked)
        assert before.notes[0].startswith("Test takes 932 rows: 630, and 302 of the 800 more that")
        assert after.notes[0].startswith("Test takes 1,430 rows: 630, and 800 more that")
        assert (len(before.splits.test), len(after.splits.test)) == (932, 1430)

    def test_is_what_the_person_set_whatever_a_verdict_asked_for(self) -> None:
        chosen = split_examples(rows(3000), seed=0, limit_test=50, minimum_gain=0.05, asked=830)
        assert len(chosen.splits.test) == 50


class TestUnits:
    """Rows that are no independent evidence, by which intervals go."""

    def near(self, units: int, size: int) -> list[Example]:
        return [
            row(f"{unit}.{k}", nearly(long_text(unit), k))
            for k in range(size)
            for unit in range(units)
        ]

    def test_are_rows_that_nearly_repeat_one_another(self) -> None:
        splits = split_examples(self.near(130, 5), seed=0).splits
        for side in (splits.train, splits.dev, splits.test):
            found = splits.units_of(side)
            assert None not in found
            assert len(set(found)) == len({example.id.split(".")[0] for example in side})
            assert len(side) == 5 * len(set(found))

    def test_are_found_within_each_part_of_an_own_split(self) -> None:
        data = self.near(40, 5)
        train, dev, test = data[0::3], data[1::3], data[2::3]
        for given_dev in (dev, None):
            splits = keep_split(train, given_dev, test, seed=0).splits
            for side in (splits.train, splits.dev, splits.test):
                questions = [example.id.split(".")[0] for example in side]
                named = {
                    (question, unit or example.id)
                    for example, question, unit in zip(
                        side, questions, splits.units_of(side), strict=True
                    )
                }
                assert len(named) == len(set(questions))

    def test_are_groups_and_rows_alone_are_named_by_none(self) -> None:
        data = [row(str(k), group=f"g{k // 4}" if k < 200 else None) for k in range(400)]
        splits = split_examples(data, seed=0).splits
        for example, unit in zip(splits.test, splits.units_of(splits.test), strict=True):
            assert (unit is None) == (example.group is None)
        assert split_examples(rows(400), seed=0).splits.units == {}

    def test_are_documents_which_the_split_itself_may_tear(self) -> None:
        data = [
            replace(example, metadata={"document": f"{n % 20}.md"})
            for n, example in enumerate(rows(400))
        ]
        splits = split_examples(data, seed=0, minimum_gain=0.05).splits
        assert sides(splits) == sides(split_examples(rows(400), seed=0).splits)
        for side in (splits.train, splits.dev, splits.test):
            units = {splits.units.get(example.id, example.id) for example in side}
            assert len(units) == len({example.metadata["document"] for example in side})

    def test_are_no_documents_of_which_there_are_too_few_for_an_interval(self) -> None:
        data = [
            replace(example, metadata={"document": f"{n % 4}.md"})
            for n, example in enumerate(rows(400))
        ]
        division = split_examples(data, seed=0, minimum_gain=0.05)
        assert division.splits.units == {}
        assert division.notes[-1] == (
            "The test rows name 4 documents, too few to count as independent units (10 at least): "
            "the verdict is about questions on these documents."
        )


def test_fifty_thousand_rows_are_split_in_seconds() -> None:
    rng = random.Random(1)
    words = [f"word{k}" for k in range(5000)]
    texts = [" ".join(rng.choices(words, k=25)) for _ in range(45_000)]
    texts += [nearly(rng.choice(texts), k) for k in range(5_000)]
    data = [row(str(k), text) for k, text in enumerate(texts)]
    began = time.process_time()
    split_examples(data, seed=0, minimum_gain=0.05)
    assert time.process_time() - began < 20  # 4 on an idle machine


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


def test_rows_that_train_or_dev_hold_are_left_out_of_an_own_test() -> None:
    train, dev, test = rows(40), rows(9, start=40), rows(20, start=50)
    leaked = {"52": "train", "55": "dev", "57": "train"}
    division = keep_split(train, dev, test, seed=0, leaked=leaked)
    splits = division.splits
    assert [row.id for row in splits.test] == [
        row.id for row in test if row.id not in ("52", "55", "57")
    ]
    assert {held: [row.id for row in some] for held, some in splits.leaked.items()} == {
        "train": ["52", "57"],
        "dev": ["55"],
    }
    assert splits.reserved == ()
    assert (len(splits.train), len(splits.dev), division.unused_test) == (40, 9, 0)
    assert division.notes == (
        "3 rows are left out of test, since repeating them would look like skill: 2 are in train "
        "too, 1 is in dev too.",
    )
    without = keep_split(train, dev, [row for row in test if row.id not in leaked], seed=0)
    assert splits.fingerprint == without.splits.fingerprint


def test_what_is_left_out_does_not_count_for_the_limits() -> None:
    leaked = {str(n): "train" for n in range(40, 50)}
    division = keep_split(rows(30), rows(9, 30), rows(30, 40), seed=0, limit_test=15, leaked=leaked)
    assert len(division.splits.test) == 15
    assert not {row.id for row in division.splits.test} & set(leaked)
    assert division.unused == {"data.limit_test": 5}


def test_rows_that_documents_hold_leave_the_test_side_alone() -> None:
    whole = split_examples(rows(400), seed=0, minimum_gain=0.2).splits
    side = [*whole.test, *whole.reserved]
    leaked = {row.id: "documents" for row in (*side[:9], side[-1], *whole.train[:5])}
    splits = split_examples(rows(400), seed=0, minimum_gain=0.2, leaked=leaked).splits
    assert splits.train == whole.train
    assert splits.dev == whole.dev
    assert {row.id for row in splits.leaked["documents"]} == {
        row.id for row in (*side[:9], side[-1])
    }
    assert not {row.id for row in (*splits.test, *splits.reserved)} & set(leaked)
    assert len(splits.test) == len(whole.test)


def test_a_test_that_is_too_small_without_them_says_how_many_were_left_out() -> None:
    leaked = {str(n): "train" for n in range(50, 66)}
    with pytest.raises(UserError) as caught:
        keep_split(
            rows(40), rows(9, 40), rows(20, 50), seed=0, leaked={**leaked, "66": "documents"}
        )
    (line,) = str(caught.value).splitlines()
    assert "test holds 3 rows" in line
    assert (
        "17 more were left out of it: 16 are in train too, 1 stands in a document with its answer."
        in line
    )


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


@pytest.mark.parametrize("shuffled", [False, True])
def test_pieces_of_one_conversation_stay_on_one_side(shuffled: bool) -> None:
    # h2oai/h2o-llmstudio#422: a later piece holds the answers of earlier ones as its turns.
    examples = [row for number in range(60) for row in conversation(number, 1 + number % 4)]
    if shuffled:
        random.Random(0).shuffle(examples)
    division = split_examples(examples, seed=0)
    side = sides(division.splits)
    for number in range(60):
        assert len({side[f"{number}.{k}"] for k in range(1 + number % 4)}) == 1
    assert len(set(side.values())) == 3
    assert division.notes == (
        "90 rows are pieces of a conversation that an earlier row holds: kept on one side of the "
        "split.",
    )


def test_rows_added_at_the_end_move_no_piece_of_a_conversation() -> None:
    examples = [row for number in range(60) for row in conversation(number, 4)]
    random.Random(1).shuffle(examples)
    before = sides(split_examples(examples[:150], seed=0).splits)
    after = sides(split_examples(examples, seed=0).splits)
    assert all(after[name] == side for name, side in before.items())


def test_a_group_of_the_persons_wins_over_conversations() -> None:
    examples = [
        replace(row, group=f"customer {number}")
        for number in range(60)
        for row in conversation(number, 2)
    ]
    splits = split_examples(examples, seed=0).splits
    assert len(splits.train) + len(splits.dev) + len(splits.test) == 120
