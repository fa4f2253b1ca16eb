"""Every bad input gets one clear message and exit code 1 or 2; a traceback would fail the test."""

import json
from pathlib import Path

import pytest

from command_line import Done, tunewise
from decide_projects import labelled, write_project

SCRIPTED = '[model]\nengine = "scripted"\n[contenders]\nuse = ["constant", "zero_shot"]\n'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path, labelled(60), SCRIPTED)


def refused(done: Done, *parts: str, code: int = 1) -> str:
    """The message, once it is sure that it is one and holds the parts."""
    assert done.code == code, done.err
    assert done.out == ""
    assert "Traceback" not in done.err
    (message,) = done.err.split("error: ")[1:]
    for part in parts:
        assert part in message
    return message


@pytest.mark.parametrize(
    ("toml", "line", "message"),
    [
        ("[data]\n", "data.examples", "is missing. Name your data file"),
        ('[data]\nexample = "examples.jsonl"\n', "data.example", 'Did you mean "examples"?'),
        ('[data]\nexamples = "none.jsonl"\n', "data.examples", "none.jsonl does not exist"),
        ('[data]\nexamples = 3\n', "data.examples", "must be"),
        ('[data\n', ":1: is not TOML", "Mend that line"),
        ('[data]\nexamples = "examples.jsonl"\n[task]\nmetric = "acuracy"\n', "task.metric",
         'Did you mean "accuracy"?'),
        ('[data]\nexamples = "examples.jsonl"\n[model]\nengine = "vllm"\n', "model.engine",
         "Choose from"),
        ('[data]\nexamples = "examples.jsonl"\ndocuments = "docs"\n', "data.documents",
         "docs does not exist"),
        ('[data]\nexamples = "examples.jsonl"\n[training]\nepochs = 0\n', "training.epochs", "1"),
        ('[data]\nexamples = "examples.jsonl"\n[contenders.big]\ntype = "openai"\n',
         "contenders.big.model", "is missing"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", ["decide", "check"])
def test_a_faulty_tunewise_toml_is_refused_with_line_key_and_what_to_do(
    project: Path, command: str, toml: str, line: str, message: str
) -> None:
    (project / "tunewise.toml").write_text(toml)
    refused(tunewise(command, project), "tunewise.toml:", line, message)


def test_all_faults_of_a_configuration_come_together(project: Path) -> None:
    (project / "tunewise.toml").write_text(
        '[data]\nexamples = "none.jsonl"\n[task]\nmetric = "acuracy"\n[training]\nrnk = 3\n'
        '[decision]\nminimum_gain = "much"\n'
    )
    message = refused(tunewise("decide", project, "--contenders", "few_shots", "--seed", "-1"))
    lines = message.strip().splitlines()
    assert len(lines) == 6
    for key in (
        "data.examples", "task.metric", "training.rnk", "decision.minimum_gain",
        "contenders.use", "data.seed",
    ):  # fmt: skip
        assert sum(key in line for line in lines) == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", "does not exist. Name a project folder or a data file."),
        ("empty", "holds no tunewise.toml. Let `tunewise init"),
    ],
)
@pytest.mark.parametrize("command", ["decide", "check"])
def test_a_project_that_is_not_there_is_refused(
    tmp_path: Path, command: str, name: str, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    refused(tunewise(command, tmp_path / name), f"{tmp_path / name}: {message}")


def test_rows_that_cannot_be_read_are_named_by_line_all_together(project: Path) -> None:
    file = project / "examples.jsonl"
    lines = file.read_text().splitlines()
    lines[3] = '{"text": "broken'
    lines[7] = '{"text": "no answer here"}'
    lines[8] = "[1, 2]"
    file.write_text("\n".join(lines))
    message = refused(tunewise("decide", project))
    for number in (4, 8, 9):
        assert sum(f"{file}:{number}: " in line for line in message.splitlines()) == 1


@pytest.mark.parametrize(
    "content", [b"", b"\n\n", b"\xff\xfe\x00\xd8", b"PK\x03\x04rest", b"text\n"]
)
def test_a_file_that_holds_no_rows_is_refused(project: Path, content: bytes) -> None:
    (project / "examples.jsonl").write_bytes(content)
    refused(tunewise("decide", project), "examples.jsonl")


def test_a_folder_where_a_file_is_wanted_is_refused(project: Path) -> None:
    (project / "examples.jsonl").unlink()
    (project / "examples.jsonl").mkdir()
    refused(tunewise("decide", project), "examples.jsonl")


def test_a_test_split_too_small_to_decide_anything_is_refused(project: Path) -> None:
    refused(tunewise("decide", project, "--limit", "12"), "12 rows are too few to split")
    own = project / "own"
    own.mkdir()
    for part, rows in (("train", labelled(42)[2:]), ("test", labelled(2))):
        (own / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (own / "tunewise.toml").write_text('[data]\ntrain = "train.jsonl"\ntest = "test.jsonl"\n')
    refused(tunewise("decide", own), "test holds 2 rows after splitting, too few to decide")


def test_documents_that_hold_nothing_are_refused_when_someone_needs_them(project: Path) -> None:
    (project / "docs").mkdir()
    words = ["decide", project, "--documents", project / "docs"]
    refused(tunewise(*words, "--contenders", "rag"), "no documents. Put .md, .txt")
    assert tunewise(*words, "--contenders", "constant").code == 0


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ("smollm2-135m-instuct", "Did you mean 'smollm2-135m-instruct'?"),
        ("./no/such/folder", "does not exist"),
        ("none.gguf", "does not exist"),
        ("notes.txt", "model.base"),
        ("hollow", "model.base"),
    ],
)
def test_a_model_that_is_not_there_is_refused(
    project: Path, base: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNEWISE_CACHE", str(project / "cache"))
    monkeypatch.chdir(project)
    (project / "notes.txt").write_text("no model\n")
    (project / "hollow").mkdir()
    done = tunewise(
        "decide", project, "--set", f"model.base={base}", "--set", "model.engine=transformers"
    )
    refused(done, "model.base", message)
    assert not (project / "runs").exists()


@pytest.mark.parametrize("command", ["show", "rm"])
def test_a_model_command_for_an_unknown_model_is_refused(
    tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNEWISE_CACHE", str(tmp_path))
    refused(tunewise("models", command, "nothing-like-it"), "nothing-like-it")


def test_only_a_run_on_other_data_to_resume_is_said(project: Path) -> None:
    run = project / "runs" / "20260101-a"
    run.mkdir(parents=True)
    (run / "splits.json").write_text('{"run": "a", "fingerprint": "of other rows"}')
    (run / "project.toml").write_text("")
    refused(tunewise("decide", project, "--resume"), "There is no run of this project with")


def test_a_folder_in_use_is_not_written_over(project: Path) -> None:
    out = project / "mine"
    out.mkdir()
    (out / "notes.txt").write_text("keep me\n")
    refused(tunewise("decide", project, "--out", out), "a run lies here already")
    assert (out / "notes.txt").read_text() == "keep me\n"


def test_a_folder_that_cannot_be_made_is_said(project: Path) -> None:
    refused(
        tunewise("decide", project, "--out", project / "examples.jsonl" / "run"),
        "a run folder cannot be made here",
    )


def test_a_metric_of_ones_own_that_is_not_there_is_refused(project: Path) -> None:
    refused(tunewise("decide", project, "--set", "task.metric=nothing:here"), "nothing")


def test_a_metric_that_cannot_judge_these_answers_is_refused(project: Path) -> None:
    done = tunewise("decide", project, "--set", "task.metric=json_fields")
    refused(done, "examples.jsonl:1: ", "is no JSON object, which json_fields needs", "\n40 more")


@pytest.mark.parametrize("words", [("report",), ("runs", "show"), ("runs", "rm")])
def test_what_is_no_run_is_refused(project: Path, words: tuple[str, ...]) -> None:
    refused(tunewise(*words, project / "nowhere"), "nowhere")
    refused(tunewise(*words, project), str(project))


@pytest.mark.parametrize(
    "words",
    [
        ("decide",),
        ("decide", "{}", "--nonsense"),
        ("decide", "{}", "--limit", "many"),
        ("nonsense",),
        ("runs", "nonsense"),
    ],
)
def test_wrong_usage_ends_with_code_2(project: Path, words: tuple[str, ...]) -> None:
    done = tunewise(*(word.format(project) for word in words))
    assert done.code == 2
    assert done.err.startswith("Usage: ")
    assert done.out == ""


def test_a_setting_without_a_value_is_wrong_usage(project: Path) -> None:
    refused(tunewise("decide", project, "--set", "training.epochs"), "must be key=value", code=2)


@pytest.mark.parametrize("option", [("--limit", "0"), ("--contenders", ""), ("--seed", "-3")])
def test_an_option_out_of_range_is_refused(project: Path, option: tuple[str, str]) -> None:
    refused(tunewise("decide", project, *option))


def test_with_json_stdout_stays_empty_and_the_message_goes_to_stderr(project: Path) -> None:
    refused(tunewise("decide", project, "--json", "--limit", "5"), "too few")
