"""Turns a stream of CSV or TSV into rows."""

import csv
import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from tunewise.data.formats.table_head import SEPARATOR_LINE, Start, filled, is_blank
from tunewise.data.formats.text_stream import MAX_ROW, byte_lines, decoded
from tunewise.data.read_log import Numbered, Reading

_NOT_READ = "Rows after it were not read."
_INDEX = "index"
"""What a first column without a name is called, as pandas writes its index."""
_TOTAL = re.compile(
    r"(grand |sub ?)?totals?|sum|gesamt(summe)?|summe|insgesamt|total général|suma|totale", re.I
)
_NUMBER = re.compile(r"[^\w\s]?[-+]?[\d.,' ]*\d[\d.,' ]*( ?[%€$£]| [A-Z]{3})?")
_ROWS = re.compile(r"\(?\d+ rows?( affected| selected)?\)?\.?", re.I)
_CELLS_SHOWN = 30


def table_rows(chunks: Iterator[bytes], start: Start, reading: Reading) -> Iterator[Numbered]:
    """The rows below the header; what cannot be read becomes a fault of `reading`.

    Args:
        chunks: the whole text, UTF-8.
        start: where the header is, and what separates columns.
        reading: gets faults, and notes of what was passed over.
    """
    if start.delimiter in ";|":
        name = {";": "semicolons", "|": "vertical bars"}[start.delimiter]
        reading.note(f"columns are separated by {name}; read as such.")
    records = _records(chunks, start, reading)
    first = next(records, None)
    header = None if first is None else _header(first, reading)
    record = next(records, None)
    while header is not None and record is not None:
        after = next(records, None)
        reading.line = record.line
        if said := _no_row(record.cells, header, start.delimiter, is_last=after is None):
            reading.count(said)
        elif isinstance(row := header.row(record.cells, reading), str):
            reading.fault(record.line, "ragged", row + _hint(record.cells, header, after))
        else:
            if record.lines > 1 and any(
                _swallows(cell, start.delimiter, header) for cell in record.cells
            ):
                reading.count("looks like several rows in one pair of quotes. Check its quotes.")
            if after is None and _is_total(filled(record.cells)):
                reading.count("looks like a line of totals. Remove it if it is one.")
            yield Numbered(record.line, row)
        record = after


class _Record(NamedTuple):
    line: int
    lines: int
    cells: list[str]


class _Header(NamedTuple):
    line: int
    cells: list[str]
    names: list[str]
    """Empty for a column without a name."""

    def row(self, cells: list[str], reading: Reading) -> dict[str, str] | str:
        """The record as a row; or what is wrong with it."""
        width = len(self.names)
        if filled(cells[width:]) or filled(self.names[len(cells) :]):
            return f"has {len(cells)} cells, the header has {width}. Check its quotes."
        if len(cells) > width:
            reading.count("ends in empty cells that have no column; passed over.")
        for place, (name, cell) in enumerate(zip(self.names, cells, strict=False), 1):
            if not name and cell.strip():
                shown = cell.strip()[:_CELLS_SHOWN]
                return f'has "{shown}" in column {place}, which has no name. Name it in the header.'
        return {name: cell for name, cell in zip(self.names, cells, strict=False) if name}


def _records(chunks: Iterator[bytes], start: Start, reading: Reading) -> Iterator[_Record]:
    """The records from the header on that say something, and hold nothing but text."""
    lines = _Lines(chunks, reading, start.lines_before)
    table = csv.reader(lines, delimiter=start.delimiter, strict=True)
    line, faulty = lines.number, 0
    try:
        while (cells := _next_record(table)) is not None:
            begin, line = line + 1, lines.number
            blamed, faulty = lines.faulty > faulty, lines.faulty
            if blamed or not cells:
                continue
            if len(cells) > 1 and is_blank(cells):
                reading.line = begin
                reading.count("has nothing but empty cells; passed over.")
                continue
            yield _Record(begin, line - begin + 1, cells)
    except csv.Error as error:
        what = f"a quote is not closed or stands inside a cell ({error}). {_DOUBLE} {_NOT_READ}"
        if "field limit" in str(error):
            what = f"a cell is longer than {MAX_ROW // 10**6} MB. Check its quotes. {_NOT_READ}"
        reading.stop(line + 1, "quotes", what)


_DOUBLE = "Double quotes inside cells."


def _next_record(table: Iterator[list[str]]) -> list[str] | None:
    # The limit is the whole process's: others have theirs back between two rows.
    before = csv.field_size_limit(MAX_ROW)
    try:
        return next(table, None)
    finally:
        csv.field_size_limit(before)


class _Lines:
    """Hands lines with their ends to `csv`, and blames those that are no text."""

    def __init__(self, chunks: Iterator[bytes], reading: Reading, skipped: int) -> None:
        self.number = skipped
        """Lines passed over or handed out."""
        self.faulty = 0
        """Lines blamed."""
        self._reading = reading
        self._lines = byte_lines(chunks)
        for _ in range(skipped):
            next(self._lines, None)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        raw = next(self._lines)
        self.number += 1
        text = decoded(raw, self.number, self._reading)
        if text is not None and "\0" in text:
            self._reading.fault(self.number, "NUL", "holds a NUL character. Remove it.")
            text = None
        if text is None:
            self.faulty += 1
            return raw.decode(errors="replace").replace("\0", "")
        return text


def _header(record: _Record, reading: Reading) -> _Header | None:
    """The names of the columns; None where they cannot be told, which is then a fault."""
    names = [name.strip() for name in record.cells]
    if len(names) > 1 and not names[0] and _INDEX not in names:
        names[0] = _INDEX
        what = f'the first column has no name, as pandas writes its index; read as "{_INDEX}".'
        reading.note(what)
    if "" in names:
        reading.note("columns without a name were passed over; their cells are empty.")
    twice = [name for name, n in Counter(names).items() if n > 1 and name]
    if twice:
        what = f'the header names "{twice[0][:40]}" more than once'
        reading.stop(record.line, "header", f"{what}. Give each column a name of its own.")
        return None
    return _Header(record.line, [cell.strip() for cell in record.cells], names)


def _no_row(cells: list[str], header: _Header, delimiter: str, *, is_last: bool) -> str:
    """Why a record is surely no row of the table; empty where it may be one."""
    if [cell.strip().removeprefix("\ufeff") for cell in cells] == header.cells:
        return "repeats the header; passed over."
    said, wide = filled(cells), len(filled(header.names)) > 1
    if wide and len(said) == 1 and said[0].startswith("#") and len(cells) == 1:
        return "is a remark behind a #; passed over."
    if wide and SEPARATOR_LINE.fullmatch(delimiter.join(cells).removeprefix("\ufeff")):
        return "only says how columns are separated; passed over."
    if wide and is_last and len(said) == 1 and _ROWS.fullmatch(said[0].strip()):
        return "only says how many rows there are; passed over."
    if is_last and _is_total(said) and (len(said) < len(header.names) or said[0].endswith(":")):
        return "is a line of totals below the table; passed over."
    return ""


def _is_total(said: list[str]) -> bool:
    others = said[1:]
    return (
        len(others) > 0
        and _TOTAL.fullmatch(said[0].strip().rstrip(":")) is not None
        and all(_NUMBER.fullmatch(cell.strip()) for cell in others)
    )


def _hint(cells: list[str], header: _Header, after: _Record | None) -> str:
    if len(header.names) == 1:
        return f" If line {header.line} is a title, remove it: the header comes first."
    if len(filled(cells)) == 1 or (after is None and len(filled(cells)) == 2):
        return " If it is a remark or a total below the table, remove it."
    return ""


def _swallows(cell: str, delimiter: str, header: _Header) -> bool:
    return any(line.count(delimiter) == len(header.names) - 1 for line in cell.split("\n")[1:-1])
