"""The chat engine of other machines: a vllm server that is asked over HTTP.

Prompts, examples, passages and classifiers stay here; what a language model is to be asked goes
there. An adapter is loaded there when it is first needed, under a name made of its content: two
servers may share a back end, and a version that is made again is another adapter.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace

import structlog

from tunewise.chat.template import PROBE_TOOL, PROBE_TURNS, shows_tools
from tunewise.chat.tools import as_plain
from tunewise.serving.backend.address import BackEnd
from tunewise.serving.backend.connection import (
    SILENCE_SECONDS,
    Connection,
    RefusalError,
    failed,
)
from tunewise.serving.backend.reading import Reading
from tunewise.serving.backend.shelf import Shelf
from tunewise.serving.backend.vllm import (
    MAX_TOP_LOGPROBS,
    Chunk,
    chat_body,
    tokenize_body,
)
from tunewise.serving.engine.checks import check_request
from tunewise.serving.protocol import (
    BackEndError,
    Capabilities,
    ChatRequest,
    EngineState,
    Piece,
    RefusedError,
    Weights,
)
from tunewise.types import Message, Tool

MAX_ADAPTERS = 64
"""Adapters that a server keeps loaded there."""
LOOK_SECONDS = 5.0
"""Between looks at whether the back end is there."""
_NOT_FOUND = 404
_FIELDS = {"input_tokens": "messages", "logprobs": "top_logprobs"}
"""What vllm calls a field that is to blame -> what we do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Spoken:
    """A conversation as a template can write it."""

    messages: Sequence[Message]
    tools: Sequence[Tool] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Opened:
    """An answer that has begun."""

    first: Chunk
    rest: AsyncGenerator[Chunk, None]


class BackEndEngine:
    """Answers with a vllm server.

    Args:
        back_end: where it is.
        first: what has to run there; adapters among it are loaded at the start.
        max_adapters: see `MAX_ADAPTERS`; the one used longest ago is unloaded first.
        look_seconds: see `LOOK_SECONDS`.
        silence_seconds: how long nothing may come of an answer.
    """

    def __init__(
        self,
        back_end: BackEnd,
        first: Sequence[Weights] = (),
        *,
        max_adapters: int = MAX_ADAPTERS,
        look_seconds: float = LOOK_SECONDS,
        silence_seconds: float = SILENCE_SECONDS,
    ) -> None:
        # Whether cached tokens are told is known once they were.
        self.capabilities = Capabilities(
            engine="vllm",
            max_top_logprobs=MAX_TOP_LOGPROBS,
            schema=True,
            tools=True,
            cached_tokens=False,
        )
        self._back_end, self._first, self._every = back_end, tuple(first), look_seconds
        self._connection = Connection(back_end, silence_seconds=silence_seconds)
        self._shelf = Shelf(back_end, self._connection, most=max_adapters)
        self._speaks: dict[str, bool] = {}
        self._asked: Counter[Weights] = Counter()
        self._begun = self._restarts = 0
        self._ready = False
        self._watcher: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """See `ChatEngine.start`. A back end that is not there yet is waited for.

        Raises:
            RefusedError: it does not run what is served first, or is no vllm server.
        """
        awaited = False
        while not self._ready:
            try:
                await self._look()
                for weights in self._first:
                    await self._shelf.find(weights)
                self._ready = True
            except BackEndError as error:
                if error.status != 503:
                    raise RefusedError(f"{self._back_end.url}: {error}.") from error
                if not awaited:
                    structlog.get_logger().warning(
                        "back_end_awaited", url=self._back_end.url, why=str(error)
                    )
                awaited = True
                await asyncio.sleep(self._every)
        self._watcher = asyncio.create_task(self._watch())

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Piece, None]:
        """See `ChatEngine.stream`.

        Raises:
            BackEndError: at any time.
        """
        check_request(request, self.capabilities)
        weights, begun = request.weights, False
        self._asked[weights] += 1
        try:
            opened = await self._open(request)
            self._begun += 1
            begun = True
            reading = Reading(request.decoding)
            async with contextlib.aclosing(opened.rest) as rest:
                chunk: Chunk | None = opened.first
                while chunk is not None:
                    for piece in reading.pieces(chunk):
                        yield piece
                    chunk = await anext(rest, None)
            if reading.tells_cached:
                self.capabilities = replace(self.capabilities, cached_tokens=True)
            yield reading.last()
        except BackEndError as error:
            structlog.get_logger().warning("back_end_failed", code=error.code, why=str(error))
            raise
        finally:
            self._begun -= begun
            self._asked[weights] -= 1

    async def warm(self, weights: Weights) -> None:
        """See `ChatEngine.warm`. An adapter is loaded; nothing is asked."""
        await self._shelf.find(weights)

    def state(self) -> EngineState:
        """See `ChatEngine.state`."""
        return EngineState(
            ready=self._ready,
            running=self._begun,
            waiting=self._asked.total() - self._begun,
            restarts=self._restarts,
            loaded=self._shelf.loaded,
        )

    async def close(self) -> None:
        """See `ChatEngine.close`. Adapters stay loaded there: the next server finds them."""
        self._ready = False
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
        await self._connection.close()

    async def _look(self) -> None:
        """What the back end serves now.

        Raises:
            RefusedError: not all that is served first.
        """
        self._shelf.cards = await self._connection.models()
        for weights in self._first:
            self._shelf.base(weights)

    async def _watch(self) -> None:
        """Looks for ever whether the back end is there, and takes it up again once it is back."""
        log = structlog.get_logger()
        while True:
            await asyncio.sleep(self._every)
            try:
                await self._look()
                if not self._ready:
                    self._speaks.clear()
                    await self._shelf.fill_again()
                    self._restarts += 1
                    self._ready = True
                    log.info("back_end_back", url=self._back_end.url)
                await self._shelf.tidy(+self._asked)
            except (BackEndError, RefusedError) as error:
                if self._ready:
                    log.error("back_end_lost", url=self._back_end.url, why=str(error))
                self._ready = False

    async def _open(self, request: ChatRequest) -> _Opened:
        """Has an answer begin. Where the back end forgot what it had loaded, it is loaded anew."""
        for again in (True, False):
            name = await self._name(request.weights)
            spoken = await self._spoken(name, request)
            chunks = self._connection.chat(
                chat_body(name, spoken.messages, spoken.tools, request.decoding)
            )
            try:
                return _Opened(first=await anext(chunks), rest=chunks)
            except StopAsyncIteration:
                raise failed("the back end's answer is empty") from None
            except RefusalError as error:
                if error.status != _NOT_FOUND:
                    raise _refused(error) from error
                if again:
                    self._shelf.forget(request.weights)
                    self._shelf.cards = await self._connection.models()
        raise failed(f"the back end does not know {name}, which it has just loaded")

    async def _name(self, weights: Weights) -> str:
        """What the back end calls weights. Whoever asks is not told of its files and settings."""
        try:
            return await self._shelf.find(weights)
        except RefusedError as error:
            structlog.get_logger().error("not_run_by_back_end", why=str(error))
            raise RefusedError(
                "The back end does not run this model. The server's log tells why, under the id "
                "of this request (header x-request-id).",
                param="model",
                code="model_unusable",
            ) from error

    async def _spoken(self, name: str, request: ChatRequest) -> _Spoken:
        """The conversation with tools, as far as the model's template writes them.

        Raises:
            RefusedError: it writes none, and the model learnt of none here.
        """
        messages, tools = request.messages, request.tools
        if not tools and not any(turn.tool_calls or turn.role == "tool" for turn in messages):
            return _Spoken(messages=messages)
        if name not in self._speaks:
            self._speaks[name] = await self._speaks_tools(name)
        if self._speaks[name]:
            return _Spoken(messages=messages, tools=tools)
        if tools and request.weights.adapter is None:
            raise RefusedError(
                "The chat template at the back end writes no tools. Leave tools out, or choose "
                "another model.",
                param="tools",
                code="unsupported_parameter",
            )
        return _Spoken(messages=as_plain(messages, tools))  # as it was trained

    async def _speaks_tools(self, name: str) -> bool:
        """Whether the model's template writes a tool, its call and its result."""
        try:
            asked = tokenize_body(name, PROBE_TURNS, [PROBE_TOOL])
            return shows_tools(await self._connection.written(name, asked))
        except RefusalError:
            return False


def _refused(error: RefusalError) -> RefusedError:
    param = error.fault.param
    return RefusedError(
        f"The back end refuses the request: {error.fault.message or error.status}",
        param=None if param is None else _FIELDS.get(param, param),
        code="backend_refused",
    )
