"""`tunewise serve`, from its arguments to a running server: the one place that wires the parts."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog
from fastapi import APIRouter

from tunewise.errors import UserError
from tunewise.pipelines.publish import publish, publish_newest
from tunewise.progress import Progress
from tunewise.project.settings import STARTER_MODEL
from tunewise.retrieval.embed import load_embedder
from tunewise.runs.model_file import MODEL_FILE
from tunewise.runs.model_names import EMBEDDING
from tunewise.runs.registry import Registry
from tunewise.serving.backend.address import BackEnd, back_end_at
from tunewise.serving.backend.engine import MAX_ADAPTERS, BackEndEngine
from tunewise.serving.catalogue import RegistryCatalogue
from tunewise.serving.engine.capabilities import EngineName, require_engine
from tunewise.serving.engine.process import MAX_LOADED, ProcessEngine
from tunewise.serving.http.access import Access, access_for
from tunewise.serving.http.app import create_app
from tunewise.serving.http.contents import ContentLog
from tunewise.serving.http.limits import Limits
from tunewise.serving.http.logs import write_json_logs
from tunewise.serving.http.server import Server, address_of, listen
from tunewise.serving.http.service import EmbeddingModel
from tunewise.serving.http.sessions import UPLOAD
from tunewise.serving.jobs.launch import start_worker
from tunewise.serving.jobs.queue import JobQueue
from tunewise.serving.jobs.service import Jobs, open_jobs
from tunewise.serving.keys import KeyFile, keys_file
from tunewise.serving.protocol import (
    Catalogue,
    ChatEngine,
    EngineLostError,
    RefusedError,
    Weights,
)
from tunewise.serving.served import BaseServed, VersionServed
from tunewise.serving.swaps import follow_aliases

PROJECT_FILE = "tunewise.toml"
UPLOADS = "/v1/files"
READ_FIRST = 16
"""Models that are read before the server says that it is ready."""
MOST_NAMED = 8
"""Models named when the server starts."""
WORKER_PAUSE = 5.0
"""Seconds after which a worker that ended is started again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Serving:
    """What was asked for."""

    sources: tuple[str, ...] = ()
    """Projects, folders of models, names of registered models, base models; empty: the starter
    model and all that is registered."""
    host: str = "127.0.0.1"
    port: int = 8642
    require_key: bool = False
    names: tuple[str, ...] = ()
    """Further names by which the server is called."""
    limits: Limits
    log_contents: Path | None = None
    engine: EngineName = "openvino"
    """What runs the models."""
    database: str | None = None
    """URL of the tables of jobs; None: SQLite in the data home."""
    worker: bool = True
    """Whether a worker for fine-tuning jobs is started beside it."""
    backend: str | None = None
    """URL of a vllm server that runs the language models; None: this machine does."""
    backend_adapters: str | None = None
    """The registry's folder of models, as that server sees it; None: under the same path."""
    load_first: bool = True
    """Whether models are loaded before they are asked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shared:
    """What pages have in common with the API beside them."""

    registry: Registry
    catalogue: Catalogue
    engine: ChatEngine
    access: Access
    jobs: JobQueue
    keys: KeyFile


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """What is served."""

    bases: tuple[str, ...]
    """Base models, as `open_model` takes them."""
    names: tuple[str, ...] | None
    """Registered models; None: all."""


def serve_until_stopped(
    asked: Serving,
    *,
    pages: Callable[[Shared], APIRouter],
    where: str,
    say: Callable[[str], None],
    note: Callable[[str], None],
    progress: Progress,
) -> int:
    """Serves until it is told to stop, and gives the exit code.

    What can be wrong with the arguments is found before anything slow begins.

    Args:
        asked: the arguments.
        pages: makes the routes for browsers.
        where: what is said once it accepts, with `{url}` for its address and `{models}` for what
            can be asked.
        say: told where the server is, once it accepts.
        note: told what a person should know beside.
        progress: of what is made ready before.

    Raises:
        UserError: an argument is wrong, the port is in use, or the models cannot be opened.
    """
    require_engine(asked.engine)
    keys = KeyFile(keys_file())
    access = access_for(asked.host, keys=keys, require_key=asked.require_key, names=asked.names)
    with ExitStack() as stack:
        listening = stack.enter_context(listen(asked.host, asked.port))
        contents = None if asked.log_contents is None else ContentLog(asked.log_contents)
        jobs = stack.enter_context(closing(open_jobs(database=asked.database)))
        registry = Registry(note=note)
        back_end = _back_end(asked, registry)
        chosen = choose(
            asked.sources, registry, progress, bases=() if back_end else (STARTER_MODEL,)
        )
        catalogue = RegistryCatalogue(
            registry,
            bases=chosen.bases,
            names=chosen.names,
            held=True,
            needed=jobs.needing,
            note=note,
        )
        most = MAX_LOADED if back_end is None else MAX_ADAPTERS
        models = first_models(chosen, catalogue) if asked.load_first else ()
        first = first_weights(chosen, models, most=most) if asked.load_first else ()
        engine: ChatEngine
        if back_end is None:
            engine = ProcessEngine(first, engine=asked.engine)
        else:
            engine = BackEndEngine(back_end, first)
        shared = Shared(
            registry=registry,
            catalogue=catalogue,
            engine=engine,
            access=access,
            jobs=jobs.queue,
            keys=keys,
        )
        app = create_app(
            catalogue=catalogue,
            engine=engine,
            access=access,
            limits=asked.limits,
            embedding=EmbeddingModel(id=EMBEDDING, load=load_embedder),
            contents=contents,
            routers=[*jobs.routers(partial(tunable, catalogue)), pages(shared)],
            upload_paths=[UPLOADS, UPLOAD],
            before=partial(load_models, models[:READ_FIRST]),
            beside=[
                partial(follow_aliases, catalogue, engine),
                *([partial(keep_worker, jobs)] if asked.worker else []),
            ],
        )
        write_json_logs()
        told = where.format(url=address_of(listening), models=_named(catalogue))
        try:
            return Server(app, listening).run(on_start=lambda: say(told))
        except (RefusedError, EngineLostError) as error:
            raise UserError(f"The models cannot be served: {error}") from error
        finally:
            catalogue.close()


def _back_end(asked: Serving, registry: Registry) -> BackEnd | None:
    if asked.backend is not None:
        return back_end_at(
            asked.backend, adapters=registry.models, adapters_there=asked.backend_adapters
        )
    if asked.backend_adapters is not None:
        raise UserError(
            "--backend-adapters: says where a back end finds adapters, and there is none. Name it "
            "with --backend, or leave this out."
        )
    return None


def tunable(catalogue: RegistryCatalogue) -> Mapping[str, str]:
    """The base models that jobs may train: name -> what it opens as."""
    bases = (model.id for model in catalogue.models() if model.kind == "base")
    found = ((name, catalogue.find(name)) for name in bases)
    return {name: one.weights.base for name, one in found if one is not None and one.weights}


async def keep_worker(jobs: Jobs, *, every: float = 1.0, pause: float = WORKER_PAUSE) -> None:
    """Has a worker run beside the server until that ends; one that ended is started again.

    Args:
        jobs: what it works on.
        every: seconds between looks at it.
        pause: seconds before the next one is started.
    """
    worker = start_worker(home=jobs.home, database=jobs.url)
    try:
        while True:
            await asyncio.sleep(every)
            if worker.code is not None:
                structlog.get_logger().warning("worker_ended", code=worker.code)
                await asyncio.sleep(pause)
                worker = start_worker(home=jobs.home, database=jobs.url)
    finally:
        if worker.code is None:
            worker.stop()


def choose(
    sources: Sequence[str],
    registry: Registry,
    progress: Progress,
    *,
    bases: Sequence[str] = (STARTER_MODEL,),
) -> Chosen:
    """What the words of the command mean: a project, the folder of a model, a registered model, or
    else a base model.

    A project is served as what the newest finished run of it recommends, which is registered; so is
    the model of a folder, such as an exported prompt.

    Args:
        sources: the words.
        registry: of the models with a name.
        progress: of what is registered.
        bases: the base models that are meant without a word.

    Raises:
        UserError: a project has no run, or the registry cannot be read.
    """
    if not sources:
        return Chosen(bases=tuple(bases), names=None)
    named: list[str] = []
    names: list[str] = []
    for source in sources:
        path = Path(source)
        if path.name == PROJECT_FILE or (path / PROJECT_FILE).is_file():
            names.append(publish_newest(path, registry=registry, progress=progress).name)
        elif (path / MODEL_FILE).is_file():
            names.append(publish(path, registry=registry, progress=progress).name)
        elif (version := registry.content().resolve(source)) is not None:
            names.append(version.name)
        elif "@" in source and not path.exists():
            raise _unknown(source, registry)
        elif path.is_dir() and not (path / "config.json").is_file():
            raise UserError(
                f"{source}: holds neither a {PROJECT_FILE} nor a model's config.json. `tunewise "
                f"init {source}` begins a project, and `tunewise decide {source}` finds what to "
                "serve."
            )
        else:
            named.append(source)
    return Chosen(bases=tuple(named), names=tuple(names))


def _unknown(source: str, registry: Registry) -> UserError:
    known = [one.id for one in registry.content().versions]
    same = [one for one in known if one.startswith(f"{source.partition('@')[0]}@")] or known
    there = f"It holds {', '.join(same)}." if same else "It is empty; see `tunewise models add`."
    return UserError(f"{source}: the registry has no such version or alias. {there}")


def _named(catalogue: RegistryCatalogue) -> str:
    """The names that can be asked, for a reader."""
    names = [model.id for model in catalogue.models() if model.kind != "embedding"]
    shown = ", ".join(names[:MOST_NAMED])
    left = len(names) - MOST_NAMED
    return f"{shown} and {left} more (GET /v1/models)" if left > 0 else shown


def first_models(
    chosen: Chosen, catalogue: RegistryCatalogue
) -> Sequence[BaseServed | VersionServed]:
    """What aliases and the names that were given mean: loaded before the server says that it is
    ready. The rest is loaded when it is first asked."""
    aliases = [model.id for model in catalogue.models() if model.kind == "alias"]
    found = [catalogue.find(name) for name in (*aliases, *(chosen.names or ()))]
    return [one for one in found if one is not None]


def first_weights(
    chosen: Chosen, models: Sequence[BaseServed | VersionServed], *, most: int = MAX_LOADED
) -> Sequence[Weights]:
    """What the engine loads first: base models, then what the first models run on."""
    wanted = [Weights(base=base) for base in chosen.bases]
    wanted += [one.weights for one in models if one.weights is not None]
    return list(dict.fromkeys(wanted))[:most]


def load_models(models: Sequence[BaseServed | VersionServed]) -> None:
    """Reads what they answer with. The others are served where one cannot be read."""
    for model in models:
        try:
            model.load()
        except UserError as error:
            structlog.get_logger().error("not_loaded", model=model.resolved, why=str(error))
