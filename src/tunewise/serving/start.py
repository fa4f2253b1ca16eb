"""`tunewise serve`, from its arguments to a running server: the one place that wires the parts."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog

from tunewise.errors import UserError
from tunewise.pipelines.publish import publish, publish_newest
from tunewise.progress import Progress
from tunewise.project.settings import STARTER_MODEL
from tunewise.retrieval.embed import load_embedder
from tunewise.runs.model_file import MODEL_FILE
from tunewise.runs.model_names import EMBEDDING
from tunewise.runs.registry import Registry
from tunewise.serving.catalogue import RegistryCatalogue
from tunewise.serving.engine.process import MAX_LOADED, ProcessEngine
from tunewise.serving.http.access import access_for
from tunewise.serving.http.app import create_app
from tunewise.serving.http.contents import ContentLog
from tunewise.serving.http.limits import Limits
from tunewise.serving.http.logs import write_json_logs
from tunewise.serving.http.server import Server, address_of, listen
from tunewise.serving.http.service import EmbeddingModel
from tunewise.serving.jobs.launch import start_worker
from tunewise.serving.jobs.service import Jobs, open_jobs
from tunewise.serving.keys import KeyFile, keys_file
from tunewise.serving.protocol import EngineLostError, RefusedError, Weights
from tunewise.serving.swaps import follow_aliases

PROJECT_FILE = "tunewise.toml"
UPLOADS = "/v1/files"
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
    database: str | None = None
    """URL of the tables of jobs; None: SQLite in the data home."""
    worker: bool = True
    """Whether a worker for fine-tuning jobs is started beside it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """What is served."""

    bases: tuple[str, ...]
    """Base models, as `open_model` takes them."""
    names: tuple[str, ...] | None
    """Registered models; None: all."""


def serve_until_stopped(
    asked: Serving, *, say: Callable[[str], None], note: Callable[[str], None], progress: Progress
) -> int:
    """Serves until it is told to stop, and gives the exit code.

    What can be wrong with the arguments is found before anything slow begins.

    Args:
        asked: the arguments.
        say: told where the server is, once it accepts.
        note: told what a person should know beside.
        progress: of what is made ready before.

    Raises:
        UserError: an argument is wrong, the port is in use, or the models cannot be opened.
    """
    keys = KeyFile(keys_file())
    access = access_for(asked.host, keys=keys, require_key=asked.require_key, names=asked.names)
    with ExitStack() as stack:
        listening = stack.enter_context(listen(asked.host, asked.port))
        contents = None if asked.log_contents is None else ContentLog(asked.log_contents)
        jobs = stack.enter_context(closing(open_jobs(database=asked.database)))
        registry = Registry(note=note)
        chosen = choose(asked.sources, registry, progress)
        catalogue = RegistryCatalogue(
            registry, bases=chosen.bases, names=chosen.names, held=True, note=note
        )
        engine = ProcessEngine(first_weights(chosen, catalogue))
        app = create_app(
            catalogue=catalogue,
            engine=engine,
            access=access,
            limits=asked.limits,
            embedding=EmbeddingModel(id=EMBEDDING, load=load_embedder),
            contents=contents,
            routers=jobs.routers(partial(tunable, catalogue)),
            upload_paths=[UPLOADS],
            beside=[
                partial(follow_aliases, catalogue, engine),
                *([partial(keep_worker, jobs)] if asked.worker else []),
            ],
        )
        write_json_logs()
        where = f"Serving at {address_of(listening)}/v1; /ready says when models are loaded."
        try:
            return Server(app, listening).run(on_start=lambda: say(where))
        except (RefusedError, EngineLostError) as error:
            raise UserError(f"The models cannot be served: {error}") from error
        finally:
            catalogue.close()


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


def choose(sources: Sequence[str], registry: Registry, progress: Progress) -> Chosen:
    """What the words of the command mean: a project, a registered model, else a base model.

    A project is served as what the newest finished run of it recommends, which is registered.

    Raises:
        UserError: a project has no run, or the registry cannot be read.
    """
    if not sources:
        return Chosen(bases=(STARTER_MODEL,), names=None)
    bases: list[str] = []
    names: list[str] = []
    for source in sources:
        path = Path(source)
        if path.name == PROJECT_FILE or (path / PROJECT_FILE).is_file():
            names.append(publish_newest(path, registry=registry, progress=progress).name)
        elif (path / MODEL_FILE).is_file():  # such as an exported prompt: registered, too
            names.append(publish(path, registry=registry, progress=progress).name)
        elif (version := registry.content().resolve(source)) is not None:
            names.append(version.name)
        else:
            bases.append(source)
    return Chosen(bases=tuple(bases), names=tuple(names))


def first_weights(chosen: Chosen, catalogue: RegistryCatalogue) -> Sequence[Weights]:
    """What is loaded before the server says that it is ready: base models, then what aliases and
    the names that were given mean. The rest is loaded when it is first asked."""
    aliases = [model.id for model in catalogue.models() if model.kind == "alias"]
    found = [catalogue.find(name) for name in (*aliases, *(chosen.names or ()))]
    wanted = [Weights(base=base) for base in chosen.bases]
    wanted += [one.weights for one in found if one is not None and one.weights is not None]
    return list(dict.fromkeys(wanted))[:MAX_LOADED]
