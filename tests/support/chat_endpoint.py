"""A real chat endpoint on this machine, for tests of what asks one."""

import functools
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tunewise.models.engines.openai import OpenAIEngine
from tunewise.models.engines.protocol import Request, Sampling
from tunewise.types import Failure, Generation, Message

Reply = tuple[int, dict[str, str], str]
"""Status, headers, body."""


def completion(text: str | None = "refund", finish: str = "stop", **more: object) -> Reply:
    body = {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "finish_reason": finish,
                "message": {"role": "assistant", "content": text},
            }
        ],
        **more,
    }
    return 200, {"Content-Type": "application/json"}, json.dumps(body)


def refusal(status: int, message: str, **headers: str) -> Reply:
    body = json.dumps({"error": {"message": message}})
    return status, {"Content-Type": "application/json", **headers}, body


class Endpoint:
    """A real HTTP server on this machine that answers by a function of the request's JSON."""

    def __init__(self) -> None:
        self.reply: Callable[[dict], Reply] = lambda asked: completion()
        self.bodies: list[dict] = []
        self.headers: list[dict[str, str]] = []
        self.times: list[float] = []
        self.at_once = 0
        self.most_at_once = 0
        lock, endpoint = threading.Lock(), self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    endpoint.bodies.append(asked)
                    endpoint.headers.append({k.lower(): v for k, v in self.headers.items()})
                    endpoint.times.append(time.monotonic())
                    endpoint.at_once += 1
                    endpoint.most_at_once = max(endpoint.most_at_once, endpoint.at_once)
                status, headers, body = endpoint.reply(asked)
                with lock:
                    endpoint.at_once -= 1
                try:
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(body.encode())))
                    self.end_headers()
                    self.wfile.write(body.encode())
                except (BrokenPipeError, ConnectionResetError):
                    pass  # the client gave up on us, as it should

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        serve = functools.partial(self.server.serve_forever, poll_interval=0.01)
        threading.Thread(target=serve, daemon=True).start()


def engine(endpoint: Endpoint, **settings: object) -> OpenAIEngine:
    given = {"max_retries": 1, "timeout_seconds": 5.0, **settings}
    return OpenAIEngine(model="m", base_url=endpoint.url, **given)


def ask(text: str = "where is my money", max_tokens: int = 32) -> Request:
    return Request(
        messages=(
            Message(role="system", content="Classify."),
            Message(role="user", content=text),
        ),
        sampling=Sampling(max_tokens=max_tokens),
    )


def only(made: list[Generation | Failure]) -> Generation | Failure:
    assert len(made) == 1
    return made[0]
