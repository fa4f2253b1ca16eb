"""Which requests for a model are taken on: a counter, asked before a body is read.

A request holds its slot until its last byte is sent, or its client has gone: then the work on it is
cancelled, streamed or not.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tunewise.serving.http.errors import ApiError
from tunewise.serving.http.limits import Limits
from tunewise.serving.http.sessions import ASK
from tunewise.serving.http.telemetry import Metrics, Trace, refused

Phase: TypeAlias = Literal["warming", "ready", "draining", "failed"]
WORK = frozenset({"/v1/chat/completions", "/v1/embeddings", ASK})
"""Paths whose requests need a slot."""
_CLOSED = {
    "warming": "The server is loading its models. Ask again in a moment.",
    "draining": "The server is being stopped; it ends what it has begun.",
    "failed": "The server could not load its models, and stops.",
}


_REMEMBERED = 64
"""Places that became free, by which the pace is told."""
LONGEST_WAIT = 30
"""Seconds after which a refused client may ask again at most, spread by half around it."""


@dataclass(slots=True)
class Slots:
    """How many requests are under way, and whether more are taken.

    Args:
        limits: `running` and `queue`.
        clock: seconds, monotonic.
    """

    limits: Limits
    phase: Phase = "warming"
    active: int = 0
    empty: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while nothing is under way."""
    clock: Callable[[], float] = time.monotonic
    refused: int = 0
    """Requests for which there was no place."""
    _freed: deque[float] = field(default_factory=lambda: deque[float](maxlen=_REMEMBERED))
    """When places became free, since the server was busy last."""

    def __post_init__(self) -> None:
        self.empty.set()

    def take(self) -> None:
        """Takes a slot.

        Raises:
            ApiError: 429 where none is free, 503 where none is given; both at once.
        """
        self.require_open()
        most = self.limits.running + self.limits.queue
        if self.active >= most:
            self.refused += 1
            raise ApiError(
                429,
                f"{most} requests are under way, as many as this server takes on. Ask again.",
                code="server_overloaded",
                headers={"Retry-After": str(self.wait())},
            )
        self.active += 1
        self.empty.clear()

    def wait(self) -> int:
        """Seconds after which one that was refused may ask again: about when what waits now is
        done, spread so that not all come back at once."""
        pace = (self.clock() - self._freed[0]) / len(self._freed) if self._freed else 0.0
        done = min(round(self.limits.queue * pace), LONGEST_WAIT)
        return max(1, done // 2 + self.refused % (done + 1))

    def free(self) -> None:
        """Gives a slot back."""
        if self.active <= self.limits.running:  # nothing waits
            self._freed.clear()
        self._freed.append(self.clock())
        self.active -= 1
        if self.active == 0:
            self.empty.set()

    def require_open(self) -> None:
        """Nothing, where requests are taken.

        Raises:
            ApiError: 503.
        """
        if self.phase != "ready":
            raise ApiError(503, _CLOSED[self.phase], code=f"server_{self.phase}")


class Admission:
    """Lets requests for a model in as far as there are slots, and ends them with their client."""

    def __init__(self, app: ASGIApp, slots: Slots, metrics: Metrics) -> None:
        self._app = app
        self._slots = slots
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] not in WORK:
            await self._app(scope, receive, send)
            return
        try:
            self._slots.take()
        except ApiError as error:
            refused(scope, self._metrics, error)
            await error.response()(scope, receive, send)
            return
        try:
            await self._until_hung_up(scope, receive, send)
        finally:
            self._slots.free()

    async def _until_hung_up(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the app; cancels it, and waits for its end, when the client has gone."""
        listener = _Listener(receive)
        seconds = self._slots.limits.send_seconds

        async def sent(message: Message) -> None:
            try:
                async with asyncio.timeout(seconds):
                    await send(message)
            except TimeoutError:
                listener.gone.set()  # it takes nothing: that is no client any more
                await asyncio.Event().wait()  # until the cancellation below

        work = asyncio.ensure_future(self._app(scope, listener.receive, sent))
        left = asyncio.ensure_future(listener.gone.wait())
        try:
            await asyncio.wait((work, left), return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
            else:
                _trace(scope).ended_by = "hung_up"
        finally:
            for task in (work, left, listener.task):
                if task is not None:
                    task.cancel()
            await asyncio.gather(work, left, return_exceptions=True)


class _Listener:
    """Passes a request's body on, and from its end on listens for the client's leaving."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.gone = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    async def receive(self) -> Message:
        """See ASGI."""
        if self.task is not None:
            await self.gone.wait()
            return {"type": "http.disconnect"}
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.gone.set()
        elif not message.get("more_body", False):
            self.task = asyncio.ensure_future(self._listen())
        return message

    async def _listen(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone.set()


def _trace(scope: Scope) -> Trace:
    trace: Trace = scope["state"]["trace"]
    return trace
