"""Turns files into examples, preferences or texts, a row at a time, whatever their format.

Either every row becomes one, or a UserError lists what is wrong, by file and line. It knows
nothing of formats and shapes of rows, nor of tasks, splits or models.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from tunewise.data.formats.detect import numbered_rows
from tunewise.data.layouts.detect import Kind
from tunewise.data.layouts.row_parser import Record, Shaper
from tunewise.data.read_log import FileError, Reading, RowError
from tunewise.data.sources import Part, find_parts
from tunewise.errors import UserError
from tunewise.project.settings import Data
from tunewise.types import Example, Preference, Text

R = TypeVar("R", Example, Preference, Text)


class Placed(NamedTuple):
    """One example, and where it stands."""

    example: Example
    file: Path
    line: int
    """Line on which the row begins, from 1; in a file without lines, the row's number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadResult:
    """All examples of one part of the data."""

    examples: tuple[Example, ...]
    notes: tuple[str, ...] = ()
    """What was repaired or assumed, one line each."""
    places: Mapping[str, str] = field(default_factory=dict[str, str])
    """Example id -> `file:line` where the row begins."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadRows(Generic[R]):
    """All rows of some files."""

    rows: tuple[R, ...]
    notes: tuple[str, ...]
    """What was repaired or assumed, one line each."""
    places: Mapping[str, str]
    """Id -> `file:line` where the row begins."""


class Names:
    """Keeps ids apart. It remembers eight bytes of each, and which ones came more than once."""

    def __init__(self) -> None:
        self._taken: set[bytes] = set()
        self._repeated: dict[str, int] = {}

    def unique(self, name: str) -> str:
        """The name, with a suffix when it is taken already."""
        tried = name
        while (short := blake2b(tried.encode(), digest_size=8).digest()) in self._taken:
            number = self._repeated[name] = self._repeated.get(name, 1) + 1
            tried = f"{name}-{number}"
        self._taken.add(short)
        return tried


def stream_examples(
    paths: Sequence[Path], data: Data, reading: Reading, names: Names | None = None
) -> Iterator[Placed]:
    """The examples in some files, one at a time: memory does not grow with them, but for their ids.

    Args:
        paths: files to read one after another.
        data: the project's `[data]`: which columns are input, answer and group.
        reading: gets faults and notes; ask it when the rows are through. A row with a fault is
            not yielded.
        names: ids taken before; None: none.
    """
    for name, record, file, line in stream_records(
        paths, data, "examples", reading, names or Names()
    ):
        yield Placed(_example(name, record), file, line)


def _example(name: str, record: Record) -> Example:
    shaped = record.shaped
    return Example(
        id=name,
        messages=shaped.messages,
        target=shaped.answers[0],
        group=record.group,
        metadata=record.metadata,
        tools=shaped.tools,
    )


def _preference(name: str, record: Record) -> Preference:
    shaped = record.shaped
    return Preference(
        id=name,
        messages=shaped.messages,
        chosen=shaped.answers[0],
        rejected=shaped.answers[1],
        group=record.group,
        metadata=record.metadata,
        tools=shaped.tools,
    )


def _text(name: str, record: Record) -> Text:
    text = record.shaped.answers[0]
    return Text(id=name, text=text, group=record.group, metadata=record.metadata)


class NamedRecord(NamedTuple):
    """One row of any kind, and where it stands."""

    name: str
    """Its id, unique."""
    record: Record
    file: Path
    line: int


def stream_records(
    paths: Sequence[Path], data: Data, kind: Kind, reading: Reading, names: Names
) -> Iterator[NamedRecord]:
    """The rows of some files of one kind, one at a time. See `stream_examples`."""
    for path in paths:
        reading.begin(path)
        shaper = Shaper(data, kind, reading)
        empty, before = True, reading.fault_count
        try:
            rows = numbered_rows(
                path, reading, plain_text=kind == "texts", as_written=data.names_columns
            )
            for line, row in rows:
                empty = False
                reading.line = line
                try:
                    record = shaper.record(row, line)
                except RowError as fault:
                    reading.fault(line, fault.kind, fault.what)
                    continue
                name = names.unique(record.id)
                if name != record.id:
                    reading.count("has an id or a content that occurred before; kept as a new row.")
                yield NamedRecord(name, record, path, line)
            if empty and reading.fault_count == before:
                raise FileError("holds no rows. Put one example on each line.", line=1)
        except FileError as error:
            reading.refuse(error)
        shaper.finish()


def read_data(data: Data) -> dict[str, ReadResult]:
    """Reads everything that `[data]` names.

    Returns:
        part -> its rows; the parts are `examples`, or `train`, `dev` (if given) and `test`.
        Ids are unique over all parts.

    Raises:
        UserError: with the faults of all files together.
    """
    parts: dict[str, ReadResult] = {}
    faults: list[str] = []
    names = Names()
    for name, part in find_parts(data).items():
        reading = Reading()
        parts[name] = _examples(part, data, reading, names)
        faults += reading.lines()
    if faults:
        raise UserError.together(faults)
    return parts


def read_part(part: Part, data: Data) -> ReadResult:
    """Reads the files of one part by itself; ids are unique within it.

    Raises:
        UserError: with the faults of all files together.
    """
    reading = Reading()
    result = _examples(part, data, reading, Names())
    reading.raise_any()
    return result


def _examples(part: Part, data: Data, reading: Reading, names: Names) -> ReadResult:
    examples: list[Example] = []
    places: dict[str, str] = {}
    for example, file, line in stream_examples(part.files, data, reading, names):
        examples.append(example)
        places[example.id] = f"{file}:{line}"
    notes = (*part.notes, *reading.notes())
    return ReadResult(examples=tuple(examples), notes=notes, places=places)


def read_examples(path: Path, data: Data | None = None) -> ReadResult:
    """Reads the examples in one file.

    Args:
        path: JSONL, JSON, CSV, TSV or Parquet, or gzip of these; the ending does not matter.
        data: the project's `[data]`: which columns are input, answer and group; None: recognised.

    Raises:
        UserError: when any row cannot be read; the first 20 faults of each kind, then a count.
    """
    return read_part(Part(files=(path,)), data or Data())


def read_preferences(paths: Sequence[Path], data: Data | None = None) -> ReadRows[Preference]:
    """Reads the preference pairs in some files, each with a better and a worse answer.

    Raises:
        UserError: when any row cannot be read, or the rows are of another kind.
    """
    return _whole(paths, data or Data(), "preferences", _preference)


def read_texts(paths: Sequence[Path], data: Data | None = None) -> ReadRows[Text]:
    """Reads plain texts: rows with one text, or whole files of prose.

    Raises:
        UserError: when any row cannot be read, or the rows are of another kind.
    """
    return _whole(paths, data or Data(), "texts", _text)


def _whole(
    paths: Sequence[Path], data: Data, kind: Kind, make: Callable[[str, Record], R]
) -> ReadRows[R]:
    reading = Reading()
    rows: list[R] = []
    places: dict[str, str] = {}
    for name, record, file, line in stream_records(paths, data, kind, reading, Names()):
        rows.append(make(name, record))
        places[name] = f"{file}:{line}"
    reading.raise_any()
    return ReadRows(rows=tuple(rows), notes=reading.notes(), places=places)
