"""A server that starts, drains and ends: in a thread, and as a process with signals."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx2
import openai
import pytest

from http_serving import FixedCatalogue, HeldEngine, echo, serving, until
from tunewise.errors import UserError
from tunewise.serving.engine.scripted import ScriptedChatEngine
from tunewise.serving.http.access import Access
from tunewise.serving.http.app import create_app
from tunewise.serving.http.limits import Limits
from tunewise.serving.http.server import Server, address_of, listen

BODY = {"model": "base", "messages": [{"role": "user", "content": "one two three"}]}
PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from http_serving import FixedCatalogue, echo
from tunewise.serving.engine.scripted import ScriptedChatEngine
from tunewise.serving.http.access import Access
from tunewise.serving.http.app import create_app
from tunewise.serving.http.limits import Limits
from tunewise.serving.http.logs import write_json_logs
from tunewise.serving.http.server import Server, address_of, listen

write_json_logs()
engine = ScriptedChatEngine(echo, seconds_per_token=float(sys.argv[2]))
limits = Limits(drain_seconds=float(sys.argv[3]))
app = create_app(catalogue=FixedCatalogue(), engine=engine, access=Access(), limits=limits)
listening = listen("127.0.0.1", 0)
server = Server(app, listening)
raise SystemExit(server.run(on_start=lambda: print(address_of(listening), flush=True)))
"""


class Slowly(ScriptedChatEngine):
    """An engine that is warm when it is told to be."""

    def __init__(self) -> None:
        super().__init__(lambda request: "yes")
        self.warm_now = threading.Event()

    async def start(self) -> None:
        while not self.warm_now.is_set():
            await asyncio.sleep(0.01)
        await super().start()


def test_until_it_is_warm_a_server_says_so() -> None:
    engine = Slowly()
    with serving(engine=engine, wait=False) as running, running.http() as http:
        assert http.get("/health").status_code == 200
        got = http.get("/ready")
        assert (got.status_code, got.json()["error"]["code"]) == (503, "server_warming")
        assert running.client().models.list().data
        with pytest.raises(openai.InternalServerError) as refused:
            running.client().chat.completions.create(**BODY)
        assert (refused.value.status_code, refused.value.code) == (503, "server_warming")
        assert "retry-after" in refused.value.response.headers
        engine.warm_now.set()
        until(lambda: http.get("/ready").status_code == 200)
        assert running.client().chat.completions.create(**BODY).choices


def test_it_is_ready_once_what_models_answer_with_is_read() -> None:
    read = threading.Event()
    with (
        serving(before=lambda: read.wait(30) and None, wait=False) as running,
        running.http() as http,
    ):
        until(lambda: running.engine.state().ready)
        assert http.get("/ready").json()["error"]["code"] == "server_warming"
        read.set()
        until(lambda: http.get("/ready").status_code == 200)


def test_a_server_that_is_stopped_ends_what_it_has_begun_and_takes_no_more() -> None:
    engine = HeldEngine(echo)
    with serving(engine=engine) as running, running.http() as http:
        answers: list[str | None] = []

        def ask() -> None:
            got = running.client().chat.completions.create(**BODY)
            answers.append(got.choices[0].message.content)

        thread = threading.Thread(target=ask)
        thread.start()
        until(lambda: engine.state().running == 1)
        running.server.stop(signal.SIGTERM)
        until(lambda: http.get("/ready").status_code == 503)
        fresh = httpx2.get(f"{running.url}/health")  # the socket still accepts
        assert fresh.status_code == 200
        assert http.get("/ready").json()["error"]["code"] == "server_draining"
        with pytest.raises(openai.InternalServerError) as refused:
            running.client().chat.completions.create(**BODY)
        assert refused.value.code == "server_draining"
        engine.held = False
        thread.join(30)
        assert answers == ["one two three"]
        until(lambda: running.codes == [143])


def test_what_does_not_end_in_time_is_told_that_it_was_lost() -> None:
    engine = ScriptedChatEngine(lambda request: "yes")
    engine.seconds_per_token = 3600
    with serving(engine=engine, limits=Limits(drain_seconds=0.2)) as running:
        failures: list[openai.APIError] = []

        def ask() -> None:
            try:
                running.client().chat.completions.create(**BODY)
            except openai.APIError as error:
                failures.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        until(lambda: engine.state().running == 1)
        running.server.stop(signal.SIGINT)
        thread.join(30)
        until(lambda: running.codes == [130])
    assert failures[0].code == "engine_lost"


def test_an_engine_that_cannot_start_ends_the_server_with_its_reason() -> None:
    class Broken(ScriptedChatEngine):
        async def start(self) -> None:
            raise UserError("There is no model 'x'. Give one of ...")

    app = create_app(catalogue=FixedCatalogue(), engine=Broken(lambda request: ""), access=Access())
    with pytest.raises(UserError, match="no model 'x'"):
        Server(app, listen("127.0.0.1", 0)).run()


def test_a_port_in_use_is_one_sentence() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=rf"Port {port} of 127\.0\.0\.1 is in use.*--port"):
            listen("127.0.0.1", port)


def test_an_address_of_another_machine_is_one_sentence() -> None:
    with pytest.raises(UserError, match=r"192\.0\.2\.1:0 cannot be listened at"):
        listen("192.0.2.1", 0)


def test_addresses_are_written_as_urls() -> None:
    with listen("127.0.0.1", 0) as listening:
        assert address_of(listening) == f"http://127.0.0.1:{listening.getsockname()[1]}"
    if socket.has_ipv6:
        with listen("::1", 0) as listening:
            assert address_of(listening).startswith("http://[::1]:")


def started(seconds_per_token: float, drain_seconds: float) -> tuple[subprocess.Popen[str], str]:
    """A server in a process of its own that is ready, and its address."""
    support = Path(__file__).parents[2] / "support"
    words = [sys.executable, "-c", PROGRAM, str(support)]
    process = subprocess.Popen(
        [*words, str(seconds_per_token), str(drain_seconds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    until(lambda: httpx2.get(f"{url}/ready").status_code == 200)
    return process, url


def test_sigterm_lets_a_stream_end_and_the_process_after_it() -> None:
    process, url = started(0.2, 30)
    try:
        body = {**BODY, "stream": True}
        with httpx2.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=60) as got:
            lines = got.iter_lines()
            assert next(lines).startswith("data: ")
            process.send_signal(signal.SIGTERM)
            rest = [line for line in lines if line]
        assert rest[-1] == "data: [DONE]"
        assert not any('"error"' in line for line in rest)
        assert process.wait(30) == 143
    finally:
        process.kill()
        process.wait()


def test_a_second_signal_ends_it_at_once() -> None:
    process, url = started(3600, 3600)
    try:
        connection = socket.create_connection(
            ("127.0.0.1", int(url.rpartition(":")[2])), timeout=30
        )
        connection.sendall(
            b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n"
        )
        until(lambda: b" 1.0" in _active(url))
        process.send_signal(signal.SIGINT)
        until(lambda: httpx2.get(f"{url}/ready").status_code == 503)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        connection.close()
    finally:
        process.kill()
        process.wait()


def _active(url: str) -> bytes:
    lines = httpx2.get(f"{url}/metrics").content.splitlines()
    return next(line for line in lines if line.startswith(b"http_server_active_requests "))
