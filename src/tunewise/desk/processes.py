"""`tunewise decide` as a process of its own, which outlives the page and the server that began it.

What was begun is written down, so that a server that comes later can stop it or go on with it.
"""

import os
import secrets
import signal
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter

from tunewise.desk.places import PROJECT_FILE, id_of
from tunewise.desk.spawn import FOLDER, Children, Spawned, end_of
from tunewise.errors import UserError
from tunewise.runs.folder import QUICK, RUNS, state_of
from tunewise.storage import home_folder, write_json


@dataclass(frozen=True, kw_only=True, slots=True)
class Begun:
    """A run that a page began."""

    run: str
    """Its folder."""
    project: str
    """The folder of its project."""
    words: tuple[str, ...]
    """After `tunewise`, without --resume."""
    pid: int
    created: float
    """When the process began, as the system says: another one may get its number later."""


_BEGUN = TypeAdapter(Begun)


class Processes:
    """The runs that pages began, on this machine.

    Args:
        folder: where they are written down; None: in the data home.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or home_folder() / FOLDER
        self._children = Children()

    def begin(self, project: Path, *, quick: bool = False) -> Path:
        """Begins a run of a project.

        Returns:
            Its folder, which is there once rows and model were read.

        Raises:
            UserError: there is no project, or nothing can be written.
        """
        if not (project / PROJECT_FILE).is_file():
            raise UserError(f"{project}: has no {PROJECT_FILE}. `tunewise init` writes one.")
        parent = project / RUNS / QUICK if quick else project / RUNS
        run = parent / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
        words = ("decide", str(project), "--out", str(run), *(["--quick"] if quick else []))
        self._start(run, project, words, resume=False)
        return run

    def resume(self, run: Path, project: Path) -> None:
        """Goes on with a run that was interrupted, with the settings that it began with.

        Raises:
            UserError: a process works on it, or it is finished.
        """
        if self.pid_of(run) is not None or state_of(run) == "running":
            raise UserError("A process works on this run already.")
        if (run / "verdict.json").is_file():
            raise UserError("This run is finished: there is nothing to go on with.")
        known = self.begun(run)
        if known is not None:
            words = known.words
        else:
            quick = ["--quick"] if run.parent.name == QUICK else []
            words = ("decide", str(run / "project.toml"), "--out", str(run), *quick)
        self._start(run, project, words, resume=run.is_dir())

    def stop(self, run: Path) -> None:
        """Ends the process of a run as Ctrl-C does: what is done is kept.

        Raises:
            UserError: no page began it, or it is over.
        """
        pid = self.pid_of(run)
        if pid is None:
            raise UserError(
                "No page began this run, or it is over. End it where it was begun, with Ctrl-C."
            )
        os.kill(pid, signal.SIGTERM)

    def pid_of(self, run: Path) -> int | None:
        """The process of a run that a page began; None where none is alive."""
        known = self.begun(run)
        if known is None:
            return None
        one = Spawned(pid=known.pid, created=known.created)
        return known.pid if self._children.alive(one) else None

    def begun(self, run: Path) -> Begun | None:
        """What is written down of a run; None where no page began it."""
        return self._read(id_of(run))

    def by_id(self, name: str) -> Begun | None:
        """The same by what the run is called in an address."""
        return self._read(name) if name.isalnum() else None

    def log(self, run: Path) -> str:
        """The end of what the process said; empty where no page began it."""
        return end_of(self._file(id_of(run), "log"))

    def _start(self, run: Path, project: Path, words: Sequence[str], *, resume: bool) -> None:
        name = id_of(run)
        try:
            child = self._children.spawn(
                [*words, *(["--resume"] if resume else [])],
                folder=project,
                log=self._file(name, "log"),
            )
        except OSError as error:
            raise UserError(f"{self._folder}: cannot be written to: {error.strerror}.") from error
        begun = Begun(
            run=str(run),
            project=str(project),
            words=tuple(words),
            pid=child.pid,
            created=child.created,
        )
        write_json(self._file(name, "json"), asdict(begun))

    def _file(self, name: str, kind: str) -> Path:
        return self._folder / f"{name}.{kind}"

    def _read(self, name: str) -> Begun | None:
        try:
            return _BEGUN.validate_json(self._file(name, "json").read_bytes())
        except (OSError, ValueError):
            return None
