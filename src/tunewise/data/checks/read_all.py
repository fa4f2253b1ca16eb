"""Reads the parts of a data set, of any kind, into one survey, with the notes of reading."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from tunewise.data.checks.findings import Finding, Found
from tunewise.data.checks.scan import Scope
from tunewise.data.checks.survey import Survey, Surveyor
from tunewise.data.kinds import kind_of, stream_as_examples
from tunewise.data.layouts.detect import Kind
from tunewise.data.read import Names
from tunewise.data.read_log import Reading
from tunewise.data.sources import Part
from tunewise.errors import UserError
from tunewise.progress import Progress
from tunewise.project.settings import Data

_LARGE = 20_000_000
"""Bytes of files from which reading them shows its progress."""
_STEP = 1 << 20
"""Bytes of rows after which progress is told."""


class UnreadableRowsError(UserError):
    """Rows that cannot be read, each as a finding."""

    def __init__(self, findings: Sequence[Finding], message: str) -> None:
        super().__init__(message)
        self.findings = tuple(findings)


@dataclass(frozen=True, kw_only=True, slots=True)
class Gathered:
    """All rows of a data set, surveyed."""

    survey: Survey
    kind: Kind
    """What the rows are for."""
    rows: Mapping[str, int]
    """Part -> rows in it."""
    found: Found
    """Holds an error for each row that could not be read."""
    unreadable: int
    """Faults that keep rows from being read."""
    cut_short: bool
    """Whether a file could not be read to its end, so that rows may not have been met."""
    notes: tuple[tuple[str, str], ...]
    """Part, and what was repaired or assumed."""


def gather(
    parts: Mapping[str, Part],
    data: Data,
    *,
    windows_1252: Collection[Path],
    special: Collection[str],
    progress: Progress,
) -> Gathered:
    """Reads everything once.

    Args:
        parts: the files of each part.
        data: the project's `[data]`.
        windows_1252: files that are to be read in this encoding.
        special: special tokens of the project's tokenizer.
        progress: informed of how far it is.

    Raises:
        UnreadableRowsError: no row can be read; with the faults of all files together.
    """
    scope = Scope(seed=data.seed, personal=True, special=frozenset(special))
    kind = kind_of((file for part in parts.values() for file in part.files), data)
    size = sum(_size(file) for part in parts.values() for file in part.files)
    rows: Counter[str] = Counter()
    notes: list[tuple[str, str]] = []
    found, unreadable, cut_short = Found(), 0, False
    messages: list[str] = []
    names = Names()
    bar = progress.task("reading and comparing rows (kB)", total=size // 1000)
    with Surveyor(scope) as surveyor, bar if size > _LARGE else nullcontext(_ignore) as advance:
        for name in sorted(parts, key=lambda part: part != "test"):
            reading = Reading(windows_1252)
            done = 0
            files = parts[name].files
            for example, file, line in stream_as_examples(files, data, kind, reading, names):
                done += surveyor.add(name, str(file), line, example)
                rows[name] += 1
                if done >= _STEP:
                    advance(done // 1000)
                    done = 0
            notes += [(name, note) for note in (*parts[name].notes, *reading.notes())]
            _blame(reading, found)
            unreadable += reading.fault_count
            cut_short |= reading.cut_short
            messages += reading.lines()
        if not rows.total():
            raise UnreadableRowsError(found.report().errors, "\n".join(messages))
        survey = surveyor.finish()
    counts = {part: rows[part] for part in parts}
    return Gathered(
        survey=survey,
        kind=kind,
        rows=counts,
        found=found,
        unreadable=unreadable,
        cut_short=cut_short,
        notes=tuple(notes),
    )


def _ignore(units: int) -> None:
    """Advances nothing."""


def _size(file: Path) -> int:
    return file.stat().st_size if file.is_file() else 0


def _blame(reading: Reading, found: Found) -> None:
    """Makes the faults of reading errors of the check."""
    for kind, text in reading.shown():
        where, _, message = text.partition(": ")
        found.add("error", rule_of(kind), where, message)
    for kind, count in reading.not_shown().items():
        found.more("error", rule_of(kind), count)


def rule_of(kind: str) -> str:
    """The name of the rule that a kind of unreadable rows breaks."""
    return kind.replace(" ", "_")
