"""A `tunewise` command as a process of its own, which outlives the page and the server."""

import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil

from tunewise.runs.records import visible

FOLDER = "desk"
"""In the data home: a file for each process that a page began, and what it said."""
MAX_LOG = 20_000
"""Bytes of the end of a log that are shown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spawned:
    """A process that was begun."""

    pid: int
    created: float
    """When it began, as the system says: another one may get its number later."""


class Children:
    """Begins processes and says whether they are alive, those of earlier servers too."""

    def __init__(self) -> None:
        self._known: dict[int, subprocess.Popen[bytes]] = {}

    def spawn(
        self, words: Sequence[str], *, folder: Path, log: Path, out: Path | None = None
    ) -> Spawned:
        """Begins `tunewise` with some words.

        Args:
            words: after `tunewise`.
            folder: in which it runs.
            log: what it says to people.
            out: what it prints; None: into the log as well.

        Raises:
            OSError: a file cannot be written, or there is no such folder.
        """
        log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with ExitStack() as files:
            told = files.enter_context(log.open("wb"))
            printed = told if out is None else files.enter_context(out.open("wb"))
            child = subprocess.Popen(  # noqa: S603 - a list of our own words
                [sys.executable, "-m", "tunewise", *words],
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=told,
                cwd=folder,
                start_new_session=True,
            )
        self._known[child.pid] = child
        return Spawned(pid=child.pid, created=psutil.Process(child.pid).create_time())

    def alive(self, one: Spawned) -> bool:
        """Whether that very process still runs."""
        child = self._known.get(one.pid)
        if child is not None and child.poll() is not None:
            return False
        try:
            process = psutil.Process(one.pid)
            same = abs(process.create_time() - one.created) < 1.0
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False


def end_of(log: Path) -> str:
    """The end of what a process said; empty where there is no such file."""
    try:
        with log.open("rb") as handle:
            handle.seek(max(0, log.stat().st_size - MAX_LOG))
            text = handle.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    return visible("\n".join(line.rstrip() for line in text.splitlines() if line.strip()))
