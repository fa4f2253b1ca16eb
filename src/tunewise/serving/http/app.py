"""Puts the app together: routes, and what stands before them."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import cast

from anyio import CapacityLimiter
from fastapi import APIRouter, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts

from tunewise import __version__
from tunewise.serving.http import chat, embeddings, feedback, models, operations
from tunewise.serving.http.access import Access, Guard, is_declared
from tunewise.serving.http.admission import Admission, Slots
from tunewise.serving.http.bodies import Bodies
from tunewise.serving.http.contents import ContentLog
from tunewise.serving.http.errors import install_handlers
from tunewise.serving.http.limits import Limits, Rates
from tunewise.serving.http.replies import ErrorReply
from tunewise.serving.http.service import PREPARING, EmbeddingModel, Service
from tunewise.serving.http.telemetry import Metrics, Observed
from tunewise.serving.protocol import Catalogue, ChatEngine


def create_app(
    *,
    catalogue: Catalogue,
    engine: ChatEngine,
    access: Access,
    limits: Limits | None = None,
    embedding: EmbeddingModel | None = None,
    contents: ContentLog | None = None,
    routers: Sequence[APIRouter] = (),
    upload_paths: Sequence[str] = (),
    before: Callable[[], None] = lambda: None,
    beside: Sequence[Callable[[], Coroutine[None, None, None]]] = (),
) -> FastAPI:
    """The API over a catalogue and an engine, which starts and ends with it.

    Args:
        catalogue: what is served.
        engine: what answers. It is started in the background: until it is warm `/ready` and the
            requests for models say 503.
        access: who is let in.
        limits: bounds of everything; None: the defaults.
        embedding: the embedding model, if one is served.
        contents: where requests and answers are logged; None: nowhere.
        routers: further routes. Each declares what it needs (`access.needs`).
        upload_paths: those of their paths that take files.
        before: reads what models answer with; done in a thread while the engine starts, and
            `/ready` waits for it.
        beside: what runs on the server's loop from when the engine is warm until the server ends.

    Raises:
        UserError: `limits.rate` is no rate.
        ValueError: a route does not declare what it needs.
    """
    limits = limits or Limits()
    slots = Slots(limits)
    metrics = Metrics(lambda: slots.active, engine.state)
    app = FastAPI(
        title="Tunewise",
        version=__version__,
        docs_url=None,  # their pages take scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # to a URL made from the Host header
        lifespan=_lifespan,
        responses={"4XX": {"model": ErrorReply}, "5XX": {"model": ErrorReply}},
    )
    app.state.service = Service(
        catalogue=catalogue,
        engine=engine,
        embedding=embedding,
        limits=limits,
        slots=slots,
        rates=Rates(limits.rate),
        metrics=metrics,
        contents=contents,
        before=before,
        beside=beside,
        threads=CapacityLimiter(PREPARING),
        one_thread=CapacityLimiter(1),
    )
    install_handlers(app)
    own = (chat.router, embeddings.router, feedback.router, models.router, operations.router)
    for router in (*own, *routers):
        app.include_router(router)
    _require_declared(app)
    # The last added stands outermost.
    app.add_middleware(Bodies, limits=limits, upload_paths=upload_paths)
    app.add_middleware(Admission, slots=slots, metrics=metrics)
    app.add_middleware(Guard, access=access)
    app.add_middleware(Observed, metrics=metrics, contents=contents)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncGenerator[None]:
    service = cast(Service, app.state.service)
    starting = asyncio.create_task(_start(service))
    try:
        yield
    finally:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await service.engine.close()
        if service.contents is not None:
            service.contents.close()


async def _start(service: Service) -> None:
    """Starts the engine while the server answers already that it is not ready, then the rest."""
    try:
        await asyncio.gather(service.engine.start(), service.in_thread(service.before))
    except Exception as error:  # noqa: BLE001 - told to whoever runs the server
        service.slots.phase = "failed"
        service.on_failure(error)
    else:
        if service.slots.phase == "warming":
            service.slots.phase = "ready"
        await asyncio.gather(*(work() for work in service.beside))


def _require_declared(app: FastAPI) -> None:
    """Refuses an app with a route of which nobody said what it needs."""
    for route in iter_route_contexts(app.routes):
        if isinstance(route.original_route, APIRoute):
            dependant = cast(Dependant, route.dependant)
            if not any(is_declared(one.call) for one in dependant.dependencies):
                raise ValueError(f"{route.path} does not declare what it needs; see access.needs")
