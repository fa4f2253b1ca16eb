"""Folders in, projects and their runs out: what lies where the page was started.

Runs are named in addresses by a hash of their path. Only what is found under the named folders can
be asked for.
"""

import hashlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tunewise.desk.pages import NotThereError
from tunewise.errors import UserError
from tunewise.runs.folder import RUNS, Listed, finished_run, list_runs

PROJECT_FILE = "tunewise.toml"
MAX_DEPTH = 4
"""Folders below a named one that are looked into."""
MAX_FOLDERS = 5_000
"""Folders that are looked into at all."""
FRESH_SECONDS = 2.0
"""That a list is believed."""
_SKIPPED = frozenset({RUNS, "node_modules", "__pycache__", "site-packages", "venv", "models"})


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundProject:
    """A project with its runs, the newest first."""

    id: str
    folder: Path
    name: str
    """Of its folder."""
    has_settings: bool
    """Whether there is a tunewise.toml: a run outlives it."""
    is_example: bool
    """Whether it comes with Tunewise."""
    runs: tuple[Listed, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundRun:
    """A run, and where it belongs."""

    id: str
    listed: Listed
    project: FoundProject


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """All there is."""

    projects: tuple[FoundProject, ...]
    cut_short: bool
    """Whether there were more folders than are looked into."""


def id_of(path: Path) -> str:
    """What a folder is called in an address."""
    return hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:16]


class Places:
    """What lies under some folders. Safe to ask from several threads.

    Args:
        folders: projects, or folders that hold some.
        examples: projects that are shown in any case.
        clock: seconds.

    Raises:
        UserError: one of them is no folder.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        *,
        examples: Sequence[Path] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        for folder in folders:
            if not folder.is_dir():
                raise UserError(f"{folder}: is no folder. Name a project, or a folder with some.")
        self.folders = tuple(dict.fromkeys(folder.resolve() for folder in folders))
        self._examples = tuple(one.resolve() for one in examples)
        self._clock, self._lock = clock, threading.Lock()
        self._found: Found | None = None
        self._read_at = 0.0

    def found(self, *, fresh: bool = False) -> Found:
        """Everything; `fresh`: read now."""
        with self._lock:
            now = self._clock()
            if fresh or self._found is None or now - self._read_at > FRESH_SECONDS:
                self._found, self._read_at = _look(self.folders, self._examples), now
            return self._found

    def run(self, name: str) -> FoundRun:
        """A run by what it is called in an address.

        Raises:
            NotThereError: there is none.
        """
        for fresh in (False, True):
            for project in self.found(fresh=fresh).projects:
                for listed in project.runs:
                    if id_of(listed.path) == name:
                        return FoundRun(id=name, listed=listed, project=project)
        raise NotThereError("There is no such run here. It may have been deleted or moved.")

    def project(self, name: str) -> FoundProject:
        """A project by what it is called in an address.

        Raises:
            NotThereError: there is none.
        """
        for fresh in (False, True):
            for project in self.found(fresh=fresh).projects:
                if project.id == name:
                    return project
        raise NotThereError("There is no such project here. It may have been moved.")


def _look(folders: Sequence[Path], examples: Sequence[Path]) -> Found:
    found: dict[Path, None] = {}
    left = MAX_FOLDERS
    for folder in folders:
        waiting = [(folder, 0)]
        while waiting and left:
            here, depth = waiting.pop(0)
            left -= 1
            names = _entries(here)
            if PROJECT_FILE in names or RUNS in names:
                found[here] = None
            if depth < MAX_DEPTH:
                waiting += [(here / name, depth + 1) for name in sorted(names) if names[name]]
    found |= dict.fromkeys(examples)
    projects = [_project(folder, is_example=folder in examples) for folder in found]
    known = [one for one in projects if one.has_settings or one.runs]
    return Found(projects=tuple(known), cut_short=not left)


def _entries(folder: Path) -> dict[str, bool]:
    """Name -> whether it is a folder to look into."""
    try:
        with os.scandir(folder) as entries:
            return {
                one.name: one.is_dir(follow_symlinks=False)
                and not one.name.startswith(".")
                and one.name not in _SKIPPED
                for one in entries
            }
    except OSError:
        return {}


def _project(folder: Path, *, is_example: bool) -> FoundProject:
    runs = list_runs(folder) if (folder / RUNS).is_dir() else []
    brought = finished_run(folder) if is_example else None
    return FoundProject(
        id=id_of(folder),
        folder=folder,
        name=folder.name,
        is_example=is_example,
        has_settings=(folder / PROJECT_FILE).is_file(),
        runs=(*runs, *([brought] if brought else ())),
    )
