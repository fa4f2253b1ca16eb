"""Turns each row of a file into what it says; all of them have to be written the same way."""

import difflib
import json
from typing import NamedTuple, cast

from tunewise.data.formats.turn_rows import shortened
from tunewise.data.layouts.chat_rows import check_weight
from tunewise.data.layouts.columns import Shaped, other_columns, row_id, with_document
from tunewise.data.layouts.detect import TURNS, Kind, Shape, recognise
from tunewise.data.read_log import FileError, Reading, RowError
from tunewise.project.settings import Data
from tunewise.text.comparison import comparable
from tunewise.text.moments import moment_of
from tunewise.types import JsonValue

_WANTED = {
    "examples": "Give one input and one answer a row.",
    "preferences": "Give a prompt, a chosen and a rejected answer in each row.",
    "texts": 'Give one text in each row, as in {"text": "..."}.',
}
_FOUND: dict[Kind, str] = {
    "examples": "holds examples (an input and its answer)",
    "preferences": "holds preference pairs, which methods such as DPO learn from",
    "texts": "holds plain texts, which continued pre-training learns from",
    "ratings": "holds answers rated good or bad, which methods such as KTO learn from",
}
_MAX_KNOWN = 1000
"""Sets of columns whose shape is remembered: rows may lack one column or another."""


def _named(row: object) -> str:
    """How to write a row that is no object."""
    values = cast("list[object]", row) if isinstance(row, list) else []
    if len(values) != 2 or not all(isinstance(value, str) for value in values):
        return "Write {...} with named values."
    asked, answer = (json.dumps(shortened(value), ensure_ascii=False) for value in values)
    return f'Write {{"input": {asked}, "output": {answer}}}.'


class Record(NamedTuple):
    """One row, whatever its kind."""

    id: str
    """The row's own, or from its content; may come twice."""
    shaped: Shaped
    group: str | None
    metadata: dict[str, JsonValue]


class Shaper:
    """Makes records of the rows of one file.

    Args:
        data: which columns hold what; what it leaves open is recognised.
        kind: what the rows are wanted for.
        reading: gets notes.
    """

    def __init__(self, data: Data, kind: Kind, reading: Reading) -> None:
        self._data = data
        self._kind: Kind = kind
        self._reading = reading
        self._known: dict[tuple[str, ...], Shape] = {}
        self._shape: Shape | None = None
        self._first_line = 0
        self._rows = self._alone = 0
        self._columns: set[str] = set()
        examples = kind == "examples"
        self._time = data.time if examples else None
        self._moment: tuple[str, int] | None = None
        """Kind of the first row's time, and its line."""
        self._filled = dict.fromkeys(data.segments if examples else (), 0)
        """Column of `data.segments` -> rows that have a value there."""

    def record(self, row: object, line: int) -> Record:
        """What a row says.

        Args:
            row: a JSON value, or a dict from column to cell.
            line: where it begins, for messages about later rows.

        Raises:
            RowError: the row says nothing that can be used, or is written unlike the first.
            FileError: the file holds rows of another kind.
        """
        if not isinstance(row, dict):
            raise RowError("no object", f"the row is no object. {_named(row)}")
        row = cast(dict[str, object], row)
        names = tuple(row)
        shape = self._known.get(names)
        if shape is None:
            shape = self._recognise(row, line)
            if len(self._known) < _MAX_KNOWN:
                self._known[names] = shape
        if self._data.weight:
            check_weight(row, self._data.weight)
        shaped = shape.read(row)
        columns = other_columns(row, shaped.used)
        self._rows += 1
        if self._rows <= 100:
            self._columns.update(columns)
        group = self._group(columns) if self._data.group else None
        if self._time:
            self._check_time(columns.get(self._time), self._time, line)
        for column in self._filled:
            self._filled[column] += columns.get(column) not in (None, "")
        metadata = with_document(columns) if columns else columns
        return Record(row_id(row, shaped), shaped, group, metadata)

    def finish(self) -> None:
        """Says what holds for the whole file: how rows were read, and which have no group."""
        if self._shape:
            self._reading.note(f"rows read as {self._shape.name}.")
        for column, filled in self._filled.items():
            if self._rows and not filled:
                what = f'no row has the column "{column}" of data.segments. {self._near(column)}'
                self._reading.stop(1, "segments", what)
        column = self._data.group
        if column is None or not self._rows:
            return
        if self._alone == self._rows:
            what = f'no row has the group column "{column}". {self._near(column)}'
            self._reading.stop(1, "group", what)
        elif self._alone:
            self._reading.note(f"{self._alone} rows have no {column}; each stands for itself.")

    def _near(self, column: str) -> str:
        """Which columns there are."""
        known = sorted(self._columns)
        near = difflib.get_close_matches(column, known, n=1)
        return f'Did you mean "{near[0]}"?' if near else f"Columns: {', '.join(known)}."

    def _check_time(self, value: JsonValue, column: str, line: int) -> None:
        """Refuses a time that is none, or of another kind than the first."""
        moment = moment_of(value)
        if value is None and self._moment is None:
            what = f'the first row has no column "{column}" (data.time). {self._near(column)}'
            raise FileError(what, line=line)
        if moment is None:
            raise RowError(
                "time",
                f"{json.dumps(shortened(value), ensure_ascii=False)} in the column {column} "
                "(data.time) is no time. Write dates as 2024-03-31 or 2024-03-31T18:00:00, or "
                "numbers throughout.",
            )
        kind, first = self._moment = self._moment or (moment.kind, line)
        if kind != moment.kind:
            raise RowError(
                "time",
                f"the column {column} (data.time) holds a {moment.kind} here and a {kind} in line "
                f"{first}. Write all of them alike.",
            )

    def _recognise(self, row: dict[str, object], line: int) -> Shape:
        try:
            shape = recognise(row, self._data, self._kind, self._reading)
        except RowError as fault:
            if fault.kind == TURNS and self._shape is None:  # so are all the others
                raise FileError(fault.what, line=line) from None
            raise
        if self._shape is None:
            if shape.kind != self._kind:
                raise FileError(f"{_FOUND[shape.kind]}. {_WANTED[self._kind]}", line=line)
            self._shape, self._first_line = shape, line
        elif self._shape.name != shape.name:
            raise RowError(
                "mixed shapes",
                f"is written as {shape.name}, but line {self._first_line} as {self._shape.name}. "
                "Write all rows of a file the same way.",
            )
        return shape

    def _group(self, columns: dict[str, JsonValue]) -> str | None:
        column = str(self._data.group)
        group = columns.get(column)
        if isinstance(group, dict | list):
            raise RowError("group", f"{column} is no single value. Write a text or number.")
        name = "" if group is None else comparable(str(group))
        if not name:
            self._alone += 1
            return None
        return name
