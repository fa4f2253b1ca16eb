"""What a server says while its back end is gone, slow, wrong, or not the one that was meant."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from structlog.testing import capture_logs

from backends import SEEN_AS, served_by, tuned, why_not_served, write_adapter
from http_serving import BASE, Served, until
from stand_in_vllm import VllmStandIn
from tunewise.serving.backend.address import KEY_VARIABLE
from tunewise.serving.http.limits import Limits

ASKED: Any = [{"role": "user", "content": "one two three four"}]
BODY = {"model": "base", "messages": ASKED}
FOR_EVER = 3600.0
"""Seconds a token: as long as a test looks, nothing comes."""
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def vllm(tmp_path: Path) -> Iterator[VllmStandIn]:
    stand_in = VllmStandIn(BASE.base, folder=tmp_path / "models", seen_as=SEEN_AS)
    yield stand_in
    stand_in.seconds_per_token = 0
    stand_in.stop()


def refused(served: Served, **asked: Any) -> openai.APIStatusError:
    """The error that a request ends with, streamed and not alike."""
    errors = []
    for stream in (False, True):
        with pytest.raises(openai.APIStatusError) as caught:
            served.client().chat.completions.create(**{**BODY, **asked, "stream": stream})
        errors.append(caught.value)
    first, second = errors
    assert (first.status_code, first.code) == (second.status_code, second.code)
    return first


def error(status: int, message: str = "no", param: str | None = None) -> str:
    fault = {"message": message, "type": "BadRequestError", "param": param, "code": status}
    return json.dumps({"error": fault})


@pytest.mark.parametrize(
    ("status", "headers", "text", "wanted"),
    [
        (400, JSON, error(400, param="input_tokens"), (400, "backend_refused", None)),
        (422, JSON, error(422), (400, "backend_refused", None)),
        (401, JSON, '{"error": "Unauthorized"}', (502, "backend_key_refused", "1")),
        (403, {}, "<html>", (502, "backend_key_refused", "1")),
        (429, {"Retry-After": "7"}, "", (503, "backend_overloaded", "7")),
        (429, {"Retry-After": "999999"}, "", (503, "backend_overloaded", "3600")),
        (503, {"Retry-After": "soon"}, "", (503, "backend_overloaded", "1")),
        (500, JSON, error(500), (502, "backend_failed", "1")),
        (504, {}, "", (502, "backend_failed", "1")),
        (302, {"Location": "http://127.0.0.1:1/"}, "", (502, "backend_failed", "1")),
        (200, {"Content-Type": "text/html"}, "<html>", (502, "backend_failed", "1")),
        (200, {"Content-Type": "text/event-stream"}, "data: {\n\n", (502, "backend_failed", "1")),
        (
            200,
            {"Content-Type": "text/event-stream"},
            "data: [DONE]\n\n",
            (502, "backend_failed", "1"),
        ),
        (200, {"Content-Type": "text/event-stream"}, "", (503, "backend_unavailable", "1")),
    ],
)
def test_its_errors_are_told_in_our_shape(
    vllm: VllmStandIn,
    status: int,
    headers: dict[str, str],
    text: str,
    wanted: tuple[int, str, str | None],
) -> None:
    with served_by(vllm) as served:
        given = (status, headers, text)
        vllm.reply = lambda path: given if path.endswith("completions") else None
        failure = refused(served)
        got = (failure.status_code, failure.code, failure.response.headers.get("retry-after"))
        assert got == wanted
        assert vllm.url not in failure.message


@pytest.mark.parametrize(
    "end",
    [
        {"index": 0, "delta": {}, "finish_reason": "abort"},
        {"index": 1, "delta": {"content": "x"}},
        {"index": 0, "delta": {"content": 4}},
    ],
    ids=["aborted", "another answer", "no text"],
)
def test_an_answer_that_makes_no_sense_is_a_502(vllm: VllmStandIn, end: dict[str, Any]) -> None:
    with served_by(vllm) as served:
        events = f"data: {json.dumps({'choices': [end]})}\n\ndata: [DONE]\n\n"
        given = (200, {"Content-Type": "text/event-stream"}, events)
        vllm.reply = lambda path: given if path.endswith("completions") else None
        with pytest.raises(openai.APIStatusError) as failure:
            served.client().chat.completions.create(**BODY)
        assert (failure.value.status_code, failure.value.code) == (502, "backend_failed")


@pytest.mark.parametrize(
    ("setting", "code"), [("break_after", "backend_unavailable"), ("fail_after", "backend_failed")]
)
def test_a_failure_within_a_stream_is_an_event_of_it(
    vllm: VllmStandIn, setting: str, code: str
) -> None:
    setattr(vllm, setting, 2)
    with served_by(vllm) as served, served.http() as http:
        with http.stream("POST", "/v1/chat/completions", json={**BODY, "stream": True}) as got:
            events = [line.removeprefix("data: ") for line in got.iter_lines() if line]
        whole = http.post("/v1/chat/completions", json=BODY)
    assert json.loads(events[-2])["error"]["code"] == code
    assert events[-1] == "[DONE]"
    assert whole.json()["error"]["code"] == code


def test_silence_is_a_503_and_ends_the_work_there(vllm: VllmStandIn) -> None:
    vllm.seconds_per_token = FOR_EVER
    with served_by(vllm, silence_seconds=0.2) as served:
        failure = refused(served)
        assert (failure.status_code, failure.code) == (503, "backend_timeout")
        until(lambda: vllm.hung_up == 2)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_hang_up_closes_the_connection_to_the_back_end(vllm: VllmStandIn, stream: bool) -> None:
    vllm.seconds_per_token = FOR_EVER
    with served_by(vllm) as served:
        with served.http() as http, pytest.raises(Exception, match="timed out"):
            http.post("/v1/chat/completions", json={**BODY, "stream": stream}, timeout=0.3)
        until(lambda: vllm.hung_up == 1)
        until(lambda: served.service.slots.active == 0)
        state = served.engine.state()
        assert (state.running, state.waiting) == (0, 0)


def test_a_client_that_leaves_a_stream_ends_it_there(vllm: VllmStandIn) -> None:
    with served_by(vllm) as served, served.http() as http:
        vllm.seconds_per_token = 0.01
        with http.stream("POST", "/v1/chat/completions", json={**BODY, "stream": True}) as got:
            lines = got.iter_lines()
            assert next(lines).startswith("data: ")
            until(lambda: served.engine.state().running == 1)
            vllm.seconds_per_token = FOR_EVER
        until(lambda: vllm.hung_up == 1 and vllm.running == 0)


def test_a_back_end_that_goes_is_told_and_taken_up_again_when_it_is_back(
    vllm: VllmStandIn, tmp_path: Path
) -> None:
    with served_by(vllm) as served, served.http() as http:
        tuned(served, "tuned@1", write_adapter(tmp_path / "models" / "tuned" / "1" / "adapter"))
        client = served.client()
        assert client.chat.completions.create(**{**BODY, "model": "tuned@1"})
        vllm.stop()
        until(lambda: http.get("/ready").status_code == 503)
        assert http.get("/health").status_code == 200
        failure = refused(served)
        assert (failure.status_code, failure.code) == (503, "backend_unavailable")
        assert failure.response.headers["retry-after"] == "1"
        # What asks no language model is answered all the same.
        assert client.chat.completions.create(**{**BODY, "model": "sorter@1"})
        vllm.start()
        until(lambda: http.get("/ready").status_code == 200)
        assert len(vllm.loads) == 2  # before anybody asked for it
        assert client.chat.completions.create(**{**BODY, "model": "tuned@1"})
        assert "tunewise_engine_restarts 1.0" in http.get("/metrics").text


def test_a_back_end_that_is_not_there_yet_is_waited_for(vllm: VllmStandIn) -> None:
    vllm.stop()
    with served_by(vllm, wait=False) as served, served.http() as http:
        assert http.get("/ready").json()["error"]["code"] == "server_warming"
        vllm.start()
        until(lambda: http.get("/ready").status_code == 200)
        assert served.client().chat.completions.create(**BODY)


def test_a_back_end_with_another_base_ends_the_server_and_says_which(vllm: VllmStandIn) -> None:
    vllm.served = vllm.root = "org/other"
    said = why_not_served(vllm)
    assert f"{BASE.base} is wanted" in said
    assert "serves org/other" in said
    assert f"--served-model-name {BASE.base}" in said


def test_one_that_comes_back_with_another_base_is_not_ready(vllm: VllmStandIn) -> None:
    with served_by(vllm) as served, served.http() as http:
        vllm.stop()
        vllm.served = vllm.root = "org/other"
        vllm.start()
        until(lambda: http.get("/ready").status_code == 503)
        failure = refused(served)
        assert (failure.status_code, failure.code) == (400, "model_unusable")
        assert "org/other" not in failure.message


def test_the_key_is_sent_and_never_told(vllm: VllmStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    vllm.key = "hidden-key"
    assert KEY_VARIABLE in why_not_served(vllm)
    monkeypatch.setenv(KEY_VARIABLE, "hidden-key")
    with served_by(vllm) as served, capture_logs() as logs:
        assert served.client().chat.completions.create(**BODY)
        fault = error(400, "the key hidden-key is odd")
        vllm.reply = lambda path: (400, JSON, fault) if path.endswith("completions") else None
        assert "the key [key] is odd" in refused(served).message
        fault = error(500, "the key hidden-key is odd")
        vllm.reply = lambda path: (500, JSON, fault) if path.endswith("completions") else None
        assert "hidden-key" not in refused(served).message
    assert "the key [key] is odd" in str(logs)
    assert "hidden-key" not in str(logs)


@pytest.mark.parametrize("text", ["<html>hello</html>", '{"data": 4}', "[]"])
def test_what_is_no_vllm_is_said_at_the_start(vllm: VllmStandIn, text: str) -> None:
    vllm.reply = lambda path: (200, JSON, text)
    assert vllm.url in why_not_served(vllm)


def test_a_server_that_is_stopped_ends_what_does_not_end_itself(vllm: VllmStandIn) -> None:
    vllm.seconds_per_token = FOR_EVER
    failures: list[openai.APIStatusError] = []
    with served_by(vllm, limits=Limits(drain_seconds=0.1)) as served:

        def ask() -> None:
            try:
                served.client().chat.completions.create(**BODY)
            except openai.APIStatusError as failure:
                failures.append(failure)

        thread = threading.Thread(target=ask)
        thread.start()
        until(lambda: vllm.running == 1)
        served.server.stop()
        thread.join(30)
    assert [(failure.status_code, failure.code) for failure in failures] == [(503, "engine_lost")]
