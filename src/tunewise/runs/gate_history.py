"""Counts the looks at a gate set, in a file that is kept with the project: its history.

It holds hashes of the rows, what each look asked and its yes or no, and nothing of the scores.
"""

import hashlib
import json
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock
from pydantic import TypeAdapter

from tunewise.data.fingerprints import item_hash
from tunewise.errors import UserError
from tunewise.runs.records import dump, read_records
from tunewise.storage import append_lines, cut_half_line
from tunewise.types import Example

GATE_HISTORY = "gate-history.jsonl"
"""Its name in a project's folder."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GateLook:
    """One look, as it is kept."""

    model: str
    passed: bool
    answers: str
    """Hash of the answers that were judged, of those they were held against, and of what was
    asked: the same ones are no further look."""
    error: float
    """The error rate that the look had."""
    metric: str
    baseline: str | None = None
    margin: float | None = None
    floor: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Line:
    """One line: the rows of a gate set, a look at one, or that its numbers were shown."""

    gate: str
    rows: tuple[str, ...] = ()
    look: GateLook | None = None
    opened: bool = False


_LINE = TypeAdapter(_Line)


class GateHistory:
    """The looks at these rows so far: at every gate set that held one of them.

    Args:
        file: need not be there yet.
        rows: of the gate set.

    Raises:
        UserError: the file is damaged, with the line of each fault, or cannot be written.
    """

    def __init__(self, file: Path, rows: Sequence[Example]) -> None:
        self._file = file
        self._rows = tuple(sorted({item_hash(row) for row in rows}))
        self.gate = hashlib.sha256("\n".join(self._rows).encode()).hexdigest()[:16]
        """What names the set."""
        self._lines: list[_Line] = []
        if file.exists():
            with self.held():
                pass  # reads it

    @property
    def looks(self) -> list[GateLook]:
        """Those that count, oldest first."""
        return [line.look for line in self._counting() if line.look is not None]

    @property
    def opened(self) -> bool:
        """Whether numbers of any of the rows were shown."""
        return any(line.opened for line in self._counting())

    def place_of(self, answers: str) -> int | None:
        """Which look, 1 for the first, judged the same answers; None where none did."""
        same = (n for n, look in enumerate(self.looks, 1) if look.answers == answers)
        return next(same, None)

    @contextmanager
    def held(self) -> Generator[None]:
        """Within it no other process adds a look; those added meanwhile are read first.

        Raises:
            UserError: the file cannot be written, or is damaged.
        """
        try:
            with FileLock(self._file.with_name(f".{self._file.name}.lock")):
                cut_half_line(self._file)
                self._lines = self._read()
                yield
        except OSError as error:
            raise UserError(
                f"{self._file}: cannot be written ({error.strerror}), and looks at the gate set "
                "are counted there. Make it writable, or name another file with --history."
            ) from None

    def note(self, look: GateLook) -> None:
        """Adds a look; call it while `held`."""
        self._add(_Line(gate=self.gate, look=look))

    def open(self) -> None:
        """Writes down that numbers of these rows are shown; call it while `held`."""
        self._add(_Line(gate=self.gate, opened=True))

    def _add(self, line: _Line) -> None:
        lines = [line]
        if not any(one.gate == self.gate and one.rows for one in self._lines):
            lines.insert(0, _Line(gate=self.gate, rows=self._rows))
        append_lines(self._file, [_without_empty(one) for one in lines])
        self._lines += lines

    def _counting(self) -> list[_Line]:
        own = set(self._rows)
        gates = {line.gate for line in self._lines if own.intersection(line.rows)}
        return [line for line in self._lines if line.gate in gates]

    def _read(self) -> list[_Line]:
        faults: list[str] = []
        lines = list(read_records(self._file, _LINE, faults, for_people=False))
        if faults:
            remedy = (
                f"{self._file}: is damaged, and looks at the gate set are counted there. Restore "
                "it; after a merge keep the lines of both sides."
            )
            raise UserError.together([*faults, remedy])
        return lines


def answers_hash(asked: object, *answers: Sequence[str | None]) -> str:
    """16 hex digits over what a look judged.

    Args:
        asked: the rows, the metric and the demands, as JSON has them.
        answers: of the model, and of what it is held against; None where one crashed.
    """
    text = json.dumps([asked, *map(list, answers)], ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _without_empty(line: _Line) -> dict[str, object]:
    return {key: value for key, value in dump(_LINE, line).items() if value}
