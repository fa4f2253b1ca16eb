"""Runs an app on a socket until it is told to stop, and lets running requests end.

uvicorn, with what it lacks: a time limit for headers, errors in OpenAI's shape where no request
could be read, and a drain: on SIGTERM `/ready` says 503 while the socket still accepts, so that
whoever sends requests here can stop before the door is shut.
"""

import asyncio
import contextlib
import errno
import json
import signal
import socket
import threading
from collections.abc import Callable, Generator
from http import HTTPStatus
from typing import Any, cast

import h11
import structlog
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from tunewise.errors import UserError
from tunewise.interrupts import INTERRUPTED, TERMINATED
from tunewise.serving.http.errors import ApiError
from tunewise.serving.http.service import Service

KEEP_ALIVE = 75
"""Seconds that a connection may be idle between requests."""
MAX_HEADERS = 64 * 2**10
"""Bytes."""
LAST_WORDS = 2
"""Seconds that connections have to close once nothing runs any more."""
BACKLOG = 2048
"""Connections that wait to be accepted."""
_CODES = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED}


def listen(host: str, port: int) -> socket.socket:
    """A socket that is bound, before anything slow begins: who comes too late is told at once.

    Args:
        host: an address of this machine, or a name of one.
        port: 0: any that is free.

    Raises:
        UserError: the port is in use, or the address is none of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(BACKLOG)
        except BaseException:
            listening.close()
            raise
    except OSError as error:
        raise UserError(_why_not(error, host, port)) from error
    return listening


def address_of(listening: socket.socket) -> str:
    """Where a socket is called: `http://127.0.0.1:8642`."""
    host, port, *_ = cast("tuple[Any, ...]", listening.getsockname())
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Server:
    """Serves an app until it is told to stop and what runs has ended.

    Args:
        app: of `create_app`.
        listening: of `listen`.
    """

    def __init__(self, app: FastAPI, listening: socket.socket) -> None:
        self._service = cast(Service, app.state.service)
        self._listening = listening
        self._server = _Server(
            uvicorn.Config(
                app,
                http=_protocol(self._service.limits.header_seconds),
                ws="none",
                loop="asyncio",
                lifespan="on",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                backlog=BACKLOG,
                timeout_keep_alive=KEEP_ALIVE,
                timeout_graceful_shutdown=LAST_WORDS,
                h11_max_incomplete_event_size=MAX_HEADERS,
            )
        )
        self._log = structlog.get_logger()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._failure: Exception | None = None
        self._signal: signal.Signals | None = None
        self._drain: asyncio.Task[None] | None = None

    def run(self, *, on_start: Callable[[], None] | None = None) -> int:
        """Serves until SIGTERM or SIGINT has come, or the engine cannot be started.

        Args:
            on_start: called once the socket accepts.

        Returns:
            The exit code: 143 after SIGTERM, 130 after SIGINT.

        Raises:
            Exception: what the engine raised when it was started; `UserError` for one.
        """
        self._server.on_start = on_start
        return asyncio.run(self._until_stopped())

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Does what a signal does; from any thread. The second one ends at once what still runs."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended already
                self._loop.call_soon_threadsafe(self._stop, number)

    async def _until_stopped(self) -> int:
        self._loop = asyncio.get_running_loop()
        handled = _CODES if threading.current_thread() is threading.main_thread() else ()
        for number in handled:
            self._loop.add_signal_handler(number, self._stop, number)
        self._service.on_failure = self._failed
        try:
            await self._server.serve(sockets=[self._listening])
        finally:
            for number in handled:
                self._loop.remove_signal_handler(number)
        if self._failure is not None:
            raise self._failure
        return 0 if self._signal is None else _CODES[self._signal]

    def _stop(self, number: signal.Signals) -> None:
        if self._signal is None:
            self._signal = number
            running = self._service.slots.active
            self._service.slots.phase = "draining"
            self._log.info("draining", signal=number.name, running=running)
            self._drain = asyncio.ensure_future(self._end_what_runs())
        else:
            self._server.should_exit = self._server.force_exit = True

    async def _end_what_runs(self) -> None:
        slots, seconds = self._service.slots, self._service.limits.drain_seconds
        try:
            async with asyncio.timeout(seconds):
                await slots.empty.wait()
        except TimeoutError:
            self._log.warning("drain_ended", after_seconds=seconds, running=slots.active)
            await self._service.engine.close()  # what still runs is told that it was lost
        self._server.should_exit = True

    def _failed(self, error: Exception) -> None:
        self._failure = error
        self._server.should_exit = True


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs it."""

    on_start: Callable[[], None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.on_start is not None:
            self.on_start()


def _protocol(header_seconds: float) -> type[H11Protocol]:
    """uvicorn's protocol, with a limit to how long a request's headers may take."""

    class Protocol(H11Protocol):
        _deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._arm()

        def connection_lost(self, exc: Exception | None) -> None:
            self._disarm()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.conn.their_state is not h11.IDLE:
                self._disarm()
            elif self.timeout_keep_alive_task is None:  # the next request has begun
                self._arm()

        def send_400_response(self, msg: str) -> None:
            self._send_error(ApiError(400, "That is no HTTP request.", code="invalid_http"))

        def _arm(self) -> None:
            if self._deadline is None:
                self._deadline = self.loop.call_later(header_seconds, self._too_late)

        def _disarm(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

        def _too_late(self) -> None:
            message = f"The headers of the request did not arrive within {header_seconds:g} s."
            self._send_error(ApiError(408, message, code="too_slow"))

        def _send_error(self, error: ApiError) -> None:
            self._disarm()
            if self.transport.is_closing():
                return
            body = json.dumps(error.body()).encode()
            headers = [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
                (b"connection", b"close"),
            ]
            reason = HTTPStatus(error.status).phrase.encode()
            with contextlib.suppress(h11.LocalProtocolError):  # an answer was under way
                for event in (
                    h11.Response(status_code=error.status, headers=headers, reason=reason),
                    h11.Data(data=body),
                    h11.EndOfMessage(),
                ):
                    self.transport.write(self.conn.send(event) or b"")
            self.transport.close()

    return Protocol


def _why_not(error: OSError, host: str, port: int) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return (
                f"Port {port} of {host} is in use. Stop what uses it, or take another one with "
                "--port."
            )
        case errno.EACCES | errno.EPERM:
            return f"Port {port} may not be listened at by you. Take one above 1023 with --port."
        case _:
            return f"{host}:{port} cannot be listened at: {error.strerror}. Give --host another."
