"""Collects what is wrong with one data file, and what was repaired or assumed, as it is read.

It knows nothing of formats, rows or examples: only lines and messages.
"""

from collections import Counter
from pathlib import Path

SHOWN = 20
"""Faults of one kind shown with their lines; the rest is counted."""


class RowError(Exception):
    """One row cannot be read. `kind` groups faults for counting; `what` is the message."""

    def __init__(self, kind: str, what: str) -> None:
        super().__init__(what)
        self.kind = kind
        self.what = what


class Reading:
    """Faults and notes of one file, collected as it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.faults: dict[str, list[tuple[int, str]]] = {}
        self.notes: list[str] = []
        self._counted: Counter[str] = Counter()

    def fault(self, line: int, kind: str, what: str) -> None:
        """Notes that a line is wrong; `kind` groups faults for counting."""
        self.faults.setdefault(kind, []).append((line, f"{self.path}:{line}: {what}"))

    def note(self, what: str) -> None:
        """Notes what was repaired or assumed in the whole file."""
        self.notes.append(f"{self.path}: {what}")

    def count(self, what: str) -> None:
        """Counts a note that concerns single rows."""
        self._counted[what] += 1

    def all_notes(self) -> tuple[str, ...]:
        """The notes of the file, then how many rows each counted note concerns."""
        rows = (f"{self.path}: {n} row{'s' * (n > 1)}: {what}" for what, n in self._counted.items())
        return (*self.notes, *rows)

    def lines(self) -> list[str]:
        """The first faults of each kind in the order of the file, then how many more there are."""
        shown = sorted(fault for found in self.faults.values() for fault in found[:SHOWN])
        more = [
            f"{self.path}: {len(found) - SHOWN} more rows: {kind}."
            for kind, found in self.faults.items()
            if len(found) > SHOWN
        ]
        return [what for _, what in shown] + more
