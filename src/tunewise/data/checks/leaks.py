"""Test rows that train, dev or the documents give away.

A test row that stands in train or dev (the same input, or nearly), or in a document together with
its answer, is no test: `decide` leaves it out. Runs of 13 words that a test row shares with rows of
train or dev are told, and the row stays: in contracts and other prose most such runs are formulas
that rows with different answers have in common. They count as a leak when they are a fifth of the
row's own, or when there are 13 of them (25 words running); fewer are noted: a stock phrase, or a
quotation. Boilerplate does not count: runs that at least 10 rows of train and dev and at least 1%
of them hold, such as an instruction in front of every row.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from tunewise.data.checks.document_leaks import answered_in
from tunewise.data.checks.findings import Found, Severity
from tunewise.data.checks.survey import Survey, TestRuns
from tunewise.data.documents.document import Document
from tunewise.data.splitting.near_duplicates import BOILERPLATE_ROWS, BOILERPLATE_SHARE, Indices
from tunewise.data.splitting.word_hashes import Hashes
from tunewise.types import Example
from tunewise.wording import whole_percent

LEAKED_SHARE, LEAKED_RUNS = 0.2, 13
"""Of a test row's runs of 13 words: the share, or the number, from which it is a leak."""
_BATCH = 1_024

LeakKind = Literal["exact", "normalised", "near", "documents", "overlap", "phrase", "group"]
"""How a row is given away. Rows of the first four are left out of test."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Leak:
    """A test row, and what gives it away."""

    test: int
    other: int | None = None
    """The row of train or dev; None: a document does."""
    kind: LeakKind
    share: float = 1.0
    """Of an overlap or phrase: how much of the row's runs of 13 words is in train or dev."""
    document: str = ""
    """Name of the document."""


class LeakRule(NamedTuple):
    """What is said of leaks of some kinds."""

    severity: Severity
    rule: str
    kinds: tuple[LeakKind, ...]
    message: Callable[[Survey, Leak], str]


def find_leaks(
    survey: Survey, rows: Indices | None = None, documents: Sequence[Document] = ()
) -> list[Leak]:
    """What is given away, in the order of `LEAK_RULES`.

    Of train and dev only across a person's own split, the strongest kind of each row, but for
    groups.

    Args:
        survey: of all rows.
        rows: test rows, or those that may become some: they are looked for in the documents. None:
            the rows of test, or all where there is no split yet.
        documents: of the project.
    """
    rows = survey.rows_of("test", "examples") if rows is None else rows
    across: list[Leak] = []
    given_away: set[int] = set()
    if survey.test_runs is not None:
        test, others = survey.rows_of("test"), survey.rows_of("train", "dev")
        same = [
            Leak(test=pair.row, other=pair.other, kind="exact" if pair.exact else "normalised")
            for pair in same_inputs(survey, ["test"], ["train", "dev"])
        ]
        given_away |= {leak.test for leak in same}
        near = [leak for leak in _near(survey, test) if leak.test not in given_away]
        given_away |= {leak.test for leak in near}
        shared = _shared_runs(survey.test_runs, len(others))
        shared = [leak for leak in shared if leak.test not in given_away]
        across = [*same, *near, *shared, *_groups(survey, test, others)]
    found = answered_in(_examples(survey, rows), documents)
    held = [Leak(test=int(rows[n]), kind="documents", document=name) for n, name in found.items()]
    return [*across, *(leak for leak in held if leak.test not in given_away)]


def rows_to_leave_out(survey: Survey, leaks: Sequence[Leak]) -> dict[int, str]:
    """Test rows that are no test -> what holds them: `train`, `dev` or `documents`."""
    return {
        leak.test: "documents" if leak.other is None else survey.part_of(leak.other)
        for leak in leaks
        if leak.kind in ("exact", "normalised", "near", "documents")
    }


def check_leaks(survey: Survey, leaks: Sequence[Leak], found: Found) -> None:
    """Makes findings of leaks."""
    for rule in LEAK_RULES:
        found.each(
            rule.severity,
            rule.rule,
            [leak for leak in leaks if leak.kind in rule.kinds],
            lambda leak, rule=rule: (survey.where(leak.test), rule.message(survey, leak)),
        )


def _place(survey: Survey, leak: Leak) -> str:
    if leak.other is None:
        return leak.document
    return f"{survey.part_of(leak.other)}, at {survey.where(leak.other)}"


_LEFT_OUT = "memory would look like skill, so `decide` leaves it out of test. Remove one of them."


def _same_input(survey: Survey, leak: Leak) -> str:
    unlike = "" if leak.kind == "exact" else ", but for case, spaces or the form of signs"
    return f"The same input is in {_place(survey, leak)}{unlike}: {_LEFT_OUT}"


def _near_input(survey: Survey, leak: Leak) -> str:
    return f"Nearly the same input is in {_place(survey, leak)}: {_LEFT_OUT}"


def _in_document(survey: Survey, leak: Leak) -> str:
    return (
        f"The question stands word for word in {_place(survey, leak)}, with its answer behind it: "
        "repeating it would look like skill, so `decide` leaves it out of test. Take it out of the "
        "document, or test on another."
    )


def _overlap(survey: Survey, leak: Leak) -> str:
    return (
        f"Shares long runs of words with {_place(survey, leak)}: {whole_percent(leak.share)} of "
        "its runs of 13 words are in train or dev. Keep both rows on one side."
    )


def _phrase(survey: Survey, leak: Leak) -> str:
    return (
        f"Shares 13 words running with {_place(survey, leak)} ({whole_percent(leak.share)} of its "
        "runs): harmless if it is a stock phrase."
    )


def _same_group(survey: Survey, leak: Leak) -> str:
    group = survey.kept.get([leak.test])[0].group
    return f'The group "{group}" is also in {_place(survey, leak)}. Keep each group on one side.'


LEAK_RULES = (
    LeakRule("warning", "leak", ("exact", "normalised"), _same_input),
    LeakRule("warning", "near_leak", ("near",), _near_input),
    LeakRule("warning", "document_leak", ("documents",), _in_document),
    LeakRule("warning", "overlap_leak", ("overlap",), _overlap),
    LeakRule("note", "overlap", ("phrase",), _phrase),
    LeakRule("warning", "group_leak", ("group",), _same_group),
)


def _examples(survey: Survey, rows: Indices) -> Iterator[Example]:
    for start in range(0, len(rows), _BATCH):
        yield from survey.kept.get(rows[start : start + _BATCH])


@dataclass(frozen=True, kw_only=True, slots=True)
class SameInput:
    """Two rows with the same input."""

    row: int
    other: int
    exact: bool
    """Whether they are the same as they stand, not only in their comparison form."""


def same_inputs(survey: Survey, parts: Sequence[str], others: Sequence[str]) -> list[SameInput]:
    """Every row of some parts whose input a row of other parts has, with the first such row."""
    rows = survey.rows_of(*others)
    columns = survey.columns
    first = _first_of(columns.input[rows], rows)
    exact = _first_of(columns.exact[rows], rows)
    found: list[SameInput] = []
    for row in survey.rows_of(*parts):
        other = first.get(int(columns.input[row]))
        if other is not None:
            same = exact.get(int(columns.exact[row]))
            other = other if same is None else same
            found.append(SameInput(row=int(row), other=other, exact=same is not None))
    return found


def _near(survey: Survey, test: Indices) -> list[Leak]:
    """A test row that is like any row of train or dev follows the first of them."""
    leader = survey.leader[test]
    is_test = np.isin(leader, test)
    pairs = zip(test[~is_test], leader[~is_test], strict=True)
    return [Leak(test=int(row), other=int(other), kind="near") for row, other in pairs]


def _shared_runs(runs: TestRuns, others: int) -> list[Leak]:
    boilerplate = runs.others >= max(BOILERPLATE_ROWS, BOILERPLATE_SHARE * others)
    shared = (runs.others > 0) & ~boilerplate
    own = ~boilerplate[runs.of_run]
    hit = shared[runs.of_run]
    rows, at = np.unique(runs.of_row[hit], return_index=True)
    if not len(rows):
        return []
    first = runs.first[runs.of_run[hit][at]]
    size = int(runs.of_row[-1]) + 1
    hits = np.bincount(runs.of_row[hit], minlength=size)
    share = hits / np.maximum(np.bincount(runs.of_row[own], minlength=size), 1)
    leaks = [
        Leak(
            test=int(row),
            other=int(other),
            kind="overlap" if share[row] >= LEAKED_SHARE or hits[row] >= LEAKED_RUNS else "phrase",
            share=float(share[row]),
        )
        for row, other in zip(rows, first, strict=True)
    ]
    return sorted(leaks, key=lambda leak: (-leak.share, leak.test))


def _groups(survey: Survey, test: Indices, others: Indices) -> list[Leak]:
    group = survey.columns.group
    first = _first_of(group[others], others)
    first.pop(0, None)
    return [
        Leak(test=int(row), other=first[int(group[row])], kind="group")
        for row in test
        if int(group[row]) in first
    ]


def _first_of(keys: Hashes, rows: Indices) -> dict[int, int]:
    """Key -> the first of the rows that has it."""
    values, at = np.unique(keys, return_index=True)
    return {int(value): int(rows[place]) for value, place in zip(values, at, strict=True)}
