"""What a server does when it is asked too much, too slowly, or by clients that leave."""

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import openai
import pytest
from fastapi import APIRouter, Request

from http_serving import EMBEDDING, Served, serving, until
from tunewise.serving.engine.scripted import ScriptedChatEngine
from tunewise.serving.http.access import needs
from tunewise.serving.http.admission import Slots
from tunewise.serving.http.errors import ApiError
from tunewise.serving.http.limits import Limits
from tunewise.serving.protocol import ChatRequest

ASKED = [{"role": "user", "content": "word " * 1000}]
BODY = {"model": "base", "messages": ASKED}
FOR_EVER = 3600.0
"""Seconds a token: as long as a test looks, nothing comes."""


@pytest.fixture
def slow() -> Iterator[Served]:
    """Two requests fit; what is asked does not end by itself."""
    engine = ScriptedChatEngine(lambda request: request.messages[-1].content)
    engine.seconds_per_token = FOR_EVER
    with serving(engine=engine, limits=Limits(running=1, queue=1, drain_seconds=0.1)) as running:
        yield running


def request_bytes(body: dict, **headers: str) -> bytes:
    """A request as it goes over the wire."""
    text = json.dumps(body).encode()
    lines = {"Host": "localhost", "Content-Type": "application/json", **headers}
    lines.setdefault("Content-Length", str(len(text)))
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST /v1/chat/completions HTTP/1.1\r\n{head}\r\n".encode() + text


def opened(served: Served, data: bytes = b"") -> socket.socket:
    """A bare connection."""
    connection = socket.create_connection(("127.0.0.1", served.port), timeout=30)
    connection.sendall(data)
    return connection


def read_all(connection: socket.socket) -> bytes:
    """Everything until the other side closes."""
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def figure(served: Served, name: str) -> float:
    """A metric without labels."""
    with served.http() as http:
        lines = http.get("/metrics").text.splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(f"{name} "))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_hang_up_frees_the_slot(slow: Served, stream: bool) -> None:
    slow.engine.seconds_per_token = FOR_EVER
    connection = opened(slow, request_bytes({**BODY, "stream": stream}))
    until(lambda: slow.engine.state().running == 1)
    assert figure(slow, "tunewise_engine_running") == 1
    assert figure(slow, "http_server_active_requests") == 1
    connection.close()
    until(lambda: slow.engine.state().running == 0)
    until(lambda: slow.service.slots.active == 0)
    assert (slow.engine.closed, slow.engine.told) == (1, 0)  # not a token of a thousand was made
    assert figure(slow, "tunewise_engine_running") == 0


def test_a_hang_up_in_the_middle_of_a_stream_frees_the_slot(slow: Served) -> None:
    slow.engine.seconds_per_token = 0.01
    connection = opened(slow, request_bytes({**BODY, "stream": True}))
    assert b"200 OK" in connection.recv(4096)
    slow.engine.seconds_per_token = FOR_EVER
    told = slow.engine.told
    connection.close()
    until(lambda: slow.engine.state().running == 0 and slow.service.slots.active == 0)
    assert slow.engine.closed == 1
    assert slow.engine.told <= told + 1  # what was under way when its client left


def test_beyond_its_slots_a_server_says_so_at_once(slow: Served) -> None:
    kept = [opened(slow, request_bytes(BODY)) for _ in range(2)]
    until(lambda: slow.service.slots.active == 2)
    with pytest.raises(openai.RateLimitError) as refused:
        slow.client().chat.completions.create(**BODY)
    assert refused.value.code == "server_overloaded"
    assert int(refused.value.response.headers["retry-after"]) >= 1
    with pytest.raises(openai.RateLimitError):
        slow.client().embeddings.create(model=EMBEDDING, input="a")
    assert slow.client().models.list().data  # what needs no slot goes on
    with slow.http() as http:
        assert http.get("/ready").status_code == 200
        refused_so_far = 'tunewise_requests_refused_total{code="server_overloaded"} 2.0'
        assert refused_so_far in http.get("/metrics").text
    slow.engine.seconds_per_token = 0
    for connection in kept:
        connection.close()
    until(lambda: slow.service.slots.active == 0)
    assert slow.client().chat.completions.create(**BODY).choices


class Clock:
    """Seconds that pass only when told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_who_is_refused_is_told_about_when_what_waits_is_done_and_not_all_the_same() -> None:
    clock = Clock()
    slots = Slots(Limits(running=4, queue=8), phase="ready", clock=clock)
    for _ in range(12):
        slots.take()
    waits: list[int] = []
    for step in range(40):  # one place in two seconds: what waits takes sixteen
        clock.now += 2.0
        slots.free()
        slots.take()
        with pytest.raises(ApiError) as refused:
            slots.take()
        if step >= 20:
            waits.append(int(refused.value.headers["Retry-After"]))
    assert 8 <= min(waits) < 10
    assert 22 < max(waits) <= 24
    assert 14 <= sum(waits) / len(waits) <= 18


def test_where_nothing_waited_yet_a_second_is_told() -> None:
    slots = Slots(Limits(running=1, queue=1), phase="ready", clock=Clock())
    for _ in range(2):
        slots.take()
    with pytest.raises(ApiError) as refused:
        slots.take()
    assert refused.value.headers["Retry-After"] == "1"


def test_of_ten_times_as_many_requests_every_one_is_answered() -> None:
    engine = ScriptedChatEngine(lambda request: "yes", slots=2)
    engine.seconds_per_token = 0.005
    body = {"model": "base", "messages": [{"role": "user", "content": "?"}]}
    with serving(engine=engine, limits=Limits(running=2, queue=2)) as running:

        def ask(number: int) -> tuple[int, bool]:
            with running.http(timeout=60) as http:
                stream = number % 2 == 0
                got = http.post("/v1/chat/completions", json={**body, "stream": stream})
            return got.status_code, "retry-after" in got.headers

        with ThreadPoolExecutor(40) as pool:
            answers = list(pool.map(ask, range(400)))
        assert set(answers) <= {(200, False), (429, True)}
        assert answers.count((200, False)) >= 4
        until(lambda: running.service.slots.active == 0)
        assert running.engine.state().running == running.engine.state().waiting == 0


def test_a_rate_is_kept_by_key() -> None:
    with serving(limits=Limits(rate="2/hour")) as running:
        body = {"model": "base", "messages": [{"role": "user", "content": "?"}]}
        for _ in range(2):
            assert running.client().chat.completions.create(**body)
        with pytest.raises(openai.RateLimitError, match="2 per 1 hour") as refused:
            running.client().chat.completions.create(**body)
        assert refused.value.code == "rate_limit_exceeded"
        assert 1 <= int(refused.value.response.headers["retry-after"]) <= 7200
        assert running.client().models.list().data


uploads = APIRouter(dependencies=[needs("jobs")])


@uploads.post("/v1/files")
async def upload(request: Request) -> dict[str, int]:
    """Counts what arrives, as it comes."""
    size = 0
    async for part in request.stream():
        size += len(part)
    return {"bytes": size}


@pytest.fixture(scope="module")
def small() -> Iterator[Served]:
    limits = Limits(body_bytes=2000, upload_bytes=50_000, body_seconds=0.3, header_seconds=0.3)
    with serving(limits=limits, routers=[uploads], upload_paths=["/v1/files"]) as running:
        yield running


def test_a_body_that_is_too_large_is_a_413(small: Served) -> None:
    for content in ("x" * 3000, "x" * 300_000):
        with pytest.raises(openai.APIStatusError) as refused:
            small.client().chat.completions.create(
                model="base", messages=[{"role": "user", "content": content}]
            )
        assert refused.value.status_code == 413
        assert refused.value.code == "request_too_large"
        assert "2000 bytes" in refused.value.message


def test_so_is_one_that_does_not_say_its_length(small: Served) -> None:
    with small.http() as http:
        got = http.post("/v1/chat/completions", content=(b"x" * 500 for _ in range(10)))
    assert (got.status_code, got.json()["error"]["code"]) == (413, "request_too_large")


def test_uploads_have_a_limit_of_their_own(small: Served) -> None:
    with small.http() as http:
        assert http.post("/v1/files", content=b"x" * 40_000).json() == {"bytes": 40_000}
        for content in (b"x" * 60_000, (b"x" * 500 for _ in range(200))):
            got = http.post("/v1/files", content=content)
            assert got.status_code == 413
            assert "50000 bytes" in got.json()["error"]["message"]


def test_a_gigabyte_is_refused_and_its_client_hears_why(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    with file.open("wb") as sparse:
        sparse.truncate(10**9)
    with (
        serving(routers=[uploads], upload_paths=["/v1/files"]) as running,
        pytest.raises(openai.APIStatusError, match="larger than 512 MiB") as refused,
    ):
        running.client().files.create(file=file, purpose="fine-tune")
    assert (refused.value.status_code, refused.value.code) == (413, "request_too_large")


def test_a_body_that_does_not_arrive_is_a_408_and_keeps_no_slot(small: Served) -> None:
    connection = opened(small, request_bytes(BODY, **{"Content-Length": "1500"})[:300])
    until(lambda: small.service.slots.active == 1)
    assert b"408" in connection.recv(4096)
    until(lambda: small.service.slots.active == 0)
    connection.close()


def test_half_a_header_is_not_waited_for(small: Served) -> None:
    for begun in (b"", b"GET /health HTTP/1.1\r\nHost: loc"):
        got = read_all(opened(small, begun))
        assert b" 408 " in got.splitlines()[0]
        assert json.loads(got.partition(b"\r\n\r\n")[2])["error"]["code"] == "too_slow"


def test_nor_half_a_header_of_the_next_request(small: Served) -> None:
    connection = opened(small, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b"200" in connection.recv(4096)
    connection.sendall(b"GET /hea")
    assert b" 408 " in read_all(connection)


def test_what_is_no_http_is_told_in_the_same_shape(small: Served) -> None:
    got = read_all(opened(small, b"\x16\x03\x01 hello\r\n\r\n"))
    assert b" 400 " in got.splitlines()[0]
    assert json.loads(got.partition(b"\r\n\r\n")[2])["error"]["code"] == "invalid_http"


def test_a_client_that_takes_nothing_is_hung_up_on() -> None:
    engine = ScriptedChatEngine(lambda request: "word " * 50_000, context_tokens=10**9)
    with serving(engine=engine, limits=Limits(send_seconds=0.3)) as running:
        body = {"model": "base", "messages": [{"role": "user", "content": "?"}], "stream": True}
        connection = opened(running, request_bytes({**body, "max_tokens": 10**6}))
        until(lambda: running.engine.state().running == 1)
        until(lambda: running.service.slots.active == 0)
        assert running.engine.closed == 1
        connection.close()


def test_an_engine_that_is_lost_ends_what_runs_and_not_the_server(slow: Served) -> None:
    body = {**BODY, "stream": True}
    slow.engine.seconds_per_token = 0.01
    with (
        slow.http(timeout=60) as http,
        http.stream("POST", "/v1/chat/completions", json=body) as got,
    ):
        lines = got.iter_lines()
        assert next(lines).startswith("data: ")
        slow.lose_engine()
        events = [line.removeprefix("data: ") for line in lines if line]
    assert json.loads(events[-2])["error"]["code"] == "engine_lost"
    assert events[-1] == "[DONE]"
    failures: list[openai.APIStatusError] = []

    def ask() -> None:
        try:
            slow.client().chat.completions.create(**BODY)
        except openai.APIStatusError as error:
            failures.append(error)

    slow.engine.seconds_per_token = FOR_EVER
    thread = threading.Thread(target=ask)
    thread.start()
    until(lambda: slow.engine.state().running == 1)
    slow.lose_engine()
    thread.join(30)
    assert failures[0].status_code == 503
    assert "retry-after" in failures[0].response.headers
    slow.engine.seconds_per_token = 0
    assert slow.client().chat.completions.create(**BODY).choices


def test_the_client_raises_what_an_error_within_a_stream_says(slow: Served) -> None:
    slow.engine.seconds_per_token = 0.01
    stream = slow.client().chat.completions.create(stream=True, **BODY)
    next(stream)
    slow.lose_engine()
    with pytest.raises(openai.APIError, match="started again"):
        list(stream)


def test_what_nobody_foresaw_is_a_500_that_tells_nothing_of_it() -> None:
    def broken(request: ChatRequest) -> str:
        raise ZeroDivisionError("the secret of the engine")

    with serving(broken) as running:
        for stream in (False, True):
            with pytest.raises(openai.InternalServerError) as failed:
                running.client().chat.completions.create(
                    model="base", messages=[{"role": "user", "content": "?"}], stream=stream
                )
            assert failed.value.code == "internal_error"
            assert "secret" not in failed.value.message
        assert running.service.slots.active == 0


def test_unknown_paths_and_methods_are_told_in_the_same_shape(small: Served) -> None:
    with small.http() as http:
        missing, wrong = http.get("/v1/completions"), http.put("/v1/models")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "unknown_url")
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "method_not_allowed")
    assert wrong.headers["allow"] == "GET"


def test_a_base_url_without_its_end_is_told_what_it_lacks(small: Served) -> None:
    with small.http() as http:
        message = http.get("/models").json()["error"]["message"]
    assert message == "There is nothing at /models. The API lies under /v1: a client's base URL " \
        "ends with it."  # fmt: skip


def test_pipelined_requests_are_answered_in_order(small: Served) -> None:
    one = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    last = b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    got = read_all(opened(small, one * 3 + last))
    assert got.count(b'{"status":"ok"}') == 3
    assert got.endswith(b'{"status":"ready"}')


def test_httpx_sees_every_error_with_an_id(small: Served) -> None:
    with small.http() as http:
        answers: list[httpx2.Response] = [
            http.get("/nothing"),
            http.get("/v1/models", headers={"Host": "evil.example"}),
            http.post("/v1/chat/completions", json={}),
        ]
    assert len({got.headers["x-request-id"] for got in answers}) == 3
