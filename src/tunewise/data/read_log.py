"""Collects what is wrong with data files, and what was repaired or assumed, as they are read."""

from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from tunewise.errors import UserError

SHOWN = 20
"""Faults of one kind shown with their lines; the rest is counted."""

MAX_NOTES = 100
"""Kinds of notes on single rows that are kept apart."""


class Numbered(NamedTuple):
    """One row of a file, as it stands there."""

    line: int
    """Line of the file on which the row begins, from 1; in a file without lines, its number."""
    row: object
    """A JSON value, or a dict from column to cell."""


class RowError(Exception):
    """One row cannot be read. `kind` groups faults for counting; `what` is the message."""

    def __init__(self, kind: str, what: str) -> None:
        super().__init__(what)
        self.kind = kind
        self.what = what


class FileError(Exception):
    """A file cannot be read, or not further than `line`. `what` is the message."""

    def __init__(self, what: str, *, line: int = 0) -> None:
        super().__init__(what)
        self.what = what
        self.line = line


def _one_line(what: str) -> str:
    """The message with what it quotes from the file made fit to print: no line ends, no halves."""
    if what.isprintable():
        return what
    return "".join(sign if sign.isprintable() else " " for sign in what)


def _more(rows: int) -> str:
    """How many rows a note holds for beside the one that it names."""
    return f" The same in {rows} more row{'s' * (rows > 1)}." if rows else ""


class _Counted:
    """A note of single rows: where the first of them is, and how many there are."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.rows = 0


class Reading:
    """Faults and notes of one or more files, collected as they are read, one file at a time.

    Args:
        windows_1252: files that are read in this encoding, which old spreadsheets write.
    """

    def __init__(self, windows_1252: Collection[Path] = ()) -> None:
        self.windows_1252 = windows_1252
        self.path = Path()
        """The file being read; `begin` sets it."""
        self.line = 0
        """Where the row begins that is being read."""
        self.cut_short = False
        """Whether a file could not be read to its end, so that rows may not have been met."""
        self._files = 0
        self._shown: dict[str, list[tuple[int, int, str]]] = {}
        self._faults: Counter[str] = Counter()
        self._notes: list[str] = []
        self._counted: dict[tuple[Path, str], _Counted] = {}

    def begin(self, path: Path) -> None:
        """What is said from now on concerns this file."""
        self.path = path
        self.line = 0
        self._files += 1

    @property
    def fault_count(self) -> int:
        """Faults found so far, one for each row that cannot be read."""
        return self._faults.total()

    def fault(self, line: int, kind: str, what: str) -> None:
        """Notes that a line is wrong; `kind` groups faults for counting."""
        self._add(line, kind, f"{self.path}:{line}: {_one_line(what)}")

    def stop(self, line: int, kind: str, what: str) -> None:
        """Notes that rows after a line cannot be read, or that no row can."""
        self.cut_short = True
        self.fault(line, kind, what)

    def refuse(self, error: FileError) -> None:
        """Notes that the whole file is wrong, or all of it from a line on."""
        self.cut_short = True
        where = f":{error.line}" if error.line else ""
        self._add(error.line, "files", f"{self.path}{where}: {_one_line(error.what)}")

    def note(self, what: str) -> None:
        """Notes what was repaired or assumed in the whole file; said twice, it is noted once."""
        if (note := f"{self.path}: {_one_line(what)}") not in self._notes:
            self._notes.append(note)

    def count(self, what: str) -> None:
        """Counts a note that concerns the row being read."""
        if len(self._counted) >= MAX_NOTES and (self.path, what) not in self._counted:
            what = "notes of other kinds are not shown."
        self._counted.setdefault((self.path, what), _Counted(self.line)).rows += 1

    def notes(self) -> tuple[str, ...]:
        """The notes of the files, then those of rows: where the first is, and how many follow."""
        rows = [
            f"{path}:{counted.first}: {_one_line(what)}" + _more(counted.rows - 1)
            for (path, what), counted in self._counted.items()
        ]
        return (*self._notes, *rows)

    def lines(self) -> list[str]:
        """The first faults of each kind in the order of the files, then how many more there are."""
        more = [f"{self.path}: {n} more rows: {kind}." for kind, n in self.not_shown().items()]
        return [what for _, what in self.shown()] + more

    def shown(self) -> list[tuple[str, str]]:
        """The first faults of each kind in the order of the files: kind, message."""
        shown = sorted((*fault, kind) for kind, found in self._shown.items() for fault in found)
        return [(kind, what) for _, _, what, kind in shown]

    def not_shown(self) -> dict[str, int]:
        """Kind -> how many more faults of it there are."""
        return {kind: count - SHOWN for kind, count in self._faults.items() if count > SHOWN}

    def raise_any(self) -> None:
        """Raises all faults as one UserError."""
        if self._faults:
            raise UserError.together(self.lines())

    def _add(self, line: int, kind: str, what: str) -> None:
        self._faults[kind] += 1
        if self._faults[kind] <= SHOWN:
            self._shown.setdefault(kind, []).append((self._files, line, what))
