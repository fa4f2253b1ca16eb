"""Looks into files for examples: how their rows are written, or why they are none."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from tunewise.data.formats.detect import numbered_rows
from tunewise.data.formats.text_stream import is_windows_1252
from tunewise.data.layouts.detect import HALF_A_LOG, TURNS, Shape, recognise
from tunewise.data.read_log import FileError, Numbered, Reading, RowError
from tunewise.data.sources import find_parts, part_named
from tunewise.errors import UserError
from tunewise.pipelines.init.columns import (
    ColumnChoice,
    choose_columns,
    look_at,
    unfit_columns,
    unfit_pair,
)
from tunewise.project.settings import Data

LOOKED_AT = 200
"""Rows of a file from which its columns are judged."""
MIN_COUNT = 5
_NAME_THEM = (
    "Add a column with the text and one with its right answer, or name yours with input and output "
    "under [data] of a tunewise.toml."
)
_OTHER_KINDS = {
    "preferences": "holds preference pairs, and a decision needs one answer a row.",
    "texts": "holds plain texts without answers.",
    "ratings": "holds answers rated good or bad, and a decision needs right ones.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class DataTable:
    """A source of examples."""

    path: Path
    """A file, or a folder where `datasets` saved one."""
    shape: str
    """How its rows are read."""
    columns: tuple[str, ...]
    """Names of the columns of its first row."""
    choice: ColumnChoice | None
    """The columns that were guessed; None: the rows say themselves what they are."""
    rows: int
    """Rows looked at."""
    faulty: int
    """Those of them that cannot be read."""
    contents: frozenset[str]
    """Hashes of the inputs of the rows looked at, or of the whole rows."""
    part: str | None = None
    """`train`, `dev` or `test`, where its name says so."""
    split: bool = False
    """Whether it is a folder that brings train and test."""


def look_into(path: Path, folder: Path) -> DataTable | str:
    """A source of examples, or why it is none.

    Args:
        path: a file, or a folder with a saved data set.
        folder: the project's; only names below it tell of a split.
    """
    try:
        parts = find_parts(Data(examples=(path,)))
    except UserError as error:
        return str(error)
    first = next(iter(parts.values())).files[0]
    reading = Reading([first] if is_windows_1252(first) else [])
    reading.begin(first)
    rows: list[Mapping[str, object]] = []
    foreign = 0
    try:
        for _, row in _beginning(first, reading):
            if isinstance(row, dict):
                rows.append(cast("dict[str, object]", row))
            else:
                foreign += 1
    except FileError as error:
        reading.refuse(error)
    if not rows or (reading.fault_count + foreign) > len(rows):
        return _first_fault(reading, first) or "holds no rows with named values."
    if len(rows) < MIN_COUNT:
        return f"holds only {len(rows)} row{'s' * (len(rows) > 1)} with named values."
    found = _shape_of(rows)
    if isinstance(found, str):
        return found
    shape, choice, unreadable = found
    if len(rows) - unreadable < MIN_COUNT:
        return f"holds only {len(rows) - unreadable} rows that can be read."
    return DataTable(
        path=path,
        shape=shape,
        columns=tuple(rows[0]),
        choice=choice,
        rows=len(rows),
        faulty=reading.fault_count + foreign + unreadable,
        contents=frozenset(_content(row, choice) for row in rows),
        part=part_named(path.relative_to(folder)),
        split={"train", "test"} <= parts.keys(),
    )


def without_copies(tables: Sequence[DataTable]) -> tuple[list[DataTable], list[tuple[Path, Path]]]:
    """The tables without those that hold mostly the rows of another; and (copy, other) paths.

    An older export of the same rows is such a copy. Of two, the larger file is kept. Tables of a
    split are left alone: rows that train and test share are for `tunewise check` to tell.
    """
    kept: list[DataTable] = []
    copies: list[tuple[Path, Path]] = []
    by_size = sorted(tables, key=lambda table: -_size(table.path))
    for table in by_size:
        like = [
            other
            for other in kept
            if table.part is None
            and other.part is None
            and len(table.contents & other.contents) > len(table.contents) / 2
        ]
        if like:
            copies.append((table.path, like[0].path))
        else:
            kept.append(table)
    return [table for table in tables if table in kept], copies


def _size(path: Path) -> int:
    return 0 if path.is_dir() else path.stat().st_size


def _content(row: Mapping[str, object], choice: ColumnChoice | None) -> str:
    """The input of a row where it is known, else the whole row."""
    value = row.get(choice.input.name) if choice else row
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _beginning(path: Path, reading: Reading) -> Iterator[Numbered]:
    for number, row in enumerate(numbered_rows(path, reading)):
        if number == LOOKED_AT:
            return
        yield row


def _first_fault(reading: Reading, path: Path) -> str:
    said = "".join(reading.lines()[:1]).removeprefix(f"{path}:")
    return f"line {said}" if said[:1].isdigit() else said.strip()


def _shape_of(rows: Sequence[Mapping[str, object]]) -> tuple[str, ColumnChoice | None, int] | str:
    """How the rows are read, the columns guessed for it, and how many cannot be read so."""
    quiet = Reading()
    try:
        shape = recognise(rows[0], Data(), "examples", quiet)
    except RowError as error:
        if error.kind in (TURNS, HALF_A_LOG):
            return error.what
        shape, unknown = None, error.what
    else:
        unknown = _OTHER_KINDS.get(shape.kind, "")
    if shape is not None and shape.kind == "examples":
        asked, _, answer = shape.name.partition(" -> ")
        unfit = unfit_pair(rows, (asked, answer))
        faults = [what for row in rows if (what := _fault(row, shape))]
        if not unfit and len(faults) < len(rows):
            return shape.name, None, len(faults)
        if not unfit:
            return f"no row can be read as {shape.name}: {faults[0]}"
        unknown, shape = f"cannot be read as {shape.name}: {unfit}. {_NAME_THEM}", None
    if shape is not None and shape.kind != "texts":
        return unknown
    choice = choose_columns(rows)
    if choice is None:
        columns = look_at(rows)
        unfit = [column for column in columns if column.unfit]
        if not unfit or _NAME_THEM in unknown:
            return unknown
        names = ", ".join(f'"{column.name[:30]}"' for column in columns[:6])
        no = f"has the columns {names}, no two fit for input and answer: {unfit_columns(unfit)}"
        return f"{no}. {_NAME_THEM}"
    chosen = recognise(
        rows[0], Data(input=choice.input.name, output=choice.output.name), "examples", quiet
    )
    return chosen.name, choice, sum(_fault(row, chosen) is not None for row in rows)


def _fault(row: Mapping[str, object], shape: Shape) -> str | None:
    try:
        shape.read(row)
    except RowError as error:
        return error.what
    return None
