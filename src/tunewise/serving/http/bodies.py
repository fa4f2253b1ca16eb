"""How large a request may be, and how long it may take to arrive: 413 and 408."""

import asyncio
from collections.abc import Sequence

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tunewise.serving.http.errors import ApiError
from tunewise.serving.http.limits import Limits


class Bodies:
    """Counts what arrives. Uploads are passed on as they come, everything else when it is whole.

    Args:
        app: what is passed on to.
        limits: bytes and seconds.
        upload_paths: paths to which files are sent, as multipart.
    """

    def __init__(self, app: ASGIApp, limits: Limits, upload_paths: Sequence[str]) -> None:
        self._app = app
        self._limits = limits
        self._upload_paths = frozenset(upload_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        upload = scope["path"] in self._upload_paths
        most = self._limits.upload_bytes if upload else self._limits.body_bytes
        try:
            _refuse_length(scope, most)
            if upload:
                await self._app(scope, self._counted(receive, most), send)
                return
            messages = await self._whole(receive, most)
        except ApiError as error:
            await error.response()(scope, receive, send)
            return

        async def replayed() -> Message:
            return messages.pop(0) if messages else await receive()

        await self._app(scope, replayed, send)

    async def _whole(self, receive: Receive, most: int) -> list[Message]:
        """The body as one message; or that the client has gone."""
        body = bytearray()
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return [message]
                    body += message.get("body", b"")
                    if len(body) > most:
                        raise _too_large(most)
                    if not message.get("more_body", False):
                        return [{"type": "http.request", "body": bytes(body), "more_body": False}]
        except TimeoutError as error:
            raise _too_slow(self._limits.body_seconds) from error

    def _counted(self, receive: Receive, most: int) -> Receive:
        """Passes an upload on; what goes wrong is an error that FastAPI lets through."""
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            try:
                async with asyncio.timeout(self._limits.body_seconds):
                    message = await receive()
            except TimeoutError as error:
                raise _as_http(_too_slow(self._limits.body_seconds)) from error
            seen += len(message.get("body", b""))
            if seen > most:
                raise _as_http(_too_large(most))
            return message

        return counted


def _refuse_length(scope: Scope, most: int) -> None:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value) > most:
            raise _too_large(most)


def _too_large(most: int) -> ApiError:
    shown = f"{most / 2**20:.0f} MiB" if most >= 2**20 else f"{most} bytes"
    return ApiError(413, f"The request is larger than {shown}.", code="request_too_large")


def _too_slow(seconds: float) -> ApiError:
    return ApiError(408, f"The request did not arrive within {seconds:g} s.", code="too_slow")


def _as_http(error: ApiError) -> HTTPException:
    return HTTPException(error.status, error.message)
