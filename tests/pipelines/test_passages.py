"""Whoever judges faithfulness sees the passages that the answers rest on."""

import json
from pathlib import Path

import pytest

from example_run import write_run
from tunewise.data.documents.document import whole_text
from tunewise.data.documents.read import read_documents
from tunewise.pipelines.passages import with_passages
from tunewise.project.load import load_project
from tunewise.runs.made_from import text_hash
from tunewise.runs.pairs import pairs_of
from tunewise.runs.read import read_run

ANSWERS = {"fine_tune": "Two years.", "few_shot": "Dear customer, two years."}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run whose few_shot was shown a passage of a document."""
    documents = tmp_path / "docs"
    documents.mkdir()
    (documents / "tents.md").write_text(
        "# Tents\n\nThe guarantee is two years. Call +49 170 1234567.\n"
    )
    (tmp_path / "rows.jsonl").write_text("{}\n")
    (tmp_path / "tunewise.toml").write_text('[data]\nexamples = "rows.jsonl"\ndocuments = "docs"\n')
    run = write_run(tmp_path / "run", answers=ANSWERS, n_test=30)
    verdict = json.loads((run / "verdict.json").read_text())
    for one in verdict["contenders"]:
        if one["name"] == "few_shot":
            one["fit"]["settings"] |= {"k": 1, "chunk_words": 120}
    (run / "verdict.json").write_text(json.dumps(verdict))
    lines = [json.loads(line) for line in (run / "answers.jsonl").read_text().splitlines()]
    for line in lines:
        line["passages"] = ["tents.md#1"] if line["contender"] == "few_shot" else []
    (run / "answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    [document] = read_documents(documents)
    kept = {
        "items": {"docs": [[document.name, text_hash(whole_text(document).text), ""]]},
        "unit": {"docs": "document"},
    }
    (run / "made-from.json").write_text(json.dumps(kept))
    return run


def test_the_passages_that_either_saw_are_shown_once_and_masked(folder: Path) -> None:
    run = read_run(folder)
    found = with_passages(pairs_of(run), run, load_project(folder.parent))
    [passage] = found.pairs.open[0].passages
    assert "The guarantee is two years." in passage
    assert "1234567" not in passage
    assert found.notes == ()


def test_a_document_that_changed_since_is_not_shown_and_that_is_said(folder: Path) -> None:
    (folder.parent / "docs" / "tents.md").write_text("# Tents\n\nThe guarantee is one year.\n")
    run = read_run(folder)
    found = with_passages(pairs_of(run), run, load_project(folder.parent))
    assert found.pairs.open[0].passages == ()
    assert found.notes[0].startswith("1 passage could not be shown")


def test_a_run_without_retrieval_reads_no_documents(tmp_path: Path, folder: Path) -> None:
    plain = write_run(tmp_path / "plain", answers=ANSWERS, n_test=30)
    run = read_run(plain)
    found = with_passages(pairs_of(run), run, load_project(folder.parent))
    assert found == (pairs_of(run), ())
