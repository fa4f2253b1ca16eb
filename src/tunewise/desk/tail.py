"""Reads what was added to a file of JSON lines since the last look, and writes nothing."""

import os
from pathlib import Path
from typing import Any, cast

from pydantic_core import from_json

MAX_BYTES = 8 * 2**20
"""Read in one look; the rest comes with the next."""


class Tail:
    """Follows one file.

    Args:
        file: may not be there yet.
    """

    def __init__(self, file: Path) -> None:
        self._file, self._at = file, 0

    def new(self) -> list[dict[str, Any]]:
        """The records that were added. A line without its end waits for it; one that is no record
        is left out: whoever follows a run must not end with it."""
        try:
            size = os.stat(self._file).st_size
            if size < self._at:  # cut off after a kill
                self._at = size
            if size == self._at:
                return []
            with self._file.open("rb") as handle:
                handle.seek(self._at)
                text = handle.read(MAX_BYTES)
        except OSError:
            return []
        whole = text[: text.rfind(b"\n") + 1]
        self._at += len(whole)
        return [found for line in whole.split(b"\n") if (found := _record(line)) is not None]


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        found = cast("object", from_json(line)) if line.strip() else None
    except ValueError:
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else None
