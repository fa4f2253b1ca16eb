"""A light HTTP client for load, and many of them at once: what it costs is taken from the server.

OpenAI's client spends half a millisecond on every event of a stream; beside a server on two
processors that would be measured as the server's.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

PATIENCE = 300.0
"""Seconds after which a request counts as not answered."""


@dataclass(kw_only=True, slots=True)
class Reply:
    """What came back for one request."""

    status: int = 0
    """0: no answer."""
    retry_after: float | None = None
    answered: float = 0.0
    """Seconds to the head of the answer."""
    first_token: float | None = None
    """Seconds to the first text."""
    seconds: float = 0.0
    """To the last byte."""
    model: str = ""
    text: str = ""
    tokens: int = 0
    """Of the answer."""
    error: str = ""
    """Within a stream, or why there is no answer."""


class Connection:
    """One connection that is kept, as a client's pool keeps it.

    Args:
        port: on loopback.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def get(self, path: str) -> Reply:
        """A request without a body."""
        return await self._sent(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    async def chat(self, model: str, text: str, tokens: int, *, stream: bool = True) -> Reply:
        """One user turn, answered greedily."""
        asked: dict[str, Any] = {
            "model": model,
            "messages": [{"role": "user", "content": text}],
            "max_completion_tokens": tokens,
        }
        if stream:
            asked |= {"stream": True, "stream_options": {"include_usage": True}}
        body = json.dumps(asked).encode()
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return await self._sent(head.encode() + body)

    def close(self) -> None:
        """Hangs up."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None

    async def _sent(self, request: bytes) -> Reply:
        reply, began = Reply(), time.perf_counter()
        try:
            async with asyncio.timeout(PATIENCE):
                if self._writer is None:
                    self._reader, self._writer = await asyncio.open_connection(
                        "127.0.0.1", self._port
                    )
                self._writer.write(request)
                await self._read(reply, began)
        except (OSError, EOFError, ValueError) as error:  # a time-out is an OSError
            reply.status, reply.error = 0, f"{type(error).__name__}: {error}"
            self.close()
        reply.seconds = time.perf_counter() - began
        return reply

    async def _read(self, reply: Reply, began: float) -> None:
        assert self._reader is not None
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        reply.answered = time.perf_counter() - began
        reply.status = int(head[0].split()[1])
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        if "retry-after" in headers:
            reply.retry_after = float(headers["retry-after"])
        if headers.get("transfer-encoding") != "chunked":
            body = await self._reader.readexactly(int(headers["content-length"]))
            self._whole(reply, body)
        else:
            async for event in self._events():
                self._event(reply, event, began)
        if headers.get("connection") == "close":
            self.close()

    async def _events(self) -> AsyncIterator[bytes]:
        """The data of each event; the server sends every event as a chunk of its own."""
        assert self._reader is not None
        while size := int(await self._reader.readline(), 16):
            chunk = await self._reader.readexactly(size + 2)
            yield chunk.strip().removeprefix(b"data: ")
        await self._reader.readline()

    @staticmethod
    def _event(reply: Reply, data: bytes, began: float) -> None:
        if data == b"[DONE]":
            return
        told = json.loads(data)
        if "error" in told:
            reply.error = told["error"]["message"]
            return
        reply.model = told["model"]
        if told.get("usage"):
            reply.tokens = told["usage"]["completion_tokens"]
        for choice in told["choices"]:
            if text := choice["delta"].get("content"):
                reply.text += text
                if reply.first_token is None:
                    reply.first_token = time.perf_counter() - began

    @staticmethod
    def _whole(reply: Reply, body: bytes) -> None:
        told = json.loads(body) if body.startswith(b"{") else {}
        if "choices" in told:
            reply.model = told["model"]
            reply.text = told["choices"][0]["message"]["content"]
            reply.tokens = told["usage"]["completion_tokens"]
        elif "error" in told:
            reply.error = told["error"]["message"]


async def at_once(port: int, model: str, texts: Sequence[str], tokens: int) -> list[Reply]:
    """All of them in parallel, streamed, each on a connection of its own."""
    connections = [Connection(port) for _ in texts]
    try:
        return await asyncio.gather(
            *(one.chat(model, text, tokens) for one, text in zip(connections, texts, strict=True))
        )
    finally:
        for one in connections:
            one.close()


@dataclass(kw_only=True, slots=True)
class Storm:
    """What many clients saw."""

    statuses: dict[int, int] = field(default_factory=dict[int, int])
    """Status -> answers; 0: requests without one."""
    refused: list[float] = field(default_factory=list[float])
    """Seconds to each 429 or 503."""
    without_retry_after: int = 0
    errors: list[str] = field(default_factory=list[str])
    lags: list[float] = field(default_factory=list[float])
    """Seconds by which the clients' own event loop was late: part of every other figure."""

    def add(self, reply: Reply) -> None:
        """Counts an answer."""
        self.statuses[reply.status] = self.statuses.get(reply.status, 0) + 1
        if reply.status in (429, 503):
            self.refused.append(reply.answered)
            self.without_retry_after += reply.retry_after is None
        elif reply.error and len(self.errors) < 20:
            self.errors.append(reply.error)


def storm(port: int, model: str, clients: int, seconds: float, tokens: int) -> Storm:
    """Many clients, each of which asks again and again, after Retry-After where it was refused.

    They begin one after another within `RAMP` seconds, or they would all ask in the same moment
    for ever. To be run in a process of its own.

    Args:
        port: of the server.
        model: that is asked.
        clients: at once.
        seconds: after which nobody asks anew; what is under way is waited for.
        tokens: of an answer.
    """
    return asyncio.run(_storm(port, model, clients, seconds, tokens))


RAMP = 2.0
"""Seconds."""


async def _storm(port: int, model: str, clients: int, seconds: float, tokens: int) -> Storm:
    seen, end = Storm(), time.perf_counter() + seconds

    async def ask(number: int) -> None:
        await asyncio.sleep(RAMP * number / clients)
        connection, asked = Connection(port), 0
        while time.perf_counter() < end:
            asked += 1
            text = f"Client {number}, question {asked}: where is my order?"
            reply = await connection.chat(model, text, tokens, stream=number % 2 == 0)
            seen.add(reply)
            if reply.status != 200:
                await asyncio.sleep(reply.retry_after or 1.0)
        connection.close()

    async def watch() -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.01)
            seen.lags.append(time.perf_counter() - began - 0.01)

    watching = asyncio.create_task(watch())
    await asyncio.gather(*map(ask, range(clients)))
    watching.cancel()
    return seen
