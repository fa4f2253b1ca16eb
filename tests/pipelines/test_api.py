"""What a program imports: the jobs of the command line, with typed results."""

import doctest
from pathlib import Path

import pytest

import tunewise
from decide_projects import labelled, read_json, write_project

SCRIPTED = '[model]\nengine = "scripted"\n[contenders]\nuse = ["constant", "zero_shot"]\n'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path / "project", labelled(60), SCRIPTED)


def test_every_public_name_is_there_and_nothing_else() -> None:
    assert dir(tunewise) == sorted(tunewise.__all__)
    for name in tunewise.__all__:
        assert getattr(tunewise, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        tunewise.no_such_name  # noqa: B018  # pyright: ignore[reportAttributeAccessIssue]


def test_decide_gives_the_run_that_it_wrote(project: Path) -> None:
    loaded = tunewise.load_project(str(project), ["data.seed=3"])
    run = tunewise.decide(loaded, out=project / "run", progress=tunewise.Silent())
    assert isinstance(run, tunewise.FinishedRun)
    assert run.outcome == read_json(project / "run" / "verdict.json")["outcome"]
    assert tunewise.read_run(project / "run") == run
    assert len(run.answers) == 2 * run.n_test


def test_check_finds_what_the_command_finds(project: Path) -> None:
    with (project / "examples.jsonl").open("a") as rows:
        rows.write('{"text": "message 1", "label": ""}\n')
    checked = tunewise.check(project, progress=tunewise.Silent())
    assert checked.total == 60
    (error,) = checked.report.errors
    assert str(error).startswith(f"{project / 'examples.jsonl'}:61: ")


def test_faults_are_user_errors(tmp_path: Path) -> None:
    with pytest.raises(tunewise.UserError, match="nowhere"):
        tunewise.decide(tmp_path / "nowhere")


def test_the_types_are_shipped() -> None:
    assert (Path(tunewise.__file__).parent / "py.typed").is_file()


def test_the_examples_of_the_docstring_are_true(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.parent)
    (failed, tried) = doctest.testmod(tunewise, extraglobs={"path": str(project)})
    assert (failed, tried > 2) == (0, True)
