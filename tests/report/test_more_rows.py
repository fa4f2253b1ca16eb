"""What more rows would do for an open verdict, and which of them are labelled already."""

from collections.abc import Callable
from typing import Any

from tunewise.report.changes import what_would_change
from tunewise.report.more_rows import label_more, prospects, rows_in_vain
from tunewise.runs.schema import Run

MakeRun = Callable[..., Run]
CHANCES = [
    {"rows": 100, "settled": 0.41, "fine_tune": 0.2},
    {"rows": 300, "settled": 0.72, "fine_tune": 0.33},
    {"rows": 1000, "settled": 0.9, "fine_tune": 0.4},
]
SIZES = {"train": 83, "dev": 18, "test": 49}


def with_unused(make_run: MakeRun, unused: dict[str, int], unused_test: int, **changes: Any) -> Run:
    splits = {**SIZES, "unused": unused, "unused_test": unused_test}
    told = {"splits": splits, "examples_needed": 300, "assurance": CHANCES, **changes}
    return make_run(ends="cannot_tell", changes=told)


def test_the_rows_come_with_their_chance_and_with_what_they_take_in_labels(
    make_run: MakeRun,
) -> None:
    run = with_unused(make_run, {}, 0)
    # 300 test rows at a test share of 49 in 150 are 918 rows in all.
    assert label_more(run) == (
        "About 300 more test examples would settle the question with a chance of 72%. Label about "
        "920 further rows, of which the split makes so many test examples; with the 150 there "
        "are, that makes about 1,100 in total."
    )
    assert what_would_change(run)[0] == label_more(run)


def test_rows_that_a_limit_left_out_come_before_rows_to_label(make_run: MakeRun) -> None:
    run = with_unused(make_run, {"contenders.limit": 81}, 26)
    # 274 of the 300 are missing, at a test share of 49 in 150: 839 rows.
    assert label_more(run) == (
        "About 300 more test examples would settle the question with a chance of 72%. First use "
        "the rows there are: 81 labelled rows were left out by --limit (`contenders.limit`): run "
        "without it. That adds about 26 test examples. Then label about 840 further rows, of "
        "which the split makes so many test examples; with the 231 there are, that makes about "
        "1,100 in total."
    )


def test_reserved_rows_are_named_with_the_setting_that_takes_them_in(make_run: MakeRun) -> None:
    said = label_more(with_unused(make_run, {"data.limit_test": 310}, 310)) or ""
    assert "310 labelled rows of the test side were kept for later" in said
    assert "set `data.limit_test = 349` to use 300 of them" in said
    assert said.endswith("That is enough: nothing has to be labelled.")


def test_the_reserved_rows_are_a_line_of_the_table_and_called_so(make_run: MakeRun) -> None:
    run = make_run(ends="cannot_tell", unused={"data.limit_test": 70})
    lines = prospects(run)
    assert [line.rows for line in lines] == ["70, labelled already", "100", "300", "1,000"]
    assert [line.settled for line in lines] == [
        f"{round(100 * one.settled)}%" for one in run.assurance
    ]


def test_rows_left_out_of_train_alone_do_not_pass_for_test_rows(make_run: MakeRun) -> None:
    assert "First use" not in (label_more(with_unused(make_run, {"data.limit_train": 50}, 0)) or "")


def test_where_no_number_is_likely_to_settle_it_nothing_is_to_be_labelled(
    make_run: MakeRun,
) -> None:
    poor = [{**one, "settled": 0.3} for one in CHANCES]
    run = with_unused(make_run, {}, 0, examples_needed=None, assurance=poor)
    assert rows_in_vain(run) == 1000
    assert label_more(run) == (
        "Up to 1,000 more test examples are unlikely to settle the question (a chance below 60%): "
        "labelling more for it is no advice."
    )


def test_labels_by_the_thousand_are_no_advice(make_run: MakeRun) -> None:
    run = with_unused(make_run, {}, 0, examples_needed=1000)
    said = label_more(run) or ""
    assert "takes about 3,100 further labelled rows: weigh that" in said
    assert "Label" not in said


def test_runs_without_simulated_chances_keep_their_estimate_without_a_promise(
    make_run: MakeRun,
) -> None:
    said = label_more(with_unused(make_run, {}, 0, examples_needed=140, assurance=[])) or ""
    assert said.startswith("About 140 more test examples might settle the question, as an earlier")
    assert "chance" not in said
    thousands = with_unused(make_run, {}, 0, examples_needed=9600, assurance=[])
    assert (label_more(thousands) or "").startswith("Up to 1,000 more test examples are unlikely")


def test_a_settled_verdict_asks_for_no_rows(make_run: MakeRun) -> None:
    run = make_run(ends="stay")
    assert label_more(run) is None
    assert prospects(run) == []
