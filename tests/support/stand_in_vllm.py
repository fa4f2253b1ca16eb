"""A stand-in for `vllm serve MODEL --enable-lora`: the routes that are used, over real HTTP.

It speaks vllm's API as its sources have it (fields, statuses, shapes of errors) and runs no model:
what it answers is given. A field that vllm's protocol does not have is refused, where vllm itself
would pass over it: nobody shall guess one.
"""

import contextlib
import functools
import json
import re
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CHAT_FIELDS = {
    *("messages", "model", "frequency_penalty", "logprobs", "top_logprobs", "max_tokens"),
    *("max_completion_tokens", "n", "presence_penalty", "response_format", "seed", "stop"),
    *("stream", "stream_options", "temperature", "top_p", "tools", "tool_choice"),
    *("top_k", "min_p", "repetition_penalty", "chat_template_kwargs"),
}
"""Those of `ChatCompletionRequest` that mean something here."""
TOKENIZE_FIELDS = {"model", "messages", "add_generation_prompt", "chat_template_kwargs", "tools"}
CONTEXT = 1000
"""Tokens; a word is one."""
LOGPROB, OTHER_LOGPROB = -0.25, -1.5
_TOKEN = re.compile(r"\s*\S+|\s+$")


def echo(asked: dict[str, Any]) -> str:
    """Says which model was asked, and what."""
    return f"{asked['model']} heard: {asked['messages'][-1]['content']}"


class VllmStandIn:
    """A server on a free port of loopback, which can be stopped and started again at the same one.

    Args:
        served: the name of its base.
        folder: the folder that stands for `seen_as`; adapters are looked for in it.
        seen_as: how the path of an adapter begins for it.

    Attributes:
        script: what it answers.
        key: what clients have to send, if anything.
        runtime_loras: whether adapters may be loaded while it runs.
        writes_tools: whether its chat template does.
        tells_cached: how many tokens came from the cache, with `--enable-prompt-tokens-details`.
        seconds_per_token: how long a token takes.
        break_after, fail_after: tokens after which a stream breaks off, or tells a failure.
        reply: gives what is sent instead, by the path: status, headers, body; None: nothing else.
        asked: all requests for an answer, in order.
        loads, unloads: names, in order.
        hung_up: answers whose client left before their end.
        running: answers under way.
    """

    def __init__(self, served: str, *, folder: Path | None = None, seen_as: str = "/srv") -> None:
        self.served, self.folder, self.seen_as = served, folder, seen_as
        self.root: str = served
        self.script: Callable[[dict[str, Any]], str] = echo
        self.key: str | None = None
        self.runtime_loras = self.writes_tools = True
        self.tells_cached: int | None = None
        self.seconds_per_token = 0.0
        self.break_after: int | None = None
        self.fail_after: int | None = None
        self.reply: Callable[[str], tuple[int, dict[str, str], str] | None] = lambda path: None
        self.asked: list[dict[str, Any]] = []
        self.loads: list[str] = []
        self.unloads: list[str] = []
        self.adapters: dict[str, str] = {}
        self.hung_up = self.running = 0
        self.lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self._port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Starts it, with nothing loaded, as after a crash."""
        self.adapters.clear()
        self._server = _Server(("127.0.0.1", self._port), functools.partial(_Handler, self))
        self._port = self._server.server_port
        serve = functools.partial(self._server.serve_forever, poll_interval=0.01)
        threading.Thread(target=serve, daemon=True).start()

    def stop(self) -> None:
        """As when its process was killed: what runs breaks off."""
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()
        self._server.end_connections()

    def models(self) -> dict[str, Any]:
        base = {"id": self.served, "root": self.root, "parent": None, "max_model_len": CONTEXT}
        loras = [
            {"id": name, "root": path, "parent": self.served}
            for name, path in self.adapters.items()
        ]
        cards = [{"object": "model", "owned_by": "vllm", **one} for one in (base, *loras)]
        return {"object": "list", "data": cards}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, *arguments: Any) -> None:
        self.connections: set[Any] = set()
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def end_connections(self) -> None:
        for connection in list(self.connections):
            with contextlib.suppress(OSError):  # it has ended itself
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, stand_in: VllmStandIn, *arguments: Any) -> None:
        self.one = stand_in
        super().__init__(*arguments)

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        if not self._stopped_before():
            if self.path == "/v1/models":
                self._send(200, self.one.models())
            else:
                self._error(404, "Not Found", "Not Found")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.headers["Content-Type"] == "application/json"
        if self._stopped_before():
            return
        routes = {"/v1/chat/completions": self._chat, "/tokenize": self._tokenize}
        routes["/detokenize"] = self._detokenize
        if self.one.runtime_loras:
            routes |= {"/v1/load_lora_adapter": self._load, "/v1/unload_lora_adapter": self._unload}
        if self.path not in routes:
            self._error(404, "Not Found", "Not Found")
        else:
            routes[self.path](body)

    def _stopped_before(self) -> bool:
        given = self.one.reply(self.path)
        if given is not None:
            status, headers, text = given
            self._write(status, text.encode(), headers)
            return True
        guarded = self.path.startswith("/v1") and self.one.key is not None
        if guarded and self.headers.get("Authorization") != f"Bearer {self.one.key}":
            self._send(401, {"error": "Unauthorized"})
            return True
        return False

    def _load(self, body: dict[str, Any]) -> None:
        assert set(body) == {"lora_name", "lora_path"}
        name, path = body["lora_name"], body["lora_path"]
        if name in self.one.adapters:
            said = f"The lora adapter '{name}' has already been loaded."
            self._error(400, said, "InvalidUserInput")
            return
        inside = path.removeprefix(self.one.seen_as).lstrip("/")
        real = (self.one.folder or Path("/")) / inside
        if not (path.startswith(self.one.seen_as) and (real / "adapter_config.json").is_file()):
            self._error(404, f"Loading lora {name} failed: No adapter found for {path}")
            return
        rank = json.loads((real / "adapter_config.json").read_text())["r"]
        if rank > 16:
            self._error(400, f"LoRA rank {rank} is greater than max_lora_rank 16.")
            return
        self.one.adapters[name] = path
        self.one.loads.append(name)
        self._write(200, f"Success: LoRA adapter '{name}' added successfully.".encode(), {})

    def _unload(self, body: dict[str, Any]) -> None:
        name = body["lora_name"]
        if self.one.adapters.pop(name, None) is None:
            self._error(404, f"The lora adapter '{name}' cannot be found.")
            return
        self.one.unloads.append(name)
        self._write(200, f"Success: LoRA adapter '{name}' removed successfully.".encode(), {})

    def _tokenize(self, body: dict[str, Any]) -> None:
        assert set(body) <= TOKENIZE_FIELDS
        text = "".join(f"<{turn['role']}>{turn['content']}" for turn in body["messages"])
        if self.one.writes_tools:
            calls = [turn.get("tool_calls") for turn in body["messages"]]
            text = json.dumps(body.get("tools")) + text + json.dumps(calls)
        self._send(200, {"count": len(text), "tokens": [ord(sign) for sign in text]})

    def _detokenize(self, body: dict[str, Any]) -> None:
        self._send(200, {"prompt": "".join(map(chr, body["tokens"]))})

    def _chat(self, body: dict[str, Any]) -> None:
        assert set(body) <= CHAT_FIELDS, set(body) - CHAT_FIELDS
        assert body["stream"]
        assert body["stream_options"] == {"include_usage": True}
        if body["model"] not in (self.one.served, *self.one.adapters):
            said = f"The model `{body['model']}` does not exist."
            self._error(404, said, param="model")
            return
        if body["temperature"] < 1e-5 and body["n"] > 1:
            self._error(400, f"n must be 1 when using greedy sampling, got {body['n']}.")
            return
        prompt = sum(len(turn["content"].split()) for turn in body["messages"])
        if prompt + body.get("max_completion_tokens", 1) > CONTEXT:
            said = f"This model's maximum context length is {CONTEXT} tokens."
            self._error(400, said, param="input_tokens")
            return
        with self.one.lock:
            self.one.asked.append(body)
            self.one.running += 1
        try:
            self._stream(body, prompt)
        finally:
            with self.one.lock:
                self.one.running -= 1

    def _stream(self, body: dict[str, Any], prompt: int) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        told = 0
        for choice in self._choices(body):
            if self.one.seconds_per_token and self._left(self.one.seconds_per_token):
                return
            if told == self.one.break_after:
                self.close_connection = True
                return
            if told == self.one.fail_after:
                error = {"message": "Internal server error", "type": "InternalServerError"}
                self._event({"error": {**error, "param": None, "code": 500}})
                break
            self._event(self._chunk([choice]))
            told += bool(choice["delta"].get("content"))
        else:
            usage: dict[str, Any] = {"prompt_tokens": prompt, "completion_tokens": told}
            usage["total_tokens"] = prompt + told
            if self.one.tells_cached:
                usage["prompt_tokens_details"] = {"cached_tokens": self.one.tells_cached}
            self._event({**self._chunk([]), "usage": usage})
        self._data(b"data: [DONE]\n\n")
        self._data(b"")

    def _choices(self, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The events of all answers, one of each after another."""
        told = [self._answer(body, index) for index in range(body["n"])]
        for index in range(body["n"]):
            yield {"index": index, "delta": {"role": "assistant", "content": ""}}
        for place in range(max(map(len, told))):
            yield from (one[place] for one in told if place < len(one))

    def _answer(self, body: dict[str, Any], index: int) -> Sequence[dict[str, Any]]:
        tokens = _TOKEN.findall(self.one.script(body))
        limit = body.get("max_completion_tokens", CONTEXT)
        events: list[dict[str, Any]] = [
            {
                "index": index,
                "delta": {"content": token},
                "logprobs": _logprobs(token, body["top_logprobs"]) if "logprobs" in body else None,
                "finish_reason": None,
            }
            for token in tokens[:limit]
        ]
        reason = "length" if len(tokens) > limit else "stop"
        events.append({"index": index, "delta": {"content": ""}, "finish_reason": reason})
        return events

    def _chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        about = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1}
        return {**about, "model": self.one.served, "choices": choices}

    def _left(self, seconds: float) -> bool:
        """Whether the client leaves while a token is made."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.one.seconds_per_token:
            if select.select([self.connection], [], [], 0.01)[0]:
                with self.one.lock:
                    self.one.hung_up += 1
                self.close_connection = True
                return True
        return False

    def _event(self, event: dict[str, Any]) -> None:
        self._data(f"data: {json.dumps(event, ensure_ascii=False)}\n\n".encode())

    def _data(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def _error(
        self, status: int, message: str, type: str | None = None, param: str | None = None
    ) -> None:
        kind = type or {404: "NotFoundError"}.get(status, "BadRequestError")
        fault = {"message": message, "type": kind, "param": param, "code": status}
        self._send(status, {"error": fault})

    def _send(self, status: int, body: dict[str, Any]) -> None:
        self._write(status, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def _write(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _logprobs(token: str, top: int) -> dict[str, Any]:
    told = {"token": token, "logprob": LOGPROB, "bytes": list(token.encode())}
    others = [{"token": f"other{place}", "logprob": OTHER_LOGPROB} for place in range(top)]
    return {"content": [{**told, "top_logprobs": others}]}
