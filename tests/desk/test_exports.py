"""Exports of a model that its page begins: processes, with what came of the comparison."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from desk_pages import ORIGIN, desk_client
from served_models import write_versions
from tunewise.desk import spawn as spawn_module
from tunewise.runs.exported import EngineParity, Parity, parity_document
from tunewise.runs.registry import Registry

PARITY = Parity(
    model="triage@2",
    to="gguf q8_0",
    base="base",
    base_sha256=None,
    prompts=40,
    of="test rows",
    too_long=0,
    metric="accuracy",
    margin=0.03,
    engines=(
        EngineParity(engine="openvino", rendered=40, answered=40, source=0.9, artefact=0.875),
    ),
)
PAGE = "/ui/models/triage"


@pytest.fixture
def client(tmp_path: Path) -> TestClient:
    registry = Registry()
    write_versions(registry)
    return desk_client(tmp_path, registry=registry)


def printing(
    monkeypatch: pytest.MonkeyPatch, document: dict[str, object], told: str = ""
) -> list[list[str]]:
    """Instead of `tunewise` a process that prints a document; the words it was begun with."""
    real, words = subprocess.Popen, list[list[str]]()
    program = f"import sys; print({json.dumps(document)!r}); sys.stderr.write({told!r})"

    def begun(command: list[str], **options: object) -> subprocess.Popen[bytes]:
        words.append(command[3:])
        return real([sys.executable, "-c", program], **options)  # type: ignore[call-overload]

    monkeypatch.setattr(spawn_module.subprocess, "Popen", begun)
    return words


def export(client: TestClient, *, number: int = 2, form: str = "gguf") -> int:
    body = {"name": "triage", "number": str(number), "form": form}
    return client.post("/ui/exports", data=body, headers=ORIGIN).status_code


def ended(client: TestClient) -> str:
    end = time.monotonic() + 60
    while "at work" in (text := client.get(PAGE).text):
        assert time.monotonic() < end
        time.sleep(0.02)
    return text


def test_an_export_is_the_command_that_a_person_would_type_and_shows_what_was_compared(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "exports" / "triage-2-gguf"
    document = {"passed": True, "folder": str(out), **parity_document(PARITY)}
    words = printing(monkeypatch, document)
    assert export(client) == 303
    text = ended(client)
    [begun] = words
    assert begun[:4] == ["export", "triage@2", "--to", "gguf"]
    assert Path(begun[5]).parent == tmp_path / "exports"
    assert begun[6:] == ["--json"]
    assert str(out) in text
    assert "openvino: 40 of 40 prompts have the same tokens" in text
    assert "accuracy: 90.0% before, 87.5% after" in text


def test_what_answers_differently_is_shown_as_not_kept(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = {"passed": False, "folder": None, **parity_document(PARITY)}
    printing(monkeypatch, document, told="it is not what it was")
    export(client)
    text = ended(client)
    assert "not kept" in text
    assert "it is not what it was" in text


def test_a_place_that_is_taken_is_left_alone(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = printing(monkeypatch, {})
    export(client)
    ended(client)
    Path(words[0][5]).mkdir(parents=True)
    export(client)
    assert words[1][5] == f"{words[0][5]}-2"


def test_what_is_not_there_is_told(client: TestClient) -> None:
    assert export(client, number=9) == 404
    assert export(client, form="exe") == 400


def test_only_a_page_of_this_server_exports(client: TestClient) -> None:
    assert client.post("/ui/exports").status_code == 403
