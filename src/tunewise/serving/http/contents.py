"""What was asked and answered, for whoever wants the next training set: off unless asked for.

One JSON line a request, in the layout of a log that `tunewise check` and `decide` read: `request`
(what was sent) and `response` (what came back), with the time, the key's name and the model. Files
with more than one answer a request (`n`) stay whole, and are for programs of one's own. What a
person said of an answer is a line with `feedback` and `of`, the answer's id: `tunewise data
from-logs` puts both together.
"""

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import structlog

from tunewise.errors import UserError
from tunewise.serving.keys import now

MAX_BYTES = 256 * 2**20
"""Of both files together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedAnswer:
    """What is known of the request that an answer was given to."""

    key: str | None
    """The name of the key that asked; None where the server needed none."""


class ContentLog:
    """A file that only its owner may read, and that does not grow for ever.

    When it has half of its bytes it becomes `NAME.1`, in place of the one before, and a new one is
    begun. A disk that is full costs the log, never an answer.

    Args:
        path: of the file; it is added to.
        max_bytes: of it and its predecessor together.
        clock: the time of a line.

    Raises:
        UserError: it cannot be written to.
    """

    def __init__(
        self, path: Path, *, max_bytes: int = MAX_BYTES, clock: Callable[[], datetime] = now
    ) -> None:
        self._path = path
        self._max_bytes = max_bytes // 2
        self._clock = clock
        self._told = False
        try:
            self._handle = self._open()
        except OSError as error:
            raise UserError(
                f"--log-contents {path}: cannot be written: {error.strerror}. Name another file."
            ) from error

    def write(self, line: Mapping[str, Any]) -> bool:
        """Adds a line, with the time; whether it is there."""
        told = {"time": self._clock().isoformat(timespec="milliseconds"), **line}
        text = (json.dumps(told, ensure_ascii=False) + "\n").encode("utf-8", errors="replace")
        if len(text) > self._max_bytes:
            self._lost("a line is longer than half of the file may be")
            return False
        try:
            if os.fstat(self._handle).st_size + len(text) > self._max_bytes:
                os.close(self._handle)
                self._path.rename(self._older())
                self._handle = self._open()
            os.write(self._handle, text)
            self._told = False
        except OSError as error:
            self._lost(str(error))
            return False
        return True

    def find(self, answer: str) -> LoggedAnswer | None:
        """A request by the id of its answer (`chatcmpl-...`); None where no line is of it.

        Reads both files, up to 256 MiB: not for an event loop. The newer one comes first, since it
        may become the older one meanwhile.
        """
        sign = f'"{answer}"'.encode()
        for path in (self._path, self._older()):
            with suppress(FileNotFoundError), path.open("rb") as lines:
                for line in lines:
                    if sign in line and (found := _answered(line, answer)) is not None:
                        return found
        return None

    def close(self) -> None:
        """Closes the file."""
        with suppress(OSError):
            os.close(self._handle)

    def _older(self) -> Path:
        return self._path.with_name(f"{self._path.name}.1")

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def _lost(self, why: str) -> None:
        """Says once, until a line is written again, that lines are missing."""
        if not self._told:
            structlog.get_logger().warning("contents_not_logged", why=why)
        self._told = True


def _answered(line: bytes, answer: str) -> LoggedAnswer | None:
    """The request of a line, where it is one with that answer; a line cut off is none."""
    try:
        told = cast("dict[str, Any]", json.loads(line))
        return LoggedAnswer(key=told["key"]) if told["response"]["id"] == answer else None
    except (ValueError, LookupError, TypeError):
        return None
