"""Turns files into examples: JSONL, JSON, CSV and TSV, gzip of these, recognised by content.

Either every row becomes an example, or a UserError lists what is wrong, by file and line. It
knows nothing of formats and shapes of rows, nor of tasks, splits or models.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tunewise.data.bytes import file_text
from tunewise.data.faults import Reading, RowError
from tunewise.data.rows import Numbered, numbered_rows
from tunewise.data.shapes import Shaper
from tunewise.errors import UserError
from tunewise.project import Data
from tunewise.types import Example


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadResult:
    """All rows of one file."""

    examples: tuple[Example, ...]
    notes: tuple[str, ...] = ()
    """What was repaired or assumed, one line each."""
    places: Mapping[str, str] = field(default_factory=dict[str, str])
    """Example id -> `file:line` where the row begins."""


def read_data(data: Data) -> dict[str, ReadResult]:
    """Reads every file of `[data]`.

    Returns:
        part -> its rows; the parts are `examples`, or `train`, `dev` (if given) and `test`.
        Ids are unique over all parts.

    Raises:
        UserError: with the faults of all files together.
    """
    paths = {"examples": data.examples, "train": data.train, "dev": data.dev, "test": data.test}
    parts: dict[str, ReadResult] = {}
    faults: list[str] = []
    taken: Counter[str] = Counter()
    for part, path in paths.items():
        if path is None:
            continue
        try:
            result = read_examples(path, input=data.input, output=data.output, group=data.group)
        except UserError as error:
            faults.append(str(error))
            continue
        parts[part] = _renamed(result, taken)
    if faults:
        raise UserError.together(faults)
    return parts


def _renamed(result: ReadResult, taken: Counter[str]) -> ReadResult:
    examples: list[Example] = []
    places: dict[str, str] = {}
    for example in result.examples:
        name = _unique(example.id, taken)
        examples.append(replace(example, id=name))
        places[name] = result.places[example.id]
    return ReadResult(examples=tuple(examples), notes=result.notes, places=places)


def _unique(name: str, taken: Counter[str]) -> str:
    """The name, with a suffix when it is taken already."""
    while True:
        taken[name] += 1
        if taken[name] == 1:
            return name
        name = f"{name}-{taken[name]}"


def read_examples(
    path: Path, *, input: str | None = None, output: str | None = None, group: str | None = None
) -> ReadResult:
    """Reads one file.

    Args:
        path: JSONL, JSON, CSV or TSV, or gzip of these; the ending does not matter.
        input: column with the input; with `output`, it replaces what would be recognised.
        output: column with the answer; objects and lists become compact JSON.
        group: column (of the row or of its `meta`) that says which rows belong together.

    Raises:
        UserError: when any row cannot be read; the first 20 faults of each kind, then a count.
    """
    reading = Reading(path)
    text = file_text(path, reading)
    rows = numbered_rows(text, reading) if text else []
    result = _shaped(rows, reading, Shaper(reading, input, output, group))
    if not rows and not reading.faults:
        reading.fault(1, "no rows", "holds no rows. Put one example on each line.")
    if reading.faults:
        raise UserError.together(reading.lines())
    return result


def _shaped(rows: Sequence[Numbered], reading: Reading, shaper: Shaper) -> ReadResult:
    examples: list[Example] = []
    places: dict[str, str] = {}
    taken: Counter[str] = Counter()
    for line, row in rows:
        try:
            example = shaper.example(row, line)
        except RowError as fault:
            reading.fault(line, fault.kind, fault.what)
            continue
        name = _unique(example.id, taken)
        if name != example.id:
            reading.count("id or whole content occurred before; its id got a suffix.")
        examples.append(replace(example, id=name))
        places[name] = f"{reading.path}:{line}"
    shaper.check_groups(examples)
    if shaper.shape:
        reading.note(f"rows read as {shaper.shape[0]}.")
    return ReadResult(examples=tuple(examples), notes=reading.all_notes(), places=places)
