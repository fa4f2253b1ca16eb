import json
from pathlib import Path

import pytest

from tunewise.project.load import load_project
from tunewise.project.settings import Project
from tunewise.runs.asked import asked_rows
from tunewise.runs.folder import open_run
from tunewise.runs.ledger import note_use
from tunewise.types import Example, Message, Splits


@pytest.fixture
def project(tmp_path: Path) -> Project:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "examples.jsonl").write_text("{}\n")
    return load_project(folder / "examples.jsonl")


def rows(count: int) -> tuple[Example, ...]:
    turn = Message(role="user", content="What?")
    return tuple(Example(id=str(n), messages=(turn,), target=str(n)) for n in range(count))


def run(
    project: Project, name: str, *, tested: int, needed: int | None, outcome: str = "undecided"
) -> Path:
    """A finished run with that many test rows, whose verdict asks for some more."""
    used = Splits(train=(), dev=(), test=rows(tested), seed=0, fingerprint=name)
    begun = open_run(project, used, out=project.root / "runs" / name, resume=False)
    note_use(begun, used.test)
    verdict = {"outcome": outcome, "n_test": tested, "examples_needed": needed}
    begun.file("verdict.json").write_text(json.dumps(verdict))
    begun.close()
    return begun.path


def test_a_project_without_runs_asks_for_none(project: Project) -> None:
    assert asked_rows(project) is None
    assert asked_rows(project, resume=True) is None


def test_an_open_verdict_asks_for_its_test_rows_and_those_it_takes_besides(
    project: Project,
) -> None:
    run(project, "a", tested=63, needed=20)
    assert asked_rows(project) == 83


def test_the_newest_that_asks_counts_and_a_verdict_that_is_settled_takes_nothing_back(
    project: Project,
) -> None:
    run(project, "a", tested=63, needed=20)
    run(project, "b", tested=83, needed=None, outcome="few_shot")
    run(project, "c", tested=83, needed=None)
    assert asked_rows(project) == 83
    run(project, "d", tested=70, needed=5)
    assert asked_rows(project) == 75


def test_a_run_that_is_gone_on_with_keeps_its_own_number(project: Project) -> None:
    run(project, "a", tested=63, needed=20)
    interrupted = run(project, "b", tested=83, needed=None)
    (interrupted / "verdict.json").unlink()
    run(project, "c", tested=90, needed=30)
    assert asked_rows(project) == 120
    assert asked_rows(project, resume=True) == 83
    assert asked_rows(project, resume=True, out=project.root / "runs" / "a") == 63


def test_where_none_was_interrupted_the_newest_is_shown_again_with_its_own(
    project: Project,
) -> None:
    run(project, "a", tested=63, needed=20)
    assert asked_rows(project, resume=True) == 63


def test_a_verdict_that_was_damaged_or_deleted_asks_for_none(project: Project) -> None:
    run(project, "a", tested=63, needed=20)
    newest = run(project, "b", tested=83, needed=40)
    (newest / "verdict.json").write_text("{")
    assert asked_rows(project) == 83
    (newest / "verdict.json").unlink()
    assert asked_rows(project) == 83
