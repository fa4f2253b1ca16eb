"""What the routes of one server share."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

import structlog
from anyio import CapacityLimiter, to_thread
from fastapi import Request

from tunewise.serving.http.access import key_of
from tunewise.serving.http.admission import Slots
from tunewise.serving.http.contents import ContentLog
from tunewise.serving.http.limits import Limits, Rates
from tunewise.serving.http.telemetry import Metrics
from tunewise.serving.protocol import Catalogue, ChatEngine, CountingEmbedder

Result = TypeVar("Result")

PREPARING = 4
"""Threads in which models are looked up and prompts made."""


@dataclass(kw_only=True, slots=True)
class EmbeddingModel:
    """The embedding model behind its name; loaded when it is first asked."""

    id: str
    """As `GET /v1/models` lists it."""
    load: Callable[[], CountingEmbedder]
    """Raises `UserError` where an extra is missing, or the model is not on this machine."""


def _log_failure(error: Exception) -> None:
    structlog.get_logger().error("engine_not_started", exc_info=error)


@dataclass(kw_only=True, slots=True)
class Service:
    """One server: what answers, and within which bounds."""

    catalogue: Catalogue
    engine: ChatEngine
    embedding: EmbeddingModel | None
    limits: Limits
    slots: Slots
    rates: Rates
    metrics: Metrics
    contents: ContentLog | None
    """Where requests and answers are logged."""
    threads: CapacityLimiter
    one_thread: CapacityLimiter
    """For the embedding model, which is asked by one thread at a time."""
    before: Callable[[], None] = lambda: None
    """Reads what models answer with, before the server says that it is ready."""
    beside: Sequence[Callable[[], Coroutine[None, None, None]]] = ()
    """What runs on the server's loop once the engine is warm."""
    on_failure: Callable[[Exception], None] = _log_failure
    """Told why the engine could not be started."""

    async def in_thread(self, work: Callable[[], Result], *, alone: bool = False) -> Result:
        """Does what blocks while others are served. Whoever hangs up does not wait for its end."""
        limiter = self.one_thread if alone else self.threads
        return await to_thread.run_sync(work, limiter=limiter, abandon_on_cancel=True)


def service_of(request: Request) -> Service:
    """The service of the app that a request came to."""
    return cast(Service, request.app.state.service)


async def rate_limited(request: Request) -> None:
    """A dependency of routes that do work: counts the request by its key, else by its address."""
    key = key_of(request)
    address = request.client.host if request.client else "unknown"
    await service_of(request).rates.count(address if key is None else f"key {key.name}")
