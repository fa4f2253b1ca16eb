"""Turns a stream of rows into a survey: arrays of a few bytes a row, on which the rules work.

One pass; a million rows take a few hundred megabytes, whatever their length. Large data is looked
at by worker processes while this one reads.
"""

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from tunewise.data.checks.personal import Match
from tunewise.data.checks.row_store import KeptRows, packed
from tunewise.data.checks.scan import NO_RUNS, NONE, Columns, Scanned, Scope, columns_of
from tunewise.data.checks.workers import Workers
from tunewise.data.layouts.tool_arguments import ArgumentFault
from tunewise.data.splitting.near_duplicates import (
    Boilerplate,
    Indices,
    Sketches,
    find_leaders,
)
from tunewise.data.splitting.units import comparable_text
from tunewise.data.splitting.word_hashes import Hashes
from tunewise.text.answer_text import target_proper
from tunewise.text.labels import spelled_alike
from tunewise.types import Example

MAX_ANSWERS = 20_000
"""Different short answers that are told apart; with more, answers are not from a closed set."""
MAX_LABEL = 200
"""Characters of an answer that may be a label."""
_BATCH = 1_024


@dataclass(frozen=True, kw_only=True, slots=True)
class TestRuns:
    """Every run of 13 words of the test rows' inputs, and which other rows hold it."""

    hashes: Hashes
    """(runs,) ascending."""
    of_row: NDArray[np.int64]
    """(pairs,) test rows, ascending."""
    of_run: NDArray[np.int64]
    """(pairs,) the places in `hashes` of their runs."""
    others: NDArray[np.int64]
    """(runs,) rows of train and dev that hold it."""
    first: NDArray[np.int64]
    """(runs,) the first of them; -1 for none."""


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What is known of every row. Rows are numbered as they were read, test first."""

    parts: tuple[str, ...]
    """`examples`; or `test`, `train` and perhaps `dev`."""
    part: NDArray[np.uint8]
    """(rows,) place of the row's part in `parts`."""
    files: tuple[str, ...]
    file: NDArray[np.uint16]
    """(rows,) place of the row's file in `files`."""
    line: NDArray[np.uint32]
    """(rows,) line on which the row begins."""
    columns: Columns
    leader: Indices
    """(rows,) the first row that it nearly repeats, or itself; rows of train and dev count as
    earlier than those of test, so that a test row follows one of theirs if it is like any."""
    label: NDArray[np.int32]
    """(rows,) place of its answer in `labels`; -1 where answers are no labels."""
    labels: tuple[str, ...]
    """The different labels, each in its commonest spelling; empty if too many or long."""
    spelling: NDArray[np.int32]
    """(rows,) place of its answer in `spellings`, as `label`."""
    spellings: tuple[str, ...]
    """The different answers as they are written, but for the white space around them."""
    special: tuple[tuple[int, str], ...]
    personal: tuple[tuple[int, Match], ...]
    arguments: tuple[tuple[int, ArgumentFault], ...]
    shapes: dict[str, tuple[int, int]]
    """Roles of the turns -> rows so written, the first of them."""
    test_runs: TestRuns | None
    kept: KeptRows

    def __len__(self) -> int:
        return len(self.part)

    def where(self, row: int) -> str:
        """`file:line`."""
        line = int(self.line[row])
        name = self.files[int(self.file[row])]
        return f"{name}:{line}" if line else name

    def rows_of(self, *parts: str) -> Indices:
        """The rows of some parts."""
        numbers = [self.parts.index(part) for part in parts if part in self.parts]
        return np.flatnonzero(np.isin(self.part, numbers))

    def part_of(self, row: int) -> str:
        """The name of a row's part."""
        return self.parts[int(self.part[row])]


class Surveyor:
    """Surveys rows as they are added, part by part; `test` has to come before `train` and `dev`.

    Used in a `with` block, which ends its workers.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._kept = KeptRows()
        self._parts: list[str] = []
        self._part = array("B")
        self._files: dict[str, int] = {}
        self._file = array("H")
        self._line = array("I")
        self._spelling = array("i")
        self._spellings: dict[str, int] = {}
        self._open_answers = False
        self._batch: list[bytes] = []
        self._boilerplate = Boilerplate()
        self._sent = 0
        self._workers = Workers(scope, None)
        self._looked: list[Scanned] = []
        self._test_runs: TestRuns | None = None

    def __enter__(self) -> "Surveyor":
        return self

    def __exit__(self, *_: object) -> None:
        self._workers.close()

    def add(self, part: str, file: str, line: int, example: Example) -> int:
        """Takes the next row, and says how many bytes it has."""
        if not self._parts or part != self._parts[-1]:
            self._begin(part)
        self._part.append(len(self._parts) - 1)
        self._file.append(self._files.setdefault(file, len(self._files)))
        self._line.append(line)
        self._spelling.append(self._spelling_of(target_proper(example.target).strip()))
        record = packed(example)
        self._batch.append(record)
        room = min(_BATCH, self._boilerplate.next_stop - self._sent)
        if len(self._batch) >= room:
            self._send()
        return len(record)

    def finish(self) -> Survey:
        """The survey of all rows added."""
        self._close_part()
        self._workers.close()
        boilerplate = self._boilerplate
        sketches: list[Sketches] = [looked.sketches for looked in self._looked]

        def texts_of(rows: Indices) -> Sequence[str]:
            return [comparable_text(example) for example in self._kept.get(rows)]

        starts = np.cumsum([0, *(len(looked.columns.input) for looked in self._looked)])
        shapes: dict[str, tuple[int, int]] = {}
        for start, looked in zip(starts, self._looked, strict=False):
            for roles, (rows, first) in looked.shapes.items():
                known, earliest = shapes.get(roles, (0, int(start) + first))
                shapes[roles] = (known + rows, earliest)
        spelling = np.array(self._spelling, dtype=np.int32)
        spellings = () if self._open_answers else tuple(self._spellings)
        labels, place = _labels_of(spellings, spelling)
        is_test = np.array([self._parts[part] == "test" for part in self._part], dtype=np.bool_)
        order = np.argsort(is_test, kind="stable")
        return Survey(
            parts=tuple(self._parts),
            part=np.array(self._part, dtype=np.uint8),
            files=tuple(self._files),
            file=np.array(self._file, dtype=np.uint16),
            line=np.array(self._line, dtype=np.uint32),
            columns=_joined([columns_of([], 0), *(one.columns for one in self._looked)]),
            leader=find_leaders(sketches, texts_of, boilerplate, order=order),
            label=place[spelling] if spellings else spelling,
            labels=labels,
            spelling=spelling,
            spellings=spellings,
            special=tuple(
                (int(start) + row, token)
                for start, looked in zip(starts, self._looked, strict=False)
                for row, token in looked.special
            ),
            personal=tuple(
                (int(start) + row, match)
                for start, looked in zip(starts, self._looked, strict=False)
                for row, match in looked.personal
            ),
            arguments=tuple(
                (int(start) + row, fault)
                for start, looked in zip(starts, self._looked, strict=False)
                for row, fault in looked.arguments
            ),
            shapes=shapes,
            test_runs=self._test_runs,
            kept=self._kept,
        )

    def _spelling_of(self, answer: str) -> int:
        if self._open_answers:
            return -1
        if len(answer) > MAX_LABEL or len(self._spellings) > MAX_ANSWERS:
            self._open_answers = True
            self._spellings.clear()
            return -1
        return self._spellings.setdefault(answer, len(self._spellings))

    def _begin(self, part: str) -> None:
        self._close_part()
        self._parts.append(part)

    def _close_part(self) -> None:
        """Looks at what is left of a part; after test, makes the table of its runs."""
        if self._batch:
            self._send()
        self._take(self._workers.drained())
        if self._parts and self._parts[-1] == "test":
            self._test_runs = _table(self._looked)
            self._looked = [_slimmed(one, keep_runs=False) for one in self._looked]
            self._workers.close()
            self._workers = Workers(self._scope, self._test_runs.hashes)

    def _send(self) -> None:
        records, self._batch = self._batch, []
        start = self._sent
        self._sent += len(records)
        self._kept.add(records)
        if not self._boilerplate.known:
            self._learn_first(records)
        common = self._boilerplate.at(start)
        keep_runs = self._parts[-1] == "test"
        self._take(self._workers.scan(records, common, keep_runs=keep_runs))
        if self._sent == self._boilerplate.next_stop:
            self._take(self._workers.drained())

    def _learn_first(self, records: Sequence[bytes]) -> None:
        """What is common in the first block has to be known before the block is sketched."""
        first = Boilerplate()
        first.add(self._workers.counters(records), len(records))
        if not first.known:
            first.learn()
        self._boilerplate.known = first.known

    def _take(self, looked: Iterator[Scanned]) -> None:
        for one in looked:
            self._boilerplate.add(one.counters, len(one.columns.input))
            if self._test_runs is not None:
                _note_matches(self._test_runs, one, self._boilerplate.rows)
            self._looked.append(_slimmed(one, keep_runs=self._test_runs is None))


def _labels_of(
    spellings: Sequence[str], spelling: NDArray[np.int32]
) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    """The labels in the order in which they occur first, and (spellings,) the place of each."""
    rows = Counter[int](spelling.tolist() if spellings else ())
    common = spelled_alike({one: rows[n] for n, one in enumerate(spellings)})
    place = {label: n for n, label in enumerate(dict.fromkeys(common.values()))}
    return tuple(place), np.array([place[common[one]] for one in spellings], dtype=np.int32)


def _joined(columns: Sequence[Columns]) -> Columns:
    return Columns(
        **{
            field.name: np.concatenate([getattr(one, field.name) for one in columns])
            for field in fields(Columns)
        }
    )


def _table(looked: Sequence[Scanned]) -> TestRuns:
    """The runs of the test rows, which are all the rows so far."""
    starts = np.cumsum([0, *(len(one.columns.input) for one in looked)])
    hashes = np.concatenate([one.runs.hashes for one in looked])
    rows = np.concatenate([one.runs.text + s for one, s in zip(looked, starts, strict=False)])
    known, inverse = np.unique(hashes, return_inverse=True)
    pairs = np.unique(rows * max(len(known), 1) + inverse)
    return TestRuns(
        hashes=known,
        of_row=pairs // max(len(known), 1),
        of_run=pairs % max(len(known), 1),
        others=np.zeros(len(known), dtype=np.int64),
        first=np.full(len(known), -1, dtype=np.int64),
    )


def _note_matches(runs: TestRuns, looked: Scanned, rows: int) -> None:
    """Notes which runs of test rows stand in a batch that ends at row `rows`."""
    np.add.at(runs.others, looked.matched, 1)
    start = rows - len(looked.columns.input)
    new, at = np.unique(looked.matched, return_index=True)
    unseen = runs.first[new] < 0
    runs.first[new[unseen]] = start + looked.matched_row[at[unseen]]


def _slimmed(looked: Scanned, *, keep_runs: bool) -> Scanned:
    """Without what has been taken from it."""
    runs = looked.runs if keep_runs else NO_RUNS
    return replace(looked, counters=NONE, matched=NONE, matched_row=NONE, runs=runs)
