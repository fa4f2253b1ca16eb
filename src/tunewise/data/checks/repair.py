"""Writes a repaired copy of the data, and a log with one line for each change.

Only sure repairs are made: encodings, line ends and layouts become JSONL in UTF-8; rows that cannot
be read (blank answers, broken JSON) and exact repetitions go; a label typo with one certain
correction is corrected, and each label written in one spelling; train and dev lose rows whose input
is in test. Test itself loses only what cannot be read. What needs a person's judgement stays, and
the log says so. Who reads the repairs first may name rows that stay as they are. The original is
never touched.
"""

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TextIO, cast

import numpy as np

from tunewise.data.checks.duplicates import first_equal
from tunewise.data.checks.label_sets import label_sets
from tunewise.data.checks.label_spelling import meant_targets
from tunewise.data.checks.labels import likely_typos, right_spellings
from tunewise.data.checks.leaks import same_inputs
from tunewise.data.checks.survey import Survey
from tunewise.data.formats.detect import numbered_rows
from tunewise.data.layouts.detect import Kind
from tunewise.data.layouts.row_parser import Shaper
from tunewise.data.read_log import FileError, Reading, RowError
from tunewise.data.sources import Part
from tunewise.data.splitting.near_duplicates import Indices
from tunewise.errors import UserError
from tunewise.project.settings import Data, Task
from tunewise.text.comparison import label_form
from tunewise.text.label_sets import respelled
from tunewise.text.labels import visible

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
    files: Mapping[str, Path]
    """Part -> its file."""
    log: Path
    changes: Mapping[str, int]
    """Rule -> how often it changed something."""


class Repair(NamedTuple):
    """What the copy does to a row."""

    rule: str
    done: str
    """What was done, or why the row goes, for the log."""
    old: str = ""
    new: str = ""
    """An answer and its correction; without one, the row goes."""


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


def write_fixed(
    survey: Survey,
    parts: Mapping[str, Part],
    windows_1252: Collection[Path],
    planned: Mapping[int, Repair],
    data: Data,
    kind: Kind,
    left: Mapping[str, int],
    out: Path,
    keep: Collection[str] = (),
) -> Fixed:
    """Writes the copy and its log; either both are there afterwards, or neither.

    Args:
        survey: of all rows that can be read.
        parts: the files behind it, each read to its end.
        windows_1252: those of them in this encoding.
        planned: what `planned_repairs` gave for the survey.
        data: the project's `[data]`.
        kind: what the rows are for.
        left: rule -> how much of it was found that a person has to judge.
        out: a folder, or a file ending in .jsonl where there is one part.
        keep: rows (`file:line`) and rules of which nothing is repaired.

    Raises:
        UserError: the copy cannot be written, or nothing is repaired at a place to keep.
    """
    kept = _Kept(keep)
    fixes = {
        (survey.files[int(survey.file[row])], int(survey.line[row])): repair
        for row, repair in planned.items()
        if not kept.holds(survey.where(row), repair.rule)
    }
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
        try:
            writer = _CopyWriter(data, kind, windows_1252, fixes, kept)
            changes = writer.write(parts, left, beside)
            kept.refuse_unused()
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
    files = {part: out if _is_file(out) else out / f"{part}.jsonl" for part in parts}
    return Fixed(out=out, files=files, log=_log_of(out), changes=changes)


def _is_file(out: Path) -> bool:
    return out.suffix in _FILE_ENDINGS


def _log_of(out: Path) -> Path:
    return out.with_name(f"{out.stem}.{LOG}") if _is_file(out) else out / LOG


class _Kept:
    """Rows and rules of which nothing is repaired, and which of them there were."""

    def __init__(self, named: Collection[str]) -> None:
        self._named, self._met = frozenset(named), set[str]()

    def holds(self, place: str, rule: str) -> bool:
        """Whether what a rule would do at a place is not done."""
        met = self._named & {place, rule}
        self._met |= met
        return bool(met)

    def refuse_unused(self) -> None:
        """Raises UserError where nothing would have been repaired."""
        unused = sorted(self._named - self._met)
        if unused:
            raise UserError(
                f"--keep {unused[0]}: nothing is repaired there. Name a place or a rule as "
                "`tunewise check` names them."
            )


def planned_repairs(survey: Survey, task: Task) -> dict[int, Repair]:
    """Row -> what the copy does to it, of the rows that can be read.

    Args:
        survey: of all rows that can be read.
        task: with the labels that the project declares, or None.
    """
    planned: dict[int, Repair] = {}
    if task.kind == "classification" and survey.labels:
        planned |= _rewritten(survey, _respelled(survey, task))
    if task.kind == "multilabel" and survey.spellings:
        planned |= _rewritten(survey, _respelled_sets(survey, task))
    test = set(_numbers(survey.rows_of("test")))
    for pair in same_inputs(survey, ["train", "dev"], ["test"]):
        where = survey.where(pair.other)
        planned[pair.row] = Repair("leak", f"its input is in test, at {where}")
    columns = survey.columns
    part = survey.part.astype(np.uint64)
    meant = meant_targets(survey, task)
    first = first_equal(columns.exact, meant, columns.group, part)
    for row in _numbers(np.flatnonzero(first != np.arange(len(survey)))):
        if row not in test and (row not in planned or planned[row].new):
            where = survey.where(int(first[row]))
            planned[row] = Repair("duplicate", f"it repeats {where}")
    return planned


def _respelled(survey: Survey, task: Task) -> dict[str, Repair]:
    """Answer -> as it should be written: a typo corrected, one spelling of each label."""
    right = right_spellings(survey, task)
    typos = likely_typos(survey, task.labels)
    fixes: dict[str, Repair] = {}
    for written in filter(None, survey.spellings):
        form = label_form(written)
        typo = next((label for label in typos if label_form(label) == form), None)
        new = right[written] if typo is None else typos[typo]
        if new != written:
            rule = "label_spelling" if typo is None else "label_typo"
            fixes[written] = Repair(rule, _corrected(written, new), written, new)
    return fixes


def _respelled_sets(survey: Survey, task: Task) -> dict[str, Repair]:
    """The same for each label of a set; how they stand together stays."""
    held = label_sets(survey, task)
    right = {written: held.mended(written) for written in held.right}
    fixes: dict[str, Repair] = {}
    for answer, elements in zip(survey.spellings, held.sets, strict=True):
        new = respelled(answer, right, task.labels or ())
        if new != answer:
            typo = any(held.right[one] in held.meant for one in elements)
            done = "; ".join(_corrected(one, right[one]) for one in elements if right[one] != one)
            fixes[answer] = Repair("label_typo" if typo else "label_spelling", done, answer, new)
    return fixes


def _corrected(written: str, new: str) -> str:
    return f'"{visible(written)}" corrected to "{visible(new)}"'


def _rewritten(survey: Survey, fixes: Mapping[str, Repair]) -> dict[int, Repair]:
    """Row -> what is done to its answer."""
    odd = np.array([written in fixes for written in survey.spellings], dtype=np.bool_)
    return {
        row: fixes[survey.spellings[int(survey.spelling[row])]]
        for row in _numbers(np.flatnonzero(odd[survey.spelling]))
    }


def _numbers(rows: Indices) -> list[int]:
    return [int(row) for row in rows]


class _Log(Reading):
    """Writes down each change, and reads on past rows that cannot be read."""

    def __init__(self, file: TextIO, windows_1252: Collection[Path]) -> None:
        super().__init__(windows_1252)
        self.changes: Counter[str] = Counter()
        self._file = file

    def fault(self, line: int, kind: str, what: str) -> None:
        """See `Reading.fault`."""
        done = "put right" if kind == "comma" else "removed"
        self.note_change(f"{self.path}:{line}", kind.replace(" ", "_"), f"{done}; {what}")

    def note_change(self, place: str, rule: str, done: str) -> None:
        """Writes down one change."""
        self.changes[rule] += 1
        self.say(place, rule, done)

    def note_removed(self, line: int, rule: str, done: str, row: object) -> None:
        """Writes down that a row is left out, and below it what it says, as JSON."""
        self.note_change(f"{self.path}:{line}", rule, f"removed; {done}")
        self._file.write(f"  {_as_json(row)}\n")

    def say(self, place: str, rule: str, what: str) -> None:
        """Writes down what is no change."""
        self._file.write(f"{place}: {rule}: {' '.join(what.split())}\n")


class _CopyWriter:
    """Writes the copy of each part."""

    def __init__(
        self,
        data: Data,
        kind: Kind,
        windows_1252: Collection[Path],
        fixes: Mapping[tuple[str, int], Repair],
        kept: _Kept,
    ) -> None:
        self._data = data
        self._kind: Kind = kind
        self._windows_1252 = windows_1252
        self._fixes = fixes
        self._kept = kept

    def write(
        self, parts: Mapping[str, Part], left: Mapping[str, int], folder: Path
    ) -> dict[str, int]:
        """Writes all parts and the log; see `write_fixed`."""
        with _opened(folder / LOG) as file:
            log = _Log(file, self._windows_1252)
            for name, part in parts.items():
                with _opened(folder / f"{name}.jsonl") as copy:
                    for source in part.files:
                        self._copy(source, copy, log)
            for rule, count in left.items():
                log.say("data", rule, f"{count:,} left as they are: a person has to judge.")
            return dict(log.changes)

    def _copy(self, source: Path, copy: TextIO, log: _Log) -> None:
        log.begin(source)
        shaper = Shaper(self._data, self._kind, Reading())
        notes = len(log.notes())
        with suppress(FileError):  # the check has refused a file that cannot be read to its end
            rows = numbered_rows(
                source,
                log,
                plain_text=self._kind == "texts",
                as_written=self._data.names_columns,
            )
            for line, row in rows:
                try:
                    shaper.record(row, line)
                except RowError as fault:
                    rule = fault.kind.replace(" ", "_")
                    if self._kept.holds(f"{source}:{line}", rule):
                        _write_row(copy, row)
                    else:
                        log.note_removed(line, rule, fault.what, row)
                    continue
                fix = self._fixes.get((str(source), line))
                if fix is None:
                    _write_row(copy, row)
                elif not fix.new:
                    log.note_removed(line, fix.rule, fix.done, row)
                elif (mended := with_answer(row, fix.old, fix.new, self._data)) is not None:
                    log.note_change(f"{source}:{line}", fix.rule, fix.done)
                    _write_row(copy, mended)
                else:
                    _write_row(copy, row)
        for said in log.notes()[notes:]:
            log.note_change(str(source), "form", f"{said.removeprefix(f'{source}: ')} Now JSONL.")
        if source.suffix != ".jsonl":
            log.note_change(str(source), "form", f"written anew as JSONL in {Path(copy.name).name}")


def _opened(path: Path) -> TextIO:
    return path.open("w", encoding="utf-8", errors="surrogatepass", newline="\n")


def _write_row(copy: TextIO, row: object) -> None:
    copy.write(_as_json(row) + "\n")


def _as_json(row: object) -> str:
    return json.dumps(row, ensure_ascii=False)


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
    holding = [name for name in names if _is_answer(values.get(name), old)]
    if len(holding) != 1:
        return None
    is_text = isinstance(values[holding[0]], str)
    return {**values, holding[0]: new if is_text else json.loads(new)}


def _is_answer(value: object, text: str) -> bool:
    """Whether a cell is read as this answer: a text, or a list of labels as its JSON."""
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False) == text
    return isinstance(value, str) and value.strip() == text
