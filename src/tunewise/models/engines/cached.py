"""Remembers what an engine answered, so that an interrupted run does not ask twice.

An append-only file of JSON lines, one a request, keyed by everything that decides the answer. Times
and token counts are those of the first asking.
"""

import contextlib
import hashlib
import json
from collections.abc import Generator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from tunewise.models.engines.protocol import Engine, Request
from tunewise.models.stored import adapter_hash
from tunewise.storage import append_lines, read_lines
from tunewise.types import Failure, Generation, Message, Usage


class JournalEngine:
    """An engine that answers from its journal what it has answered before.

    Args:
        engine: asked for what is not in the journal, all of one call as one batch.
        file: the journal; a half-written last line is dropped.
    """

    def __init__(self, engine: Engine, file: Path) -> None:
        self.name = engine.name
        self.context_tokens = engine.context_tokens
        self.thinking_tokens = engine.thinking_tokens
        self._engine = engine
        self._file = file
        self._known = {record["key"]: record for record in read_lines(file)}
        self._prefix_caching = False

    def generate(self, requests: Sequence[Request]) -> list[Generation | Failure]:
        """See `Engine.generate`. While `serving`, nothing is remembered: times are the point."""
        if self._prefix_caching:
            return self._engine.generate(requests)
        keys = [request_key(request) for request in requests]
        new = [i for i, key in enumerate(keys) if key not in self._known]
        if new:
            results = self._engine.generate([requests[i] for i in new])
            records = [_record(keys[i], result) for i, result in zip(new, results, strict=True)]
            append_lines(self._file, records)
            self._known.update((record["key"], record) for record in records)
        return [_result(self._known[key]) for key in keys]

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """See `Engine.count_tokens`."""
        return self._engine.count_tokens(messages)

    def count_answer_tokens(self, text: str) -> int:
        """See `Engine.count_answer_tokens`."""
        return self._engine.count_answer_tokens(text)

    @contextlib.contextmanager
    def prefix_caching(self) -> Generator[None]:
        """See `Engine.prefix_caching`."""
        with self._engine.prefix_caching():
            self._prefix_caching = True
            try:
                yield
            finally:
                self._prefix_caching = False

    def unload(self) -> None:
        """See `Engine.rest`."""
        self._engine.unload()

    def close(self) -> None:
        """See `Engine.close`."""
        self._engine.close()


def answered_keys(file: Path) -> frozenset[str]:
    """The keys of all requests that a journal has answers to; nothing is written to the file."""
    raw = file.read_bytes() if file.is_file() else b""
    lines = raw[: raw.rfind(b"\n") + 1].split(b"\n")
    return frozenset(str(json.loads(line)["key"]) for line in lines if line)


def request_key(request: Request, *, adapter: str | None = None) -> str:
    """What a journal knows a request by: a hash of everything that decides its answer.

    Args:
        request: of which the adapter's folder is read, too.
        adapter: `adapter_hash` of it, where it is known already.
    """
    if request.adapter is not None and adapter is None:
        adapter = adapter_hash(request.adapter)
    parts = {
        "messages": [_turn(turn) for turn in request.messages],
        **({"tools": request.tools} if request.tools else {}),
        "adapter": adapter,
        "sampling": asdict(request.sampling),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def _turn(turn: Message) -> list[Any]:
    calls = [[call.name, call.arguments, call.id] for call in turn.tool_calls]
    more = [calls, turn.tool_call_id] if calls or turn.role == "tool" else []
    return [turn.role, turn.content, *more]


def _record(key: str, result: Generation | Failure) -> dict[str, Any]:
    return {"key": key, "failed": isinstance(result, Failure), "result": asdict(result)}


def _result(record: dict[str, Any]) -> Generation | Failure:
    fields = cast("dict[str, Any]", record["result"])
    if record["failed"]:
        return Failure(**fields)
    others = {name: value for name, value in fields.items() if name != "usage"}
    return Generation(usage=Usage(**fields["usage"]), **others)
