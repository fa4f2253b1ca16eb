"""A job's data pass the checks of `tunewise check`, and its faults name file and line."""

import json
from pathlib import Path
from typing import Any

import pytest

from job_rows import chat_rows, jsonl, pair_rows
from tunewise.progress import Silent
from tunewise.serving.jobs.outcome import Outcome
from tunewise.serving.jobs.records import Method
from tunewise.serving.jobs.validation import validate


def checked(
    folder: Path,
    training: bytes,
    *,
    validation: bytes | None = None,
    kind: Method = "supervised",
    model: str = "smollm2-135m-instruct",
) -> Outcome:
    """What becomes of these files."""
    (folder / "training.jsonl").write_bytes(training)
    data = 'examples = "training.jsonl"'
    more = '[training]\nmethod = "dpo"\n' if kind == "dpo" else ""
    if validation is not None:
        (folder / "validation.jsonl").write_bytes(validation)
        data = 'train = "training.jsonl"\ntest = "validation.jsonl"'
    (folder / "tunewise.toml").write_text(f'[data]\n{data}\n[model]\nbase = "{model}"\n{more}')
    return validate(folder, kind, Silent())


def fault(outcome: Outcome) -> str:
    assert outcome.fault is not None
    assert outcome.fault.code == "invalid_training_file"
    return outcome.fault.message


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No model is there: rows are checked without a tokenizer."""
    monkeypatch.setenv("TUNEWISE_CACHE", str(tmp_path_factory.mktemp("cache")))


def test_sound_rows_pass(tmp_path: Path) -> None:
    outcome = checked(tmp_path, jsonl(chat_rows(60)))
    assert outcome.fault is None
    assert "60 rows" in outcome.told[0]


def test_pairs_pass_a_dpo_job_and_no_other(tmp_path: Path) -> None:
    assert checked(tmp_path, jsonl(pair_rows(60)), kind="dpo").fault is None
    assert "holds preferences" in fault(checked(tmp_path, jsonl(pair_rows(60))))
    assert "holds examples" in fault(checked(tmp_path, jsonl(chat_rows(60)), kind="dpo"))


def test_a_fault_names_its_line(tmp_path: Path) -> None:
    rows: list[Any] = chat_rows(60)
    rows[6] = {"messages": [{"role": "user", "content": "no answer"}]}
    lines = jsonl(rows) + b'{"messages": [\n'
    told = fault(checked(tmp_path, lines))
    assert "training.jsonl:7" in told
    assert "training.jsonl:61" in told
    assert str(tmp_path) not in told


def test_a_fault_of_the_validation_file_is_told_as_its_own(tmp_path: Path) -> None:
    outcome = checked(tmp_path, jsonl(chat_rows(60)), validation=b'{"messages": 1}\n')
    assert outcome.fault is not None
    assert outcome.fault.message.startswith("validation.jsonl:1")
    assert outcome.fault.param == "validation_file"


@pytest.mark.parametrize(
    "content",
    [
        b"a,b\n1,2\n",
        b"PK\x03\x04",
        b"\x1f\x8b\x08",
        b"%PDF-1.7",
        b"<html>",
        b"\x00\x01",
        b"[1]",
        b"",
    ],
)
def test_what_is_no_jsonl_is_told(tmp_path: Path, content: bytes) -> None:
    assert "training.jsonl:1: is no JSONL" in fault(checked(tmp_path, content))


def test_too_few_rows_are_told(tmp_path: Path) -> None:
    assert "too few" in fault(checked(tmp_path, jsonl(chat_rows(10))))


def test_warnings_are_told_and_stop_nothing(tmp_path: Path) -> None:
    rows = chat_rows(60)
    outcome = checked(tmp_path, jsonl([*rows, rows[3]]))
    assert outcome.fault is None
    assert any("training.jsonl:61" in line for line in outcome.told), outcome.told


def test_rows_with_secrets_do_not_show_them(tmp_path: Path) -> None:
    rows = chat_rows(60)
    key = "sk-proj-" + "a1B2c3D4" * 6
    rows[5]["messages"][1]["content"] = f"my key is {key}"
    outcome = checked(tmp_path, jsonl(rows))
    assert key not in json.dumps([outcome.told, str(outcome.fault)])
