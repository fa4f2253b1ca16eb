"""The example projects, and copies of them to start from."""

from pathlib import Path

import pytest

from command_line import tunewise
from tunewise.errors import UserError
from tunewise.project.examples import DEMO, LEFT_OUT, copy_example, demo_folder, examples
from tunewise.project.load import load_project


def test_every_example_says_what_it_is_and_loads() -> None:
    found = examples()
    assert DEMO in {one.name for one in found}
    for one in found:
        assert one.about.endswith("."), one
        assert one.rows >= 150, one
        load_project(one.folder)


def test_the_embedded_example_is_one_of_them() -> None:
    assert demo_folder() in {one.folder for one in examples()}


def test_a_copy_is_a_project_like_the_first(tmp_path: Path) -> None:
    copy = copy_example("shop_sql", tmp_path / "deep" / "mine")
    first = next(one for one in examples() if one.name == "shop_sql")
    names = {path.name for path in copy.folder.iterdir()}
    assert names == {
        path.name
        for path in first.folder.iterdir()
        if path.name not in LEFT_OUT and not path.name.startswith(".")
    }
    assert (copy.rows, copy.about) == (first.rows, first.about)
    there, here = load_project(first.folder), load_project(copy.folder)
    assert here.root == copy.folder
    assert here.task == there.task


def test_runs_and_what_python_leaves_are_not_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = copy_example(DEMO, tmp_path / DEMO).folder
    for left in ("runs/one", "finished", "__pycache__", ".cache"):
        (home / left).mkdir(parents=True)
    monkeypatch.setattr("tunewise.project.examples._folder", lambda: tmp_path)
    copy = copy_example(DEMO, tmp_path / "copy").folder
    assert not {*LEFT_OUT, ".cache"} & {path.name for path in copy.iterdir()}


def test_an_empty_folder_will_do_and_one_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    copy_example(DEMO, tmp_path / "empty")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="is there already"):
        copy_example(DEMO, tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]
    with pytest.raises(UserError, match="cannot be written"):
        copy_example(DEMO, tmp_path / "mine" / "notes.txt" / "below")


def test_a_name_that_is_none_gets_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r'Did you mean "contract_clauses"\?'):
        copy_example("contract_clause", tmp_path / "new")


def test_the_command_lists_them_and_says_how_to_go_on(tmp_path: Path) -> None:
    listed = tunewise("new")
    assert listed.code == 0, listed.err
    for one in examples():
        assert f"{one.name} " in listed.out
        assert one.about in listed.out
    copied = tunewise("new", "contract_clauses", tmp_path / "clauses")
    assert copied.code == 0, copied.err
    assert f"tunewise check {tmp_path / 'clauses'}" in copied.out
    assert tunewise("new", "contract_clauses", tmp_path / "clauses").code == 1
