"""From a checkout to an open desk: verdicts, their winners under a name, the models' server.

All of it is said to `tunewise`, the command, as a person would.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import get_args
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

from pydantic import BaseModel

from eshop.errors import DeskError
from eshop.settings import Function, FunctionName, Settings

TUNEWISE = (sys.executable, "-m", "tunewise")
ALIAS = "production"
SHIPPED = Path(__file__).resolve().parents[1] / "models"
"""A folder for each function whose model comes with the desk."""
READY_S = 300
"""Seconds that the server may take to be ready."""


class Chosen(BaseModel):
    """What answers a function."""

    name: FunctionName
    function: Function
    why: str
    """Where it comes from, for a reader."""


def choose_models(settings: Settings, *, quick: bool, say: Callable[[str], None]) -> list[Chosen]:
    """Gives what won in each function's project a name; decides first where nothing has.

    Args:
        settings: name the projects.
        quick: whether only what is there is used: a run, or else a model that comes with the desk.
        say: told what is being done.

    Raises:
        DeskError: a command failed.
    """
    chosen: list[Chosen] = []
    for name in get_args(FunctionName):
        function = settings.function(name)
        project = function.project and (settings.folder / function.project).resolve()
        if project is None:
            chosen.append(Chosen(name=name, function=function, why="as the settings have it"))
            continue
        run = newest_run(project)
        if run is None and not quick:
            say(f"{name}: {project.name} has no verdict yet; tunewise decide begins")
            _tunewise("decide", str(project), shown=True)
            run = newest_run(project)
        shipped = SHIPPED / name
        if run is not None:
            chosen.append(_named(name, function, run, f"won {run.parent.parent.name}, {run.name}"))
        elif shipped.is_dir():
            chosen.append(_named(name, function, shipped, "comes with the desk"))
        else:
            chosen.append(Chosen(name=name, function=function, why="no verdict yet: as it is"))
    return chosen


def newest_run(project: Path) -> Path | None:
    """The newest finished run of a project that recommends something; no first opinion."""
    listed = json.loads(_tunewise("runs", "list", str(project), "--json"))
    found = [
        Path(one["path"])
        for one in listed
        if one["command"] == "decide" and one["state"] == "finished" and "/" not in one["id"]
    ]
    return next((run for run in found if _recommended(run)), None)


def _recommended(run: Path) -> str | None:
    return json.loads((run / "verdict.json").read_text("utf-8"))["recommended"]


def _named(name: FunctionName, function: Function, source: Path, why: str) -> Chosen:
    """Registers a run's winner or a model's folder; what leaves no model stays as it was set."""
    try:
        version = json.loads(_tunewise("models", "add", str(source), "--name", name, "--json"))
    except DeskError as error:
        return Chosen(name=name, function=function, why=f"as the settings have it: {error}")
    number = version["name"].rpartition("@")[2]
    _tunewise("models", "alias", f"{name}@{ALIAS}", number)
    model = Function(model=f"{name}@{ALIAS}", project=function.project)
    return Chosen(name=name, function=model, why=why)


def with_models(settings: Settings, chosen: Sequence[Chosen]) -> Settings:
    """The settings with what was chosen."""
    functions = settings.functions.model_copy(update={one.name: one.function for one in chosen})
    return settings.model_copy(update={"functions": functions})


@contextmanager
def served(settings: Settings, *, say: Callable[[str], None]) -> Iterator[None]:
    """The models' server, ready, until the block ends; one that runs there already is taken.

    Raises:
        DeskError: it does not start.
    """
    root = settings.server.removesuffix("/v1").rstrip("/")
    if _is_ready(root):
        say(f"A server is at {root} already: it is asked.")
        yield
        return
    address = urlsplit(settings.server)
    command = ("serve", "--host", address.hostname or "127.0.0.1", "--port", str(address.port))
    server = subprocess.Popen([*TUNEWISE, *command])  # noqa: S603 - a command of ours
    try:
        end = time.monotonic() + READY_S
        while not _is_ready(root):
            if server.poll() is not None:
                raise DeskError(f"tunewise serve ended ({server.returncode}): see above.")
            if time.monotonic() > end:
                raise DeskError(f"{root}: not ready after {READY_S} s.")
            time.sleep(0.5)
        yield
    finally:
        server.terminate()
        server.wait()


def table(chosen: Sequence[Chosen]) -> Iterator[str]:
    """Which model answers what, and why: a line each."""
    widest = max(len(one.name) for one in chosen)
    models = [one.function.model or "off" for one in chosen]
    wide = max(map(len, models))
    for one, model in zip(chosen, models, strict=True):
        yield f"{one.name:{widest}}  {model:{wide}}  {one.why}"


def _is_ready(root: str) -> bool:
    try:
        with urlopen(f"{root}/ready", timeout=5) as answer:  # noqa: S310 - the settings' address
            return answer.status == 200
    except (URLError, OSError):
        return False


def _tunewise(*words: str, shown: bool = False) -> str:
    """What a command says.

    Raises:
        DeskError: it failed; with its words.
    """
    pipe = None if shown else subprocess.PIPE
    command = [*TUNEWISE, *words]
    done = subprocess.run(command, check=False, text=True, stdout=pipe, stderr=pipe)  # noqa: S603
    if done.returncode:
        said = (done.stderr or "").strip() or f"tunewise {words[0]} ended with {done.returncode}."
        raise DeskError(said)
    return done.stdout or ""
