"""Whoever judges faithfulness sees the passages that the answers rest on."""

from pathlib import Path

import pytest

from example_run import write_run
from retrieved_run import ANSWERS, write_run_with_passages
from tunewise.pipelines.passages import with_passages
from tunewise.project.load import load_project
from tunewise.runs.pairs import pairs_of
from tunewise.runs.read import read_run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_run_with_passages(tmp_path)


def test_the_passages_that_either_saw_are_shown_once_and_masked(folder: Path) -> None:
    run = read_run(folder)
    found = with_passages(pairs_of(run), run, load_project(folder.parents[1]))
    [passage] = found.pairs.open[0].passages
    assert "The guarantee is two years." in passage
    assert "1234567" not in passage
    assert found.notes == ()


def test_a_document_that_changed_since_is_not_shown_and_that_is_said(folder: Path) -> None:
    (folder.parents[1] / "docs" / "tents.md").write_text("# Tents\n\nThe guarantee is one year.\n")
    run = read_run(folder)
    found = with_passages(pairs_of(run), run, load_project(folder.parents[1]))
    assert found.pairs.open[0].passages == ()
    assert found.notes[0].startswith("1 passage could not be shown")


def test_a_run_without_retrieval_reads_no_documents(tmp_path: Path, folder: Path) -> None:
    plain = write_run(tmp_path / "plain", answers=ANSWERS, n_test=30)
    run = read_run(plain)
    found = with_passages(pairs_of(run), run, load_project(folder.parents[1]))
    assert found == (pairs_of(run), ())
