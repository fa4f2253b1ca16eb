"""What operators see of requests: log lines, metrics, and contents only where they are wanted."""

import json
import logging
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from http_serving import EMBEDDING, Served, serving
from tunewise.data.read import read_examples
from tunewise.errors import UserError
from tunewise.serving.http.access import access_for
from tunewise.serving.http.contents import ContentLog
from tunewise.serving.http.logs import write_json_logs
from tunewise.serving.keys import KeyFile
from tunewise.serving.protocol import ChatRequest

SECRET = "my card is 4111 1111"  # what must not be logged
ASKED = [{"role": "user", "content": SECRET}]


@pytest.fixture
def logs() -> Iterator[list[dict]]:
    with structlog.testing.capture_logs(
        processors=[structlog.contextvars.merge_contextvars]
    ) as written:
        yield written


def requests_of(logs: list[dict]) -> list[dict]:
    return [line for line in logs if line["event"] == "request"]


def figures(served: Served) -> dict[tuple[str, tuple[str, ...]], float]:
    """Sample and the values of its labels, in the order of their names -> value."""
    with served.http() as http:
        text = http.get("/metrics").text
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_request_is_one_line_without_its_contents(logs: list[dict], tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / "keys.json")
    secret = keys.new("shop", ["chat"]).secret
    with serving(access=access_for("127.0.0.1", keys=keys, require_key=True)) as running:
        raw = running.client(secret).chat.completions.with_raw_response.create(
            model="triage@production",
            messages=ASKED,  # type: ignore[arg-type]
        )
    (line,) = requests_of(logs)
    assert line["request_id"] == raw.headers["x-request-id"]
    assert (line["method"], line["path"], line["status"]) == ("POST", "/v1/chat/completions", 200)
    assert (line["key"], line["model"], line["streamed"]) == ("shop", "triage@3", False)
    assert (line["prompt_tokens"], line["completion_tokens"]) == (8, 5)
    assert line["seconds"] >= line["seconds_to_first_token"] >= 0
    assert SECRET not in str(logs)
    assert secret not in str(logs)


def test_a_failure_is_logged_without_what_it_quotes(capfd: pytest.CaptureFixture[str]) -> None:
    def broken(request: ChatRequest) -> str:
        raise ValueError(f"cannot read {request.messages[-1].content}")

    root = logging.getLogger()
    before, level = root.handlers, root.level
    write_json_logs()
    try:
        with serving(broken) as running, running.http() as http:
            body = {"model": "base", "messages": ASKED}
            got = http.post("/v1/chat/completions", json=body)
    finally:
        structlog.reset_defaults()
        root.handlers = before
        root.setLevel(level)
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    failure = next(line for line in lines if line["event"] == "failed")
    assert failure["request_id"] == got.headers["x-request-id"]
    assert failure["exception"][0]["type"] == "ValueError"
    assert "test_telemetry.py" in failure["exception"][0]["way"][-1]
    assert "4111" not in json.dumps(lines)


def test_metrics_are_named_after_opentelemetry() -> None:
    with serving() as running:
        client = running.client()
        client.chat.completions.create(model="triage@production", messages=ASKED)  # type: ignore[arg-type]
        list(client.chat.completions.create(model="base", messages=ASKED, stream=True))  # type: ignore[call-overload]
        client.embeddings.create(model=EMBEDDING, input="a b")
        with running.http() as http:
            http.post("/v1/chat/completions", json={"model": "no such model", "messages": ASKED})
            http.get("/one"), http.get("/two")
        seen = figures(running)
    of = ("chat", "triage@3")
    assert seen["gen_ai_server_request_duration_seconds_count", ("", *of)] == 1
    assert seen["gen_ai_server_time_to_first_token_seconds_count", of] == 1
    assert seen["gen_ai_server_time_per_output_token_seconds_count", ("chat", "base")] == 1
    assert seen["gen_ai_client_token_usage_sum", (*of, "input")] == 8
    assert seen["gen_ai_client_token_usage_sum", (*of, "output")] == 5
    assert seen["gen_ai_client_token_usage_sum", ("embeddings", EMBEDDING, "input")] == 2
    route = ("POST", "200", "/v1/chat/completions")
    assert seen["http_server_request_duration_seconds_count", route] == 2
    assert seen["http_server_request_duration_seconds_count", ("GET", "404", "none")] == 2
    assert seen["tunewise_engine_ready", ()] == 1
    assert seen["http_server_active_requests", ()] == 0
    assert not any("no such model" in label for _, labels in seen for label in labels)


def test_contents_are_logged_where_that_is_asked_for_and_can_be_learned_from(
    tmp_path: Path,
) -> None:
    file = tmp_path / "requests.jsonl"
    at = datetime(2026, 11, 30, tzinfo=UTC)
    with serving(contents=ContentLog(file, clock=lambda: at)) as running:
        client = running.client()
        got = client.chat.completions.create(
            model="triage@production", messages=ASKED, temperature=0
        )  # type: ignore[arg-type]
        list(client.chat.completions.create(model="base", messages=ASKED, stream=True))  # type: ignore[call-overload]
        with running.http() as http:
            http.post("/v1/chat/completions", json={"model": "gone", "messages": ASKED})
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(lines) == 2
    assert lines[0]["time"] == "2026-11-30T00:00:00.000+00:00"
    assert (lines[0]["model"], lines[0]["key"]) == ("triage@3", None)
    assert lines[0]["request"] == {
        "model": "triage@production",
        "messages": ASKED,
        "temperature": 0,
    }
    assert lines[0]["response"]["id"] == got.id
    assert lines[1]["response"]["choices"][0]["message"]["content"] == SECRET
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [row.target for row in read_examples(file).examples] == [SECRET, SECRET]


def test_the_file_of_contents_does_not_grow_for_ever(tmp_path: Path, logs: list[dict]) -> None:
    log = ContentLog(tmp_path / "log.jsonl", max_bytes=2000)
    for number in range(100):
        log.write({"number": number, "text": "x" * 100})
    log.write({"text": "y" * 2000})
    log.close()
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["log.jsonl", "log.jsonl.1"]
    assert sum(file.stat().st_size for file in files) <= 2000
    kept = [json.loads(line)["number"] for file in reversed(files) for line in file.open()]
    assert kept == list(range(100 - len(kept), 100))
    assert [line["event"] for line in logs] == ["contents_not_logged"]


def test_a_file_that_cannot_be_written_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--log-contents"):
        ContentLog(tmp_path / "no" / "log.jsonl")
