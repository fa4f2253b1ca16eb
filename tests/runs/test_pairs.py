"""Pairs of a run's answers, and the file of what a person said of them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from example_run import write_run
from tunewise.errors import UserError
from tunewise.runs.judged import Rated, Rating
from tunewise.runs.pairs import Pairs, RatingFile, pairs_of
from tunewise.runs.read import read_run

ANSWERS = {"fine_tune": "On its way.", "few_shot": "Dear customer, it is on its way."}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run", answers=ANSWERS)


def pairs_in(folder: Path) -> Pairs:
    return pairs_of(read_run(folder))


def rating(pairs: Pairs, n: int = 0, said: Rated = "left", left: str = "fine_tune") -> Rating:
    return Rating(
        example_id=pairs.open[n].row.id, a="fine_tune", b="few_shot", left=left, said=said
    )


def test_the_pairs_are_of_the_best_training_and_what_it_was_held_against(folder: Path) -> None:
    pairs = pairs_in(folder)
    assert (pairs.a, pairs.b, pairs.rows, len(pairs.open)) == ("fine_tune", "few_shot", 120, 120)
    assert (pairs.open[0].a, pairs.open[0].b) == (*ANSWERS.values(),)
    assert (
        pairs.open[0].row.input
        == "hi, the two man tent still says 'label created'. is it even in the building??"
    )


def test_equal_answers_and_crashes_are_settled(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", answers=ANSWERS)
    lines = [json.loads(line) for line in (folder / "answers.jsonl").read_text().splitlines()]
    for line in lines:
        if line["contender"] == "few_shot" and line["example_id"] == "a000":
            line["text"] = ANSWERS["fine_tune"]
        if line["contender"] == "few_shot" and line["example_id"] == "a001":
            line |= {"text": None, "error": "out of memory"}
        if line["contender"] == "fine_tune" and line["example_id"] == "a002":
            line["text"] = f"<think>a short one</think>{ANSWERS['few_shot']}"
    (folder / "answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert pairs_in(folder).settled == {"a000": 0.0, "a001": 1.0, "a002": 0.0}


def test_the_order_is_random_and_that_of_the_seed(folder: Path) -> None:
    pairs = pairs_in(folder)
    ids = [[pair.row.id for pair in pairs.shuffled(seed)] for seed in (0, 0, 1)]
    assert ids[0] == ids[1] != ids[2]
    assert sorted(ids[0]) == sorted(ids[2]) == [pair.row.id for pair in pairs.open]


@pytest.mark.parametrize(
    ("said", "left", "value"),
    [
        ("left", "fine_tune", 1.0),
        ("right", "fine_tune", -1.0),
        ("left", "few_shot", -1.0),
        ("right", "few_shot", 1.0),
        ("tie", "few_shot", 0.0),
        ("skip", "few_shot", None),
    ],
)
def test_a_rating_counts_for_the_contender_that_was_meant(
    folder: Path, said: Rated, left: str, value: float | None
) -> None:
    assert rating(pairs_in(folder), said=said, left=left).value == value


def test_ratings_are_there_again_and_the_last_word_counts(folder: Path) -> None:
    pairs = pairs_in(folder)
    file = RatingFile(folder, pairs)
    file.add(rating(pairs, 0))
    file.add(rating(pairs, 1, "skip"))
    file.add(rating(pairs, 0, "right"))
    again = RatingFile(folder, pairs)
    assert again.values == {pairs.open[0].row.id: -1.0}
    assert again.skipped == 1


def test_what_is_taken_back_is_no_rating_and_the_one_before_is_the_last(folder: Path) -> None:
    pairs = pairs_in(folder)
    file = RatingFile(folder, pairs)
    file.add(rating(pairs, 0))
    file.add(rating(pairs, 1))
    file.add(replace(rating(pairs, 1), said="undone"))
    assert [*file.values] == [pairs.open[0].row.id]
    assert file.last() == rating(pairs, 0)


def test_a_line_that_a_kill_left_half_written_is_cut_off(folder: Path) -> None:
    pairs = pairs_in(folder)
    RatingFile(folder, pairs).add(rating(pairs))
    with (folder / "ratings.jsonl").open("a") as file:
        file.write('{"example_id": "a0')
    assert len(RatingFile(folder, pairs).values) == 1


def test_ratings_of_pairs_that_are_not_in_the_run_are_named_by_their_lines(folder: Path) -> None:
    good = {"a": "fine_tune", "b": "few_shot", "left": "few_shot", "said": "tie"}
    lines = [
        json.dumps({"example_id": "a001", **good}),
        json.dumps({"example_id": "zz", **good}),
        json.dumps({"example_id": "a002", **good, "b": "rag", "left": "rag"}),
        '{"example_id": "a003", "a": "fine_tune", "b": "few_shot", "left": "few_shot"}',
        "left",
    ]
    (folder / "ratings.jsonl").write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError) as caught:
        RatingFile(folder, pairs_in(folder))
    said = str(caught.value).splitlines()
    assert [line.partition("ratings.jsonl:")[2][:1] for line in said[:4]] == ["2", "3", "4", "5"]
    assert "the row zz is no test row of this run" in said[0]
    assert "about fine_tune and rag; the pairs of this run are of fine_tune and few_shot" in said[1]
    assert "`said` must be given" in said[2]
    assert "not JSON" in said[3]
    assert said[4].startswith("Remove these lines")


def test_a_run_that_kept_no_answers_has_no_pairs(folder: Path) -> None:
    (folder / "answers.jsonl").unlink()
    with pytest.raises(UserError, match="keeps no answers of fine_tune"):
        pairs_in(folder)


def test_the_units_of_the_split_are_known(folder: Path) -> None:
    assert pairs_in(folder).units is None
    ids = [f"a{n:03d}" for n in range(120)]
    units = [f"customer {n // 2}" for n in range(120)]
    (folder / "splits.json").write_text(json.dumps({"test": ids, "units": units}))
    assert pairs_in(folder).units == units
