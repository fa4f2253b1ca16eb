"""Turns a stream of CSV or TSV into rows. Knows nothing of which columns a row should have."""

import csv
from collections import Counter
from collections.abc import Iterator

from tunewise.data.bytes import LONGEST_ROW, byte_lines, decoded
from tunewise.data.faults import Numbered, Reading

_NOT_READ = "Rows after it were not read."


def delimiter_of(header: str) -> str | None:
    """What separates the columns of a table with this first line; None: it is no table."""
    counts = {mark: header.count(mark) for mark in "\t,;"}
    best = max(counts, key=lambda mark: counts[mark])
    return best if counts[best] else None


def table_rows(chunks: Iterator[bytes], delimiter: str, reading: Reading) -> Iterator[Numbered]:
    """The rows below the header; what cannot be read becomes a fault of `reading`."""
    if delimiter == ";":
        reading.note("columns are separated by semicolons; read as such.")
    lines = _Lines(chunks, reading)
    table = csv.reader(lines, delimiter=delimiter, strict=True)
    header: list[str] | None = None
    line = faulty = 0
    try:
        while (cells := _next_record(table)) is not None:
            start, line = line + 1, lines.number
            blamed, faulty = lines.faulty > faulty, lines.faulty
            if not cells or blamed:
                continue
            if header is None:
                header = [name.strip() for name in cells]
                if not _sound_header(header, start, reading):
                    return
            elif len(cells) != len(header):
                what = f"has {len(cells)} cells, the header has {len(header)}. Check its quotes."
                reading.fault(start, "ragged", what)
            else:
                if line > start and any(_swallows(cell, delimiter, header) for cell in cells):
                    reading.line = start
                    reading.count(
                        "looks like several rows in one pair of quotes. Check its quotes."
                    )
                yield Numbered(start, dict(zip(header, cells, strict=True)))
    except csv.Error as error:
        what = f"a quote is not closed or stands inside a cell ({error}). {_DOUBLE} {_NOT_READ}"
        if "field limit" in str(error):
            what = f"a cell is longer than {LONGEST_ROW // 10**6} MB. Check its quotes. {_NOT_READ}"
        reading.stop(line + 1, "quotes", what)


_DOUBLE = "Double quotes inside cells."


def _next_record(table: Iterator[list[str]]) -> list[str] | None:
    # The limit is the whole process's: others have theirs back between two rows.
    before = csv.field_size_limit(LONGEST_ROW)
    try:
        return next(table, None)
    finally:
        csv.field_size_limit(before)


class _Lines:
    """Hands lines with their ends to `csv`, and blames those that are no text."""

    def __init__(self, chunks: Iterator[bytes], reading: Reading) -> None:
        self.number = 0
        """Lines handed out."""
        self.faulty = 0
        """Lines blamed."""
        self._reading = reading
        self._lines = byte_lines(chunks)

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


def _sound_header(header: list[str], line: int, reading: Reading) -> bool:
    wrong = [name for name, n in Counter(header).items() if n > 1]
    if wrong:
        what = f'the header names "{wrong[0][:40]}" more than once'
        if not wrong[0]:
            what = "the header has columns without a name"
        reading.stop(line, "header", f"{what}. Give each column a name of its own.")
    return not wrong


def _swallows(cell: str, delimiter: str, header: list[str]) -> bool:
    return any(line.count(delimiter) == len(header) - 1 for line in cell.split("\n")[1:-1])
