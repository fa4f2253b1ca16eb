"""Commands that end by themselves and print JSON, such as `check` and `export`, begun by a page.

Each has a name; the last one of a name is kept with what it printed, also for a server that comes
later.
"""

import os
import re
import signal
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import TypeAdapter
from pydantic_core import from_json

from tunewise.desk.spawn import FOLDER, Children, Spawned, end_of
from tunewise.errors import UserError
from tunewise.storage import home_folder, write_json

_NAME = re.compile(r"[a-z]+-[0-9a-f]{16}")
_NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """One that was begun."""

    words: tuple[str, ...]
    pid: int
    created: float
    facts: Mapping[str, str]
    """What whoever began it wants to know again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How a command stands."""

    command: Command
    running: bool
    printed: dict[str, Any] | None
    """The JSON object that it printed; None: none yet, or it failed before."""
    said: str
    """The end of what it told people."""


_COMMAND = TypeAdapter(Command)


class Commands:
    """The commands of pages, on this machine.

    Args:
        folder: where they are written down; None: in the data home.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or home_folder() / FOLDER
        self._children, self._lock = Children(), threading.Lock()

    def begin(
        self,
        name: str,
        words: Sequence[str],
        *,
        folder: Path,
        facts: Mapping[str, str] = _NOTHING,
    ) -> None:
        """Begins a command in the place of an earlier one of that name.

        Args:
            name: `check-` and the id of a project, for one.
            words: after `tunewise`.
            folder: in which it runs.
            facts: kept beside it.

        Raises:
            UserError: one of that name runs, or nothing can be written.
        """
        with self._lock:
            known = self.outcome(name)
            if known is not None and known.running:
                raise UserError("That is being done already. Wait for it to end.")
            try:
                log, out = self._file(name, "log"), self._file(name, "out")
                child = self._children.spawn(words, folder=folder, log=log, out=out)
                begun = Command(
                    words=tuple(words), pid=child.pid, created=child.created, facts=dict(facts)
                )
                write_json(self._file(name, "json"), asdict(begun))
            except OSError as error:
                raise UserError(
                    f"{self._folder}: cannot be written to: {error.strerror}."
                ) from error

    def outcome(self, name: str) -> Outcome | None:
        """How the last command of a name stands; None: there was none."""
        try:
            known = _COMMAND.validate_json(self._file(name, "json").read_bytes())
        except (OSError, ValueError):
            return None
        running = self._children.alive(Spawned(pid=known.pid, created=known.created))
        return Outcome(
            command=known,
            running=running,
            printed=None if running else self._printed(name),
            said=end_of(self._file(name, "log")),
        )

    def stop(self, name: str) -> None:
        """Ends a command as Ctrl-C does; one that is over is left alone."""
        known = self.outcome(name)
        if known is not None and known.running:
            with suppress(ProcessLookupError):
                os.kill(known.command.pid, signal.SIGTERM)

    def forget(self, name: str) -> None:
        """Drops what is known of a command that is over."""
        self._file(name, "json").unlink(missing_ok=True)

    def _printed(self, name: str) -> dict[str, Any] | None:
        try:
            found = cast("object", from_json(self._file(name, "out").read_bytes()))
        except (OSError, ValueError):
            return None
        return cast("dict[str, Any]", found) if isinstance(found, dict) else None

    def _file(self, name: str, kind: str) -> Path:
        if not _NAME.fullmatch(name):
            raise ValueError(name)
        return self._folder / f"{name}.{kind}"
