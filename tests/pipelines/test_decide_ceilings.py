"""Contenders of type openai, against a real HTTP server on this machine."""

import functools
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from command_line import tunewise
from decide_projects import LABELS, by_name, contract_faults, labelled, read_json, write_project
from tunewise.exporting.bundle import read_bundle
from tunewise.pipelines.publish import publish
from tunewise.progress import Silent
from tunewise.retrieval.embed import load_embedder
from tunewise.runs.model_file import EndpointUsed
from tunewise.runs.registry import Registry
from tunewise.serving.protocol import RefusedError
from tunewise.serving.served import Loaded, VersionServed
from tunewise.types import Message

KEY = "sk-nobody-may-see-this"


class Endpoint(ThreadingHTTPServer):
    """Answers the messages of `labelled` right; a refusal where `status` is no 200."""

    daemon_threads = True

    def __init__(self) -> None:
        self.status = 200
        self.asked: list[dict] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        endpoint = self.server
        assert isinstance(endpoint, Endpoint)
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        endpoint.asked.append(asked)
        numbers = re.findall(r"message (\d+)", asked["messages"][-1]["content"])
        text = LABELS[int(numbers[-1]) * 7 % 3] if numbers else "OK"
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        usage = {"prompt_tokens": 50, "completion_tokens": 1, "total_tokens": 51}
        body = {"id": "1", "object": "chat.completion", "created": 0, "model": "large"}
        if endpoint.status == 200:
            reply = json.dumps({**body, "choices": [choice], "usage": usage}).encode()
        else:
            reply = json.dumps({"error": {"message": f"bad key {KEY}"}}).encode()
        self.send_response(endpoint.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    monkeypatch.setenv("BIG_KEY", KEY)
    with Endpoint() as server:
        serve = functools.partial(server.serve_forever, poll_interval=0.01)
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def project(folder: Path, endpoint: Endpoint, more: str = "") -> Path:
    toml = f"""
[model]
engine = "scripted"
[contenders]
use = ["constant", "zero_shot"]
[contenders.big]
type = "openai"
model = "large"
base_url = "{endpoint.url}"
api_key_env = "BIG_KEY"
{more}
"""
    return write_project(folder, labelled(50), toml)


def verdict_of(folder: Path) -> dict:
    done = tunewise("decide", folder, "--out", folder / "run")
    assert done.code == 0, done.err
    return read_json(folder / "run" / "verdict.json")


def test_an_endpoint_is_shown_as_a_ceiling_and_not_recommended(
    tmp_path: Path, endpoint: Endpoint
) -> None:
    verdict = verdict_of(project(tmp_path, endpoint))
    assert contract_faults(verdict) == []
    big = by_name(verdict)["big"]
    assert big["ceiling"] is True
    assert big["quality"]["value"] == 1.0
    assert verdict["outcome"] != "big"
    assert verdict["recommended"] != "big"
    assert verdict["plan"]["incumbent"] != "big"
    tokens = {"prompt": 50.0, "cached": 0.0, "completion": 1.0, "thinking": 0.0}
    assert big["tokens"] == tokens


def test_an_endpoint_marked_as_a_candidate_may_be_recommended(
    tmp_path: Path, endpoint: Endpoint
) -> None:
    """And published, for whoever asks it there: a server of ours does not."""
    verdict = verdict_of(project(tmp_path, endpoint, "candidate = true"))
    version = publish(tmp_path / "run", registry=Registry(), progress=Silent())
    model = read_bundle(version.folder).model
    assert model.endpoint == EndpointUsed(
        name="big", model="large", base_url=endpoint.url, api_key_env="BIG_KEY"
    )
    assert model.base is None
    assert KEY not in (version.folder / "model.json").read_text()
    served = VersionServed(name="m", loaded=Loaded(version, load_embedder))
    with pytest.raises(RefusedError, match="which this server does not ask"):
        served.prepare((Message(role="user", content="message 3"),))
    assert by_name(verdict)["big"]["ceiling"] is False
    assert verdict["plan"]["incumbent"] == "big"
    assert verdict["recommended"] == "big"
    tried = {key for trial in by_name(verdict)["big"]["fit"]["trials"] for key in trial}
    assert {"variant", "k"} <= tried, "wordings and examples"


def test_an_endpoint_has_prices_of_its_own_or_none(tmp_path: Path, endpoint: Endpoint) -> None:
    base = "[prices]\nprompt_tokens = 1\ncompletion_tokens = 1\n"
    own = "prompt_tokens = 2\ncompletion_tokens = 8\n"
    verdict = verdict_of(project(tmp_path / "own", endpoint, own + base))
    assert by_name(verdict)["big"]["cost"]["per_1000_requests"] == pytest.approx(
        1000 * (50 * 2 + 8) / 1e6
    )
    verdict = verdict_of(project(tmp_path / "none", endpoint, base))
    assert by_name(verdict)["big"]["cost"] == {}
    assert any(note.startswith("What big costs is not known") for note in verdict["notes"])


def test_an_endpoint_gets_the_best_prompt_that_dev_finds(
    tmp_path: Path, endpoint: Endpoint
) -> None:
    verdict = verdict_of(project(tmp_path, endpoint))
    fit = by_name(verdict)["big"]["fit"]
    assert fit["settings"]["variant"] == "own words"
    assert len(fit["trials"]) == 9
    systems = {asked["messages"][0]["content"] for asked in endpoint.asked}
    assert len(systems) >= 8
    assert {asked["model"] for asked in endpoint.asked} == {"large"}


def test_the_key_is_written_nowhere(tmp_path: Path, endpoint: Endpoint) -> None:
    verdict_of(project(tmp_path, endpoint))
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert any(file.name == "project.toml" for file in files)
    assert not [file for file in files if KEY.encode() in file.read_bytes()]


def test_an_endpoint_that_refuses_ends_the_run_before_it_begins(
    tmp_path: Path, endpoint: Endpoint
) -> None:
    endpoint.status = 401
    folder = project(tmp_path, endpoint)
    done = tunewise("decide", folder)
    assert (done.code, done.out) == (1, "")
    assert f"error: large at {endpoint.url}: refuses the key" in done.err
    assert "Check the variable BIG_KEY" in done.err
    assert KEY not in done.err
    assert "Traceback" not in done.err
    assert len(endpoint.asked) == 1
    assert not (folder / "runs").exists()


def test_an_endpoint_whose_model_is_unknown_is_said(tmp_path: Path, endpoint: Endpoint) -> None:
    endpoint.status = 404
    done = tunewise("decide", project(tmp_path, endpoint))
    assert done.code == 1
    assert "no such model or path" in done.err


def test_an_endpoint_left_out_by_name_is_not_asked(tmp_path: Path, endpoint: Endpoint) -> None:
    endpoint.status = 401
    done = tunewise("decide", project(tmp_path, endpoint), "--contenders", "constant,zero_shot")
    assert done.code == 0
    assert endpoint.asked == []


def test_what_an_endpoint_fails_on_midway_is_an_error_of_that_answer(
    tmp_path: Path, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = project(tmp_path, endpoint)
    from tunewise.pipelines import decide

    opened_test = decide.note_use

    def refuse_from_now_on(*given: object) -> object:
        endpoint.status = 403
        return opened_test(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(decide, "note_use", refuse_from_now_on)
    verdict = verdict_of(folder)
    big = by_name(verdict)["big"]
    assert big["errors"] == verdict["n_test"]
    assert big["quality"]["value"] == 0.0
    assert KEY not in (folder / "run" / "answers.jsonl").read_text()
