"""`/health`, `/ready` and `/metrics`: for whoever watches over the process."""

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST

from tunewise.serving.http.access import needs
from tunewise.serving.http.errors import ApiError
from tunewise.serving.http.replies import Status
from tunewise.serving.http.service import service_of

router = APIRouter(dependencies=[needs()])


@router.get("/health")
async def health() -> Status:
    """Says that the process answers, whatever state the engine is in."""
    return Status(status="ok")


@router.get("/ready")
async def ready(request: Request) -> Status:
    """Says whether requests are taken: 503 while models are loaded, or the server is stopped."""
    service = service_of(request)
    service.slots.require_open()
    if not service.engine.state().ready:
        raise ApiError(503, "The engine is being started again.", code="engine_lost")
    return Status(status="ready")


@router.get("/metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    """Figures for Prometheus; any key will do."""
    return Response(service_of(request).metrics.text(), media_type=CONTENT_TYPE_LATEST)
