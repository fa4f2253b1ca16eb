import json
import re
import shutil
from pathlib import Path

import pytest

from command_line import tunewise
from decide_projects import LABELS, contract_faults, labelled, read_json, write_project

SCRIPTED = '[model]\nengine = "scripted"\n[contenders]\nuse = ["constant", "zero_shot", "rag"]\n'


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one finished run in `runs/first`."""
    project = write_project(tmp_path_factory.mktemp("project"), labelled(60), SCRIPTED)
    assert tunewise("decide", project, "--out", project / "runs" / "first").code == 0
    return project


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path / "project", labelled(60), SCRIPTED)


def test_decide_shows_the_verdict_on_stdout_and_its_work_on_stderr(project: Path) -> None:
    done = tunewise("decide", project)
    assert done.code == 0
    assert "zero_shot" in done.out
    assert "no documents given" in done.out
    assert "zero_shot: test" in done.err
    assert "zero_shot: test" not in done.out
    (run,) = [path for path in (project / "runs").iterdir() if path.is_dir()]
    assert contract_faults(read_json(run / "verdict.json")) == []


def test_with_json_stdout_is_the_verdict_and_nothing_else(project: Path) -> None:
    done = tunewise("decide", project, "--json", "--out", project / "run")
    assert done.code == 0
    assert json.loads(done.out) == read_json(project / "run" / "verdict.json")
    assert "zero_shot: test" in done.err


def test_the_report_says_with_which_command_it_was_made(project: Path) -> None:
    tunewise("decide", project, "--limit", "50", "--out", project / "run")
    verdict = read_json(project / "run" / "verdict.json")
    assert verdict["reproduce"] == f"tunewise decide {project} --limit 50 --out {project / 'run'}"


def test_options_win_over_the_file(project: Path) -> None:
    documents = project / "docs"
    documents.mkdir()
    (documents / "a.md").write_text("# A\n\nMessages have labels.\n")
    done = tunewise(
        "decide", project, "--json", "--instruction", 'Say "refund".', "--limit", "50",
        "--seed", "7", "--contenders", "zero_shot, rag", "--documents", documents,
        "--set", "decision.minimum_gain=0.2",
    )  # fmt: skip
    verdict = json.loads(done.out)
    assert verdict["task"]["instruction"] == 'Say "refund".'
    assert [one["name"] for one in verdict["contenders"]] == ["zero_shot", "rag"]
    assert "skipped" not in verdict["contenders"][1]
    assert sum(verdict["splits"][part] for part in ("train", "dev", "test")) == 50
    assert verdict["decision"]["minimum_gain"] == 0.2
    (run,) = [path for path in (project / "runs").iterdir() if path.is_dir()]
    assert read_json(run / "splits.json")["seed"] == 7


def test_a_data_file_alone_is_enough(project: Path) -> None:
    done = tunewise(
        "decide", project / "examples.jsonl", "--json",
        "--set", "model.engine=scripted", "--contenders", "constant,zero_shot",
    )  # fmt: skip
    assert contract_faults(json.loads(done.out)) == []


def test_a_dry_run_says_what_would_be_done_and_opens_nothing(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = list[object]()
    for name in (
        "models.engines.open.open_model", "pipelines.decide.open_run",
        "pipelines.decide.contender_set",
    ):  # fmt: skip
        monkeypatch.setattr(f"tunewise.{name}", lambda *a, **k: opened.append(a))
    before = sorted(project.rglob("*"))
    done = tunewise("decide", project, "--dry-run", "--set", "model.base=no-such-model")
    assert done.code == 0
    assert "zero_shot" in done.out
    assert "test stays sealed" in done.out
    assert "a verdict is not possible: it takes 20 at least" in done.out
    assert "\ntime " in done.out
    assert opened == []
    assert sorted(project.rglob("*")) == before


def test_a_dry_run_can_be_one_json_document(project: Path) -> None:
    plan = json.loads(tunewise("decide", project, "--dry-run", "--json").out)
    assert plan["train"] + plan["dev"] + plan["test"] == 60
    assert plan["contenders"] == ["constant", "zero_shot", "rag"]
    assert (plan["kind"], plan["metric"]) == ("classification", "accuracy")


def test_a_dry_run_tells_of_changed_data_and_used_test_rows(finished: Path, tmp_path: Path) -> None:
    copy = tmp_path / "project"
    shutil.copytree(finished, copy)
    write_project(copy, labelled(70), SCRIPTED)
    said = tunewise("decide", copy, "--dry-run").out
    assert "note           The data changed since run first: 10 rows added. Of its " in said
    assert "This is look 2, which needs stronger evidence." in said


def test_check_lists_what_is_wrong_and_fails_only_on_errors(tmp_path: Path) -> None:
    rows = [*labelled(30), labelled(30)[4], {"text": "back it goes", "label": "refnd"}]
    known = ["--set", f"task.labels={json.dumps(LABELS)}"]
    project = write_project(tmp_path, rows)
    done = tunewise("check", project, *known)
    assert done.code == 1
    assert 'error [unknown_label] examples.jsonl:32: "refnd" is not among' in done.out
    assert "warning [duplicate] examples.jsonl:31: Repeats" in done.out
    good = tunewise("check", write_project(tmp_path / "good", rows[:-1]), *known)
    assert good.code == 0
    assert "No errors. Next: tunewise decide" in good.out
    assert "Test can use about 670 rows, more than these give: label about" in good.out


def test_check_can_be_one_json_document(tmp_path: Path) -> None:
    rows = [*labelled(30), {"text": "back it goes", "label": "refnd"}]
    known = ["--set", f"task.labels={json.dumps(LABELS)}"]
    done = tunewise("check", write_project(tmp_path, rows), "--json", *known)
    assert done.code == 1
    found = json.loads(done.out)
    assert found["rows"] == 31
    assert [one["rule"] for one in found["errors"]] == ["unknown_label"]


def test_a_run_is_told_in_three_sentences(finished: Path) -> None:
    told = tunewise("report", finished / "runs" / "first", "--brief")
    assert told.code == 0
    assert told.out.count("• ") == 3
    assert told.out.startswith("• Do not decide yet: whether fine-tuning is worth it is open;")


def test_a_run_is_shown_again(finished: Path) -> None:
    run = finished / "runs" / "first"
    (run / "report.html").unlink()
    shown, again = tunewise("runs", "show", run), tunewise("report", run)
    assert shown.code == again.code == 0
    assert shown.out == again.out
    assert "Cannot tell" in shown.out
    assert (run / "report.html").is_file()


def test_runs_are_listed_with_their_outcome_and_finding(finished: Path) -> None:
    assert "first  undecided  Cannot tell yet" in tunewise("runs", "list", finished).out
    (listed,) = json.loads(tunewise("runs", "list", finished, "--json").out)
    assert re.fullmatch(r"20\d\d-\d\d-\d\d \d\d:\d\d", listed.pop("since"))
    assert listed.pop("finding").startswith("Cannot tell yet")
    assert listed == {
        "id": "first",
        "path": str(finished / "runs" / "first"),
        "outcome": "undecided",
        "command": "decide",
        "state": "finished",
    }


def test_a_project_without_runs_says_so(tmp_path: Path) -> None:
    done = tunewise("runs", "list", tmp_path)
    assert (done.code, done.out.strip()) == (0, f"No runs under {tmp_path / 'runs'}.")
    assert json.loads(tunewise("runs", "list", tmp_path, "--json").out) == []


def test_a_run_can_be_deleted_and_its_use_of_test_stays_written_down(
    finished: Path, tmp_path: Path
) -> None:
    project = tmp_path / "copy"
    shutil.copytree(finished, project)
    run = project / "runs" / "first"
    assert tunewise("runs", "rm", run).out.strip() == f"Deleted {run}."
    assert not run.exists()
    verdict = json.loads(tunewise("decide", project, "--json").out)
    assert verdict["test_set_uses"] == 2


def test_models_are_listed_and_removed_by_name(
    tmp_path: Path, small_folder: Path, small_gguf: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNEWISE_CACHE", str(tmp_path))
    assert "No model is prepared yet" in tunewise("models", "list").out
    assert tunewise("models", "pull", small_folder).code == 0
    (model,) = json.loads(tunewise("models", "list", "--json").out)
    assert model["name"].startswith("small-llama-")
    shown = tunewise("models", "show", small_folder).out
    assert "family   llama" in shown
    assert "context  256 tokens" in shown
    assert tunewise("models", "rm", model["name"]).code == 0
    assert json.loads(tunewise("models", "list", "--json").out) == []


def test_help_is_shown_without_a_command() -> None:
    assert "decide" in tunewise("--help").out
    assert tunewise("--help").code == 0
