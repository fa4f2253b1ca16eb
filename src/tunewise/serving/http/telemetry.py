"""What operators see of each request: one line of log, metrics, and an id. Never its contents.

Metrics are named after OpenTelemetry's conventions for generative AI (gen_ai.server.*) and HTTP
servers, with dots as underscores. Their labels come from a fixed set or from the catalogue, never
from a request: nobody fills the memory with names of models that there are not.
"""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import structlog
from fastapi import Request
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tunewise.serving.http.contents import ContentLog
from tunewise.serving.http.errors import ApiError, failed
from tunewise.serving.protocol import EngineState
from tunewise.types import Usage

MAX_PATH = 200
"""Characters of a path in the log."""
_DURATIONS = (
    0.01,
    0.02,
    0.04,
    0.08,
    0.16,
    0.32,
    0.64,
    1.28,
    2.56,
    5.12,
    10.24,
    20.48,
    40.96,
    81.92,
)
_TOKENS = tuple(4.0**n for n in range(11))
"""Bounds of histograms, as the conventions advise."""


@dataclass(kw_only=True, slots=True)
class Trace:
    """What is known of one request; filled while it is answered."""

    id: str
    began: float
    operation: str | None = None
    """`chat` or `embeddings`; None: neither."""
    model: str | None = None
    """The version that answered."""
    streamed: bool = False
    usage: Usage | None = None
    first_token: float | None = None
    """When it was there."""
    ended_by: str | None = None
    """Why it was not answered to its end: the code of an error within a stream, or `hung_up`."""
    contents: dict[str, Any] = field(default_factory=dict[str, Any])
    """What `ContentLog` writes, where there is one."""


def trace_of(request: Request) -> Trace:
    """The trace of a request."""
    return cast(Trace, request.scope["state"]["trace"])


class Metrics:
    """The figures of one server.

    Args:
        active: how many requests hold a slot now.
        engine: how the engine is doing now.
    """

    def __init__(self, active: Callable[[], int], engine: Callable[[], EngineState]) -> None:
        self._registry = CollectorRegistry()
        self.http = Histogram(
            "http_server_request_duration_seconds",
            "Duration of HTTP requests.",
            ("http_request_method", "http_route", "http_response_status_code"),
            buckets=_DURATIONS,
            registry=self._registry,
        )
        self.duration = self._of_model(
            "gen_ai_server_request_duration_seconds", "Time to the end of an answer.", "error_type"
        )
        self.first_token = self._of_model(
            "gen_ai_server_time_to_first_token_seconds", "Time to the first token of an answer."
        )
        self.per_token = self._of_model(
            "gen_ai_server_time_per_output_token_seconds",
            "Time of each further token of an answer.",
        )
        self.tokens = Histogram(
            "gen_ai_client_token_usage",
            "Tokens of a request.",
            ("gen_ai_operation_name", "gen_ai_response_model", "gen_ai_token_type"),
            buckets=_TOKENS,
            registry=self._registry,
        )
        self.refused = Counter(
            "tunewise_requests_refused",
            "Requests that found no slot, or a server that takes none.",
            ("code",),
            registry=self._registry,
        )
        Gauge(
            "http_server_active_requests", "Requests that hold a slot.", registry=self._registry
        ).set_function(active)
        self._registry.register(_EngineCollector(engine))

    def text(self) -> bytes:
        """All of them, as Prometheus reads it."""
        return generate_latest(self._registry)

    def _of_model(self, name: str, about: str, *labels: str) -> Histogram:
        common = ("gen_ai_operation_name", "gen_ai_response_model")
        return Histogram(
            name, about, (*common, *labels), buckets=_DURATIONS, registry=self._registry
        )

    def observe(self, trace: Trace, *, now: float, error: str) -> None:
        """Counts a request for a model.

        Args:
            trace: of the request, which names operation and model.
            now: by the clock of the trace.
            error: the status or code that it ended with; empty where all went well.
        """
        of = (str(trace.operation), str(trace.model))
        self.duration.labels(*of, error).observe(now - trace.began)
        if trace.first_token is not None:
            self.first_token.labels(*of).observe(trace.first_token - trace.began)
        if trace.usage is None:
            return
        self.tokens.labels(*of, "input").observe(trace.usage.prompt_tokens)
        if trace.operation == "chat":
            self.tokens.labels(*of, "output").observe(trace.usage.completion_tokens)
            if trace.first_token is not None and trace.usage.completion_tokens > 1:
                seconds = (now - trace.first_token) / (trace.usage.completion_tokens - 1)
                self.per_token.labels(*of).observe(seconds)


class _EngineCollector(Collector):
    """The state of the engine at the moment in which it is asked for."""

    def __init__(self, engine: Callable[[], EngineState]) -> None:
        self._engine = engine

    def collect(self) -> list[Metric]:
        """See prometheus_client."""
        state = self._engine()
        told = {
            "ready": ("Whether models are loaded and the memory pool was touched.", state.ready),
            "running": ("Requests that the engine works on.", state.running),
            "waiting": ("Requests that wait in the engine.", state.waiting),
            "restarts": ("How often the engine was started again.", state.restarts),
            "loaded": ("Weights that are loaded.", len(state.loaded)),
        }
        return [
            GaugeMetricFamily(f"tunewise_engine_{name}", about, value=float(value))
            for name, (about, value) in told.items()
        ]


class Observed:
    """Gives each request an id and a trace, and writes both down when it has ended.

    Stands outermost: what nobody else caught becomes an error in OpenAI's shape here.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, contents: ContentLog | None) -> None:
        self._app = app
        self._metrics = metrics
        self._contents = contents
        self._log = structlog.get_logger()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        trace = Trace(id=f"req_{uuid.uuid4().hex}", began=time.perf_counter())
        scope.setdefault("state", {})["trace"] = trace
        status = 0

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["x-request-id"] = trace.id
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=trace.id):
            try:
                await self._app(scope, receive, sent)
            except Exception as error:  # noqa: BLE001 - boundary around one request
                told = failed(error)
                if status == 0:
                    await told.response()(scope, receive, sent)
                trace.ended_by = told.code
            finally:
                self._write_down(scope, trace, status)

    def _write_down(self, scope: Scope, trace: Trace, status: int) -> None:
        now = time.perf_counter()
        route = getattr(scope.get("route"), "path", "none")
        key = scope["state"].get("key")
        self._metrics.http.labels(_method(scope["method"]), route, str(status)).observe(
            now - trace.began
        )
        ended = trace.ended_by or (str(status) if status >= 400 else "")
        if trace.model is not None:
            self._metrics.observe(trace, now=now, error=ended)
        said: dict[str, Any] = {
            "method": scope["method"],
            "path": scope["path"][:MAX_PATH],
            "status": status,
            "seconds": round(now - trace.began, 4),
        }
        if key is not None:
            said["key"] = key.name
        if trace.model is not None:
            said |= {"model": trace.model, "streamed": trace.streamed}
        if trace.usage is not None:
            said["prompt_tokens"] = trace.usage.prompt_tokens
            said["completion_tokens"] = trace.usage.completion_tokens
        if trace.first_token is not None:
            said["seconds_to_first_token"] = round(trace.first_token - trace.began, 4)
        if trace.ended_by is not None:
            said["ended_by"] = trace.ended_by
        self._log.info("request", **said)
        if self._contents is not None and trace.contents:
            name = None if key is None else key.name
            self._contents.write({"request_id": trace.id, "key": name, **trace.contents})


def refused(scope: Scope, metrics: Metrics, error: ApiError) -> None:
    """Counts a request that was turned away before any route was sought."""
    metrics.refused.labels(str(error.code)).inc()
    cast(Trace, scope["state"]["trace"]).ended_by = error.code


def _method(method: str) -> str:
    known = ("GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS")
    return method if method in known else "_OTHER"
