"""The chat engines of this machine, each in a process of its own: no step holds the server up.

A step takes up to seconds and holds Python's global lock; here it holds that of another process.
When that dies, whatever it answered ends with an error at once, and another is started.
"""

import asyncio
import contextlib
import itertools
import json
import tempfile
import time
from collections.abc import AsyncGenerator, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from tunewise.serving.engine.capabilities import CAPABILITIES, EngineName
from tunewise.serving.engine.checks import check_request
from tunewise.serving.engine.children import Child, start_child
from tunewise.serving.engine.grammars import Grammars
from tunewise.serving.engine.schemas import check_schema
from tunewise.serving.engine.wire import (
    FROM_ENGINE,
    LINE_LIMIT,
    TO_ENGINE,
    Ask,
    Broken,
    Cancel,
    Choice,
    Ended,
    FromEngine,
    Loaded,
    Pieces,
    Refused,
    Started,
    ToEngine,
    Up,
    Warm,
    Warmed,
)
from tunewise.serving.protocol import (
    ChatRequest,
    EngineLostError,
    EngineState,
    Piece,
    RefusedError,
    Weights,
)

MAX_LOADED = 2
"""Pipelines open at once."""
CACHE_BYTES = 2**30
"""Of keys and values, for each pipeline."""
FIRST_WAIT, LONGEST_WAIT = 0.25, 30.0
"""Seconds before a process is started again; twice as many after every further loss."""
WELL_AFTER = 60.0
"""Seconds that a process has to live, for the next one to be started after `FIRST_WAIT` again."""
_CHILD = "tunewise.serving.engine.child"

_Heard = Piece | Warmed | RefusedError | EngineLostError


@dataclass(kw_only=True, eq=False, slots=True)
class _Asked:
    """A request on its way."""

    heard: asyncio.Queue[_Heard] = field(default_factory=asyncio.Queue[_Heard])
    started: bool = False
    warms: bool = False


class ProcessEngine:
    """Answers with one of the engines, in a process that it starts, watches and ends.

    Args:
        first: what is opened at the start.
        engine: what runs the models.
        max_loaded: base models and merged adapters that are open at once, each with a cache.
        cache_bytes: of that cache. It has to hold a request whole, so that it bounds the context.
        cache: where prepared models lie; None: `cache_folder()`.
    """

    def __init__(
        self,
        first: Sequence[Weights] = (),
        *,
        engine: EngineName = "openvino",
        max_loaded: int = MAX_LOADED,
        cache_bytes: int = CACHE_BYTES,
        cache: Path | None = None,
    ) -> None:
        self.capabilities = CAPABILITIES[engine]
        self._engine = engine
        self._arguments = (str(max_loaded), str(cache_bytes))
        self._environment = {} if cache is None else {"TUNEWISE_CACHE": str(cache)}
        self._merged = tempfile.TemporaryDirectory(prefix="tunewise-merged-")
        self._wanted = tuple(first)
        self._loaded: tuple[Weights, ...] = ()
        self._opening: Weights | None = None
        self._numbers = itertools.count(1)
        self._asked: dict[int, _Asked] = {}
        self._grammars = Grammars()
        self._folders: dict[Weights, str] = {}
        self._child: Child | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._tasks: set[asyncio.Task[object]] = set()
        self._ready = self._closed = False
        self._restarts = self._losses = 0
        self._up_since = 0.0

    async def start(self) -> None:
        """See `ChatEngine.start`.

        Raises:
            RefusedError: what is served first cannot be opened.
            EngineLostError: the process died.
        """
        await self._start()
        for weights in self._wanted:
            self._opening = weights
            await self._warm(weights)
        self._opening = None
        self._ready = True

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Piece, None]:
        """See `ChatEngine.stream`."""
        check_request(request, self.capabilities)
        number, asked = next(self._numbers), _Asked()
        self._asked[number] = asked
        sent = over = False
        try:
            choice = await self._choice(request)
            if number not in self._asked:
                raise EngineLostError("The engine was lost while the schema was read.")
            self._send(
                Ask(
                    number=number,
                    weights=request.weights,
                    messages=request.messages,
                    tools=json.dumps(list(request.tools)),
                    choice=choice,
                )
            )
            sent = True
            while not over:
                heard = await asked.heard.get()
                if isinstance(heard, Exception):
                    over = True
                    raise heard
                if isinstance(heard, Piece):
                    over = heard.usage is not None
                    yield heard
        except RefusedError as error:
            if error.param != "model":
                raise
            raise _unusable(error.message) from error
        finally:
            if not sent:
                self._asked.pop(number, None)
            elif not over:
                with contextlib.suppress(EngineLostError):
                    self._send(Cancel(number=number))

    async def warm(self, weights: Weights) -> None:
        """See `ChatEngine.warm`."""
        await self._warm(weights)

    def state(self) -> EngineState:
        """See `ChatEngine.state`."""
        asked = [one for one in self._asked.values() if not one.warms]
        running = sum(one.started for one in asked)
        return EngineState(
            ready=self._ready,
            running=running,
            waiting=len(asked) - running,
            restarts=self._restarts,
            loaded=self._loaded,
        )

    async def close(self) -> None:
        """See `ChatEngine.close`."""
        self._closed = True
        child = self._child
        self._end("it was closed")
        await self._grammars.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if child is not None:
            await asyncio.to_thread(child.process.wait)
        self._merged.cleanup()

    async def _choice(self, request: ChatRequest) -> Choice:
        """How tokens are chosen, with the grammar of the schema, if there is one.

        Raises:
            RefusedError: the schema is none that can be kept to.
        """
        decoding = request.decoding
        grammar = None
        if decoding.json_schema is not None:
            check_schema(decoding.json_schema)
            folder = self._folders.get(request.weights) or await self._warm(request.weights)
            grammar = await self._grammars.compile(folder, decoding.json_schema)
        seed = decoding.seed
        return Choice(
            max_tokens=decoding.max_tokens,
            temperature=decoding.temperature,
            top_p=decoding.top_p,
            seed=time.monotonic_ns() if seed is None else seed,
            stop=decoding.stop,
            n=decoding.n,
            logprobs=decoding.logprobs,
            top_logprobs=decoding.top_logprobs,
            grammar=grammar,
        )

    async def _warm(self, weights: Weights) -> str:
        """Opens weights; the folder of their base."""
        number, asked = next(self._numbers), _Asked(warms=True)
        self._asked[number] = asked
        try:
            self._send(Warm(number=number, weights=weights))
            heard = await asked.heard.get()
        except BaseException:
            with contextlib.suppress(EngineLostError):
                self._send(Cancel(number=number))
            raise
        finally:
            self._asked.pop(number, None)
        if isinstance(heard, Exception):
            raise heard
        if not isinstance(heard, Warmed):
            raise TypeError(f"the engine answered {heard} to a request to open weights")
        self._folders[weights] = heard.folder
        return heard.folder

    async def _start(self) -> None:
        """Starts the process; returns once it listens."""
        arguments = (self._engine, self._merged.name, *self._arguments)
        self._child = start_child(_CHILD, *arguments, environment=self._environment)
        reader, self._writer = await asyncio.open_unix_connection(
            sock=self._child.socket, limit=LINE_LIMIT
        )
        self._up_since = time.monotonic()
        up = asyncio.get_running_loop().create_future()
        self._keep(self._listen(reader, up))
        await up

    async def _listen(self, reader: asyncio.StreamReader, up: "asyncio.Future[None]") -> None:
        """Hands on what the process says, until it says no more."""
        why = "its process ended"
        try:
            while line := await reader.readline():
                message = FROM_ENGINE.validate_json(line)
                if isinstance(message, Up):
                    up.set_result(None)
                elif isinstance(message, Broken):
                    why = message.why
                else:
                    self._hear(message)
        except (OSError, ValueError) as error:  # cut off within a line, or reset
            why = str(error)
        if not up.done():
            up.set_exception(EngineLostError(f"the engine could not start: {why}"))
        if not self._closed:
            self._end(why)
            self._keep(self._start_again())

    def _hear(self, message: FromEngine) -> None:
        if isinstance(message, Loaded):
            self._loaded = message.weights
        elif isinstance(message, Pieces):
            for number, piece in message.pieces:
                if number in self._asked:
                    self._asked[number].heard.put_nowait(piece)
        elif isinstance(message, Started | Ended | Refused | Warmed):
            asked = self._asked.get(message.number)
            if asked is None:
                return
            if isinstance(message, Started):
                asked.started = True
                return
            del self._asked[message.number]
            if isinstance(message, Warmed):
                asked.heard.put_nowait(message)
            elif isinstance(message, Refused):
                asked.heard.put_nowait(
                    RefusedError(message.message, param=message.param, code=message.code)
                )

    def _end(self, why: str) -> None:
        """Ends what is left of the process, and all that it was asked."""
        self._ready = False
        if self._writer is not None:
            self._writer.close()
        if self._child is not None:
            self._child.process.kill()  # It has nothing to keep.
            self._keep(asyncio.to_thread(self._child.process.wait))
        self._writer = self._child = None
        for asked in self._asked.values():
            asked.heard.put_nowait(EngineLostError(f"The engine was lost: {why}."))
        self._asked.clear()

    async def _start_again(self) -> None:
        """Starts another process, and opens what was open."""
        if time.monotonic() - self._up_since > WELL_AFTER:
            self._losses = 0
        await asyncio.sleep(min(LONGEST_WAIT, FIRST_WAIT * 2**self._losses))
        self._losses += 1
        self._restarts += 1
        wanted = self._loaded or self._wanted
        # What it was opening when it died may be what it died of.
        self._wanted = tuple(weights for weights in wanted if weights != self._opening)
        self._loaded, self._opening = (), None
        with contextlib.suppress(EngineLostError):  # `_listen` has seen it, and starts another.
            await self._start()
            for weights in self._wanted:
                self._opening = weights
                with contextlib.suppress(RefusedError):  # Gone by now; who asks for it is told.
                    await self._warm(weights)
            self._opening = None
            self._ready = True

    def _send(self, message: ToEngine) -> None:
        if self._writer is None:
            raise EngineLostError(
                "The engine is closed." if self._closed else "The engine is being started again."
            )
        self._writer.write(TO_ENGINE.dump_json(message) + b"\n")

    def _keep(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _unusable(why: str) -> RefusedError:
    """What a client is told where a model cannot be opened: why is for the log, since it names
    files of this machine."""
    structlog.get_logger().error("not_opened", why=why)
    return RefusedError(
        "The engine cannot open this model. The server's log tells why, under the id of this "
        "request (header x-request-id).",
        param="model",
        code="model_unusable",
    )
