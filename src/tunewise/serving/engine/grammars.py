"""Grammars of JSON schemas, made in a process of their own that can be killed.

A schema decides how long that takes; made within a step of the engine, one of them would hold up
every other request, and one that fails would end them all.
"""

import asyncio
import contextlib
import itertools
import json
from collections import OrderedDict
from collections.abc import Mapping

from tunewise.serving.engine.children import Child, start_child
from tunewise.serving.engine.wire import COMPILE, COMPILED, LINE_LIMIT, Compile, Compiled
from tunewise.serving.protocol import EngineLostError, RefusedError
from tunewise.types import JsonValue

KEPT = 256
"""Schemas whose grammar is remembered."""
_CHILD = "tunewise.serving.engine.grammar_child"


class Grammars:
    """Turns schemas into grammars; the process is started when it is first asked."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._kept: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._asked: dict[int, asyncio.Future[Compiled]] = {}
        self._child: Child | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._listening: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()

    async def compile(self, folder: str, schema: Mapping[str, JsonValue]) -> str:
        """The grammar of a schema, as EBNF.

        Args:
            folder: of the prepared base, whose tokens it is tried with.
            schema: that `check_schema` let through.

        Raises:
            RefusedError: it takes too long to make, or cannot be made.
            EngineLostError: the process died.
        """
        text = json.dumps(schema)  # in its own order, in which an answer writes its properties
        key = (folder, text)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        async with self._starting:
            writer = self._writer or await self._start()
        number = next(self._numbers)
        asked = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            message = Compile(number=number, folder=folder, schema=text)
            writer.write(COMPILE.dump_json(message) + b"\n")
            compiled = await asked
        finally:
            self._asked.pop(number, None)
        if compiled.grammar is None:
            raise RefusedError(
                f"The JSON schema of response_format cannot be kept to: {compiled.fault}. "
                "Make it simpler.",
                param="response_format",
                code="invalid_json_schema",
            )
        self._kept[key] = compiled.grammar
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return compiled.grammar

    async def close(self) -> None:
        """Ends the process; what it was asked ends with `EngineLostError`."""
        child, listening = self._child, self._listening
        self._end()
        if child is not None and listening is not None:
            await asyncio.gather(listening, return_exceptions=True)
            await asyncio.to_thread(child.process.wait)

    async def _start(self) -> asyncio.StreamWriter:
        self._child = start_child(_CHILD, environment={})
        reader, self._writer = await asyncio.open_unix_connection(
            sock=self._child.socket, limit=LINE_LIMIT
        )
        self._listening = asyncio.create_task(self._listen(reader))
        return self._writer

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError, ValueError):  # reset, or cut off within a line
            while line := await reader.readline():
                compiled = COMPILED.validate_json(line)
                asked = self._asked.get(compiled.number)
                if asked is not None and not asked.done():
                    asked.set_result(compiled)
        self._end()

    def _end(self) -> None:
        if self._child is not None and self._writer is not None:
            self._writer.close()
            self._child.process.kill()
            self._child.process.poll()
        self._child = self._writer = None
        for asked in self._asked.values():
            if not asked.done():
                asked.set_exception(EngineLostError("The process that makes grammars was lost."))
