"""Test rows that train or dev give away: the same input, nearly the same, a long run of its words.

Runs of 13 words that a test row shares with rows of train or dev are a leak when they are a fifth
of its own, or when there are 13 of them (25 words running); fewer are noted: a stock phrase, or a
quotation. Boilerplate does not count: runs that at least 10 rows of train and dev and at least 1%
of them hold, such as an instruction in front of every row.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tunewise.data.checks.findings import Found
from tunewise.data.checks.survey import Survey, TestRuns
from tunewise.data.splitting.near_duplicates import BOILERPLATE_ROWS, BOILERPLATE_SHARE, Indices
from tunewise.data.splitting.word_hashes import Hashes
from tunewise.wording import whole_percent

LEAKED_SHARE, LEAKED_RUNS = 0.2, 13
"""Of a test row's runs of 13 words: the share, or the number, from which it is a leak."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Leak:
    """A test row, and the row that gives it away."""

    test: int
    other: int
    kind: str
    """`exact`, `normalised`, `near`, `overlap`, `phrase` or `group`."""
    share: float = 1.0
    """Of an overlap or phrase: how much of the row's runs of 13 words is in train or dev."""


def check_leaks(survey: Survey, found: Found) -> list[Leak]:
    """Leaks across a person's own split; the strongest kind of each row only, but for groups."""
    if survey.test_runs is None:
        return []
    test = survey.rows_of("test")
    others = survey.rows_of("train", "dev")
    same = [
        Leak(test=pair.row, other=pair.other, kind="exact" if pair.exact else "normalised")
        for pair in same_inputs(survey, ["test"], ["train", "dev"])
    ]
    given_away = {leak.test for leak in same}
    near = [leak for leak in _near(survey, test) if leak.test not in given_away]
    given_away |= {leak.test for leak in near}
    shared = [
        leak for leak in _shared_runs(survey.test_runs, len(others)) if leak.test not in given_away
    ]
    groups = _groups(survey, test, others)

    def place(leak: Leak) -> str:
        return f"{survey.part_of(leak.other)}, at {survey.where(leak.other)}"

    found.each(
        "warning",
        "leak",
        same,
        lambda leak: (
            survey.where(leak.test),
            f"The same input is in {place(leak)}"
            f"{'' if leak.kind == 'exact' else ', but for case, spaces or the form of signs'}: "
            "memory would look like skill. Remove one of them.",
        ),
    )
    found.each(
        "warning",
        "near_leak",
        near,
        lambda leak: (
            survey.where(leak.test),
            f"Nearly the same input is in {place(leak)}: memory would look like skill. "
            "Remove one of them.",
        ),
    )
    found.each(
        "warning",
        "overlap_leak",
        [leak for leak in shared if leak.kind == "overlap"],
        lambda leak: (
            survey.where(leak.test),
            f"Shares long runs of words with {place(leak)}: {whole_percent(leak.share)} of its "
            "runs of 13 words are in train or dev. Keep both rows on one side.",
        ),
    )
    found.each(
        "note",
        "overlap",
        [leak for leak in shared if leak.kind == "phrase"],
        lambda leak: (
            survey.where(leak.test),
            f"Shares 13 words running with {place(leak)} ({whole_percent(leak.share)} of its "
            "runs): harmless if it is a stock phrase.",
        ),
    )
    found.each(
        "warning",
        "group_leak",
        groups,
        lambda leak: (
            survey.where(leak.test),
            f'The group "{survey.kept.get([leak.test])[0].group}" is also in {place(leak)}. '
            "Keep each group on one side.",
        ),
    )
    return [*same, *near, *(leak for leak in shared if leak.kind == "overlap"), *groups]


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
    """Test comes first, so that a row of train that nearly repeats a test row follows it."""
    leader = survey.leader
    is_test = np.isin(np.arange(len(survey)), test)
    other: dict[int, int] = {}
    for row in np.flatnonzero(is_test[leader] & ~is_test):
        other.setdefault(int(leader[row]), int(row))
    # Whoever is like the leader is given away by the same row.
    followers = {int(row): other[int(leader[row])] for row in test if int(leader[row]) in other}
    return [Leak(test=row, other=followers[row], kind="near") for row in sorted(followers)]


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
