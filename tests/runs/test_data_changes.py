import json
from dataclasses import replace
from pathlib import Path

import pytest

from tunewise.project.load import load_project
from tunewise.project.settings import Project
from tunewise.runs.data_changes import about_earlier_runs, changes_since_last_run
from tunewise.runs.folder import RunFolder, open_run, remove_run
from tunewise.runs.ledger import note_use
from tunewise.types import Example, Message, Splits


def row(name: str, text: str = "") -> Example:
    turn = Message(role="user", content=text or f"What is {name}?")
    return Example(id=name, messages=(turn,), target=f"it is {name}")


def rows(names: str) -> tuple[Example, ...]:
    return tuple(row(name) for name in names)


def splits(train: str, dev: str, test: str, reserved: str = "", fingerprint: str = "") -> Splits:
    return Splits(
        train=rows(train),
        dev=rows(dev),
        test=rows(test),
        reserved=rows(reserved),
        seed=0,
        fingerprint=fingerprint or "|".join((train, dev, test)),
    )


BEFORE = splits("abc", "de", "uvwx", reserved="yz")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "examples.jsonl").write_text("{}\n")
    return load_project(folder / "examples.jsonl")


def finish(
    project: Project, used: Splits, name: str = "first", out: Path | None = None
) -> RunFolder:
    run = open_run(project, used, out=out or project.root / "runs" / name, resume=False)
    note_use(run, used.test)
    run.file("verdict.json").write_text(json.dumps({"outcome": "undecided"}))
    run.close()
    return run


def sentence(project: Project, now: Splits) -> str:
    changes = changes_since_last_run(project, now)
    assert changes is not None
    return changes.sentence


def test_nothing_is_said_of_the_first_run(project: Project) -> None:
    assert changes_since_last_run(project, BEFORE) is None
    assert about_earlier_runs(project, BEFORE) == ()


def test_nothing_changed_when_the_fingerprint_is_the_same(project: Project) -> None:
    finish(project, BEFORE)
    assert changes_since_last_run(project, BEFORE) is None


def test_rows_added_removed_and_changed_are_counted(project: Project) -> None:
    finish(project, BEFORE)
    now = splits("abcf", "e", "uvw", reserved="yzgh")
    now = replace(now, train=(row("a", "What is a, really?"), *now.train[1:]))
    assert sentence(project, now) == (
        "The data changed since run first: 3 rows added, 2 rows removed, 1 row changed. "
        "Of its 4 test rows, 3 are tested on again (1 gone, changed or reserved)."
    )


def test_a_corrected_answer_is_a_changed_row_whatever_its_id(project: Project) -> None:
    finish(project, BEFORE)
    corrected = replace(row("u"), id="its id is a hash of its content", target="it is not u")
    now = splits("abc", "de", "uvwx", reserved="yz", fingerprint="new")
    now = replace(now, test=(corrected, *now.test[1:]))
    assert sentence(project, now) == (
        "The data changed since run first: 1 row changed. "
        "Of its 4 test rows, 3 are tested on again (1 gone, changed or reserved)."
    )


def test_old_test_rows_in_train_are_told(project: Project) -> None:
    finish(project, BEFORE)
    now = splits("abcu", "de", "vwxk", reserved="yz")
    assert "1 row added. Of its 4 test rows, 3 are tested on again (1 in train or dev now)." in (
        sentence(project, now)
    )


def test_the_same_rows_split_otherwise_are_no_changed_data(project: Project) -> None:
    finish(project, BEFORE)
    assert sentence(project, splits("uvabc", "de", "wxyz")) == (
        "The rows are those of run first, but the split, a group or another column is not. "
        "Of its 4 test rows, 2 are tested on again (2 in train or dev now)."
    )


def test_a_row_that_stands_twice_counts_twice(project: Project) -> None:
    finish(project, BEFORE)
    again = replace(row("a"), id="a-2")
    twice = replace(BEFORE, fingerprint="new", train=(*BEFORE.train, again))
    assert "1 row added." in sentence(project, twice)


def test_the_last_finished_run_that_shares_a_row_counts(project: Project, tmp_path: Path) -> None:
    finish(project, splits("abc", "de", "uvw"), "older")
    finish(project, BEFORE, out=tmp_path / "kept elsewhere")
    finish(project, splits("123", "45", "6789"), "another task in the same folder")
    open_run(project, splits("ab", "d", "u"), out=project.root / "runs" / "cut", resume=False)
    assert "since run kept elsewhere: 1 row added." in sentence(
        project, splits("abck", "de", "uvwx", reserved="yz")
    )


def test_a_deleted_run_is_passed_over(project: Project) -> None:
    finish(project, splits("abc", "de", "uvw"), "older")
    remove_run(finish(project, BEFORE, "newer").path)
    assert "since run older" in sentence(project, BEFORE)


def test_a_run_whose_files_are_damaged_is_passed_over(project: Project) -> None:
    finish(project, splits("abc", "de", "uvw"), "older")
    newer = finish(project, BEFORE, "newer")
    for text in (
        "{",
        "[]",
        "{}",
        newer.file("splits.json").read_text().replace('"train"', '"x"', 1),
    ):
        newer.file("splits.json").write_text(text)
        assert "since run older" in sentence(project, BEFORE)


def test_a_moved_project_still_knows_its_runs(project: Project, tmp_path: Path) -> None:
    finish(project, BEFORE)
    project.root.rename(tmp_path / "moved")
    moved = load_project(tmp_path / "moved" / "examples.jsonl")
    assert "since run first" in sentence(moved, splits("abck", "de", "uvwx"))


def test_a_run_that_used_test_rows_before_is_told(project: Project) -> None:
    first = finish(project, BEFORE)
    (told,) = about_earlier_runs(project, BEFORE)
    assert "were opened by 1 run before. This is look 2" in told
    assert about_earlier_runs(project, BEFORE, first) == ()
    finish(project, BEFORE, "second")
    assert "by 2 runs before. This is look 3" in about_earlier_runs(project, BEFORE)[0]
