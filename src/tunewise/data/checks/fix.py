"""Writes a repaired copy of the data, and a log with one line for each change.

Only sure repairs are made: encodings, line ends and layouts become JSONL in UTF-8; empty rows and
exact repetitions go; a label typo with one certain correction is corrected; train and dev lose rows
whose input is in test. Test itself loses nothing but empty rows. The original is never touched.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TextIO, cast

import numpy as np

from tunewise.data.checks.labels import likely_typos
from tunewise.data.checks.leaks import same_inputs
from tunewise.data.checks.repeats import first_equal
from tunewise.data.checks.survey import Survey
from tunewise.data.faults import FileError, Numbered, Reading
from tunewise.data.near_duplicates import Indices
from tunewise.data.rows import numbered_rows
from tunewise.data.sources import Part
from tunewise.errors import UserError
from tunewise.project import Data, Task

LOG = "changes.log"
_FILE_ENDINGS = (".jsonl", ".ndjson", ".json")
_CHATS = ("messages", "conversations", "conversation")
_TURN_TEXTS = ("content", "value", "text")
_ANSWERS = ("completion", "response", "output", "answer", "label", "target")


@dataclass(frozen=True, kw_only=True, slots=True)
class Fixed:
    """A repaired copy."""

    out: Path
    """Its file, or the folder with one file a part."""
    log: Path
    changes: Mapping[str, int]
    """Rule -> how often it changed something."""


class _Fix(NamedTuple):
    rule: str
    done: str
    """What was done, for the log."""
    old: str = ""
    new: str = ""
    """An answer and its correction; without one, the row goes."""


class PastBlanks(Reading):
    """Reads on past rows that hold nothing.

    Args:
        blanks: file -> lines of such rows.
    """

    def __init__(self, blanks: Mapping[Path, set[int]]) -> None:
        super().__init__()
        self._blanks = blanks

    def fault(self, line: int, kind: str, what: str) -> None:
        """See `Reading.fault`."""
        if line not in self._blanks.get(self.path, ()):
            super().fault(line, kind, what)


def refuse_taken(out: Path, parts: Mapping[str, Part]) -> None:
    """Refuses a place where something lies, or that cannot hold what is to be written.

    Raises:
        UserError: `out` or its log exists, or several parts are to go into one file.
    """
    if _is_file(out) and len(parts) > 1:
        raise UserError(f"--fix {out}: {len(parts)} files are written. Name a folder.")
    for place in (out, _log_of(out)):
        if place.exists() or place.is_symlink():
            raise UserError(f"--fix: {place} exists already. Name another place.")


def blank_rows(parts: Mapping[str, Part]) -> dict[Path, set[int]]:
    """File -> lines of the rows that hold nothing at all."""
    blanks: dict[Path, set[int]] = {}
    for part in parts.values():
        for file in part.files:
            blanks[file] = {line for line, row in _rows(file, Reading()) if is_blank(row)}
    return blanks


def is_blank(row: object) -> bool:
    """Whether a row holds nothing: no columns, or only empty ones."""
    if isinstance(row, dict):
        return all(is_blank(value) for value in cast("dict[str, object]", row).values())
    if isinstance(row, list):
        return not row
    return row is None or (isinstance(row, str) and not row.strip())


def write_fixed(
    survey: Survey,
    parts: Mapping[str, Part],
    blanks: Mapping[Path, set[int]],
    task: Task,
    data: Data,
    out: Path,
) -> Fixed:
    """Writes the copy and its log; either both are there afterwards, or neither.

    Args:
        survey: of all rows that hold something.
        parts: the files behind it.
        blanks: file -> lines of rows that hold nothing.
        task: with the labels that the project declares, or None.
        data: the project's `[data]`.
        out: a folder, or a file ending in .jsonl where there is one part.

    Raises:
        UserError: the copy cannot be written.
    """
    fixes = _planned(survey, task)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
        try:
            changes = _written(parts, blanks, fixes, data, beside)
            if _is_file(out):
                (beside / LOG).rename(_log_of(out))
                (beside / f"{next(iter(parts))}.jsonl").rename(out)
            else:
                beside.chmod(0o755)
                beside.rename(out)
        finally:
            with suppress(FileNotFoundError):
                shutil.rmtree(beside)
    except OSError as error:
        raise UserError(
            f"--fix {out}: cannot be written ({error.strerror}). Name a place with room that you "
            "may write to."
        ) from None
    return Fixed(out=out, log=_log_of(out), changes=changes)


def _is_file(out: Path) -> bool:
    return out.suffix in _FILE_ENDINGS


def _log_of(out: Path) -> Path:
    return out.with_name(f"{out.stem}.{LOG}") if _is_file(out) else out / LOG


def _planned(survey: Survey, task: Task) -> dict[tuple[str, int], _Fix]:
    """(file, line) -> what is done there."""
    planned: dict[int, _Fix] = {}
    if task.kind == "classification":
        meant = likely_typos(survey, task.labels)
        typos = np.array([label in meant for label in survey.labels], dtype=np.bool_)
        for row in _numbers(np.flatnonzero(typos[survey.label]) if len(typos) else _NONE):
            old = survey.labels[int(survey.label[row])]
            done = f'"{old}" corrected to "{meant[old]}"'
            planned[row] = _Fix("label_typo", done, old, meant[old])
    test = set(_numbers(survey.rows_of("test")))
    for pair in same_inputs(survey, ["train", "dev"], ["test"]):
        where = survey.where(pair.other)
        planned[pair.row] = _Fix("leak", f"removed; its input is in test, at {where}")
    columns = survey.columns
    part = survey.part.astype(np.uint64)
    first = first_equal(columns.exact, columns.target, columns.group, part)
    for row in _numbers(np.flatnonzero(first != np.arange(len(survey)))):
        if row not in test and row not in planned:
            where = survey.where(int(first[row]))
            planned[row] = _Fix("duplicate", f"removed; it repeats {where}")
    return {
        (survey.files[int(survey.file[row])], int(survey.line[row])): fix
        for row, fix in planned.items()
    }


_NONE = np.zeros(0, dtype=np.int64)


def _numbers(rows: Indices) -> list[int]:
    return [int(row) for row in rows]


def _written(
    parts: Mapping[str, Part],
    blanks: Mapping[Path, set[int]],
    fixes: Mapping[tuple[str, int], _Fix],
    data: Data,
    folder: Path,
) -> dict[str, int]:
    changes: dict[str, int] = {}
    with (folder / LOG).open("w", encoding="utf-8", errors="surrogatepass") as log:

        def note(place: str, rule: str, done: str) -> None:
            changes[rule] = changes.get(rule, 0) + 1
            log.write(f"{place}: {rule}: {done}\n")

        for name, part in parts.items():
            target = folder / f"{name}.jsonl"
            with target.open("w", encoding="utf-8", errors="surrogatepass", newline="\n") as copy:
                for file in part.files:
                    reading = Reading()
                    for line, row in _rows(file, reading):
                        place = f"{file}:{line}"
                        if line in blanks.get(file, ()):
                            note(place, "empty_row", "removed; it holds nothing")
                            continue
                        fix = fixes.get((str(file), line))
                        if fix is None:
                            _write_row(copy, row)
                        elif not fix.new:
                            note(place, fix.rule, fix.done)
                        elif (mended := with_answer(row, fix.old, fix.new, data)) is not None:
                            note(place, fix.rule, fix.done)
                            _write_row(copy, mended)
                        else:
                            _write_row(copy, row)
                    for said in reading.notes():
                        note(str(file), "form", f"{said.removeprefix(f'{file}: ')} Now JSONL.")
                    if file.suffix != target.suffix:
                        note(str(file), "form", f"written anew as JSONL in {target.name}")
    return changes


def _write_row(copy: TextIO, row: object) -> None:
    copy.write(json.dumps(row, ensure_ascii=False) + "\n")


def _rows(file: Path, reading: Reading) -> Iterator[Numbered]:
    """The rows of a file as they stand, as far as they can be read."""
    reading.begin(file)
    with suppress(FileError):
        yield from numbered_rows(file, reading)


def with_answer(row: object, old: str, new: str, data: Data) -> object | None:
    """The row with another answer.

    Returns:
        None where it is not clear which of its values is the answer.
    """
    if not isinstance(row, dict):
        return None
    row = cast("dict[str, object]", row)
    for column in (data.messages, *_CHATS) if data.messages else _CHATS:
        if isinstance(row.get(column), list) and row[column]:
            turns = cast("list[object]", row[column])
            mended = _with_value(turns[-1], old, new, _TURN_TEXTS)
            return None if mended is None else {**row, column: [*turns[:-1], mended]}
    return _with_value(row, old, new, (data.output,) if data.output else _ANSWERS)


def _with_value(row: object, old: str, new: str, names: Sequence[str]) -> object | None:
    if not isinstance(row, dict):
        return None
    values = cast("dict[str, object]", row)
    holding = [name for name in names if _is_text(values.get(name), old)]
    return {**values, holding[0]: new} if len(holding) == 1 else None


def _is_text(value: object, text: str) -> bool:
    return isinstance(value, str) and value.strip() == text
