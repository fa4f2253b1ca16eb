"""Gallery and story say what the finished runs say, and nothing else has a number in them."""

import re
import sys
from pathlib import Path

import pytest

from places import ROOT
from tunewise.project.examples import example_folders
from tunewise.runs.read import read_summary

sys.path.insert(0, str(ROOT / "tools"))
import gallery

RUNS = gallery.finished()
FIGURE = re.compile(r"\d+(?:[.,]\d+)? ?(?:%|points?\b|tokens?\b|ms\b)")


def test_both_pages_are_as_the_script_writes_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["gallery.py", "--check"])
    assert gallery.main() == 0, capsys.readouterr().err


def test_a_figure_that_is_not_what_a_run_says_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    changed = tmp_path / "story.md"
    text = gallery.STORY.read_text("utf-8")
    changed.write_text(re.sub(r"(-->\d)", r"\g<1>9", text, count=1), "utf-8")
    monkeypatch.setattr(gallery, "STORY", changed)
    monkeypatch.setattr(gallery, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["gallery.py", "--check"])
    assert gallery.main() == 1


def test_every_figure_of_the_story_is_read_from_a_run() -> None:
    plain = gallery.MARK.sub("", gallery.STORY.read_text("utf-8"))
    assert FIGURE.findall(plain) == []


def test_no_line_begins_with_a_figure_where_markdown_would_end_the_paragraph() -> None:
    for page in (gallery.STORY, *(one.folder / "README.md" for one, _ in RUNS.values())):
        lines = page.read_text("utf-8").splitlines()
        assert [line for line in lines if line.startswith("<!--=")] == [], page


def test_finished_runs_are_whole_verdicts_of_the_rows_that_are_there() -> None:
    assert {folder.name for folder in example_folders()} == set(gallery.CARDS)
    for name, (example, run) in RUNS.items():
        assert run.reproduce.startswith(f"tunewise decide examples/{name} "), name
        assert not run.first_opinion, name
        rows = run.splits
        assert rows is not None
        assert rows.train + rows.dev + rows.test <= example.rows, name


def test_some_say_fine_tune_and_some_do_not() -> None:
    advised = {run.finding == "fine_tune" for _, run in RUNS.values()}
    assert advised == {True, False}


@pytest.mark.parametrize("name", RUNS)
def test_a_finished_run_names_no_place_of_the_machine_it_ran_on(name: str) -> None:
    folder = next(one for one in example_folders() if one.name == name) / gallery.FINISHED
    for file in sorted(folder.iterdir()):
        if file.name != "report.html":
            assert not re.search(r"\"/(?:home|root|tmp|work)/", file.read_text("utf-8")), file
    assert read_summary(folder).n_test > 0
