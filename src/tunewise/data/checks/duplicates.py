"""Rows that say the same: duplicates, near duplicates, one input with several answers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunewise.data.checks.findings import Found
from tunewise.data.checks.survey import Survey
from tunewise.data.splitting.near_duplicates import Indices
from tunewise.data.splitting.word_hashes import Hashes
from tunewise.wording import listed, percent, plural


@dataclass(frozen=True, kw_only=True, slots=True)
class Ceiling:
    """What contradictions cost."""

    inputs: int
    """Inputs with more than one answer."""
    share: float
    """Answers that whoever always gives the most frequent one to an input gets right, 0 to 1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Contradictions:
    """Inputs with more than one answer."""

    ceiling: Ceiling | None = None
    """None where there are none."""
    groups: tuple[Indices, ...] = ()
    """The rows of each such input."""


def check_duplicates(survey: Survey, meant: Hashes, found: Found) -> Indices:
    """Rows with the same input and answer as an earlier row of the same part.

    Args:
        survey: of all rows.
        meant: (rows,) hashes of the answers, equal where the same is meant.
        found: gets the findings.

    Returns:
        (rows,) the first row that says the same in the same part, or the row itself.
    """
    columns = survey.columns
    first = first_equal(columns.input, meant, survey.part.astype(np.uint64))
    found.each(
        "warning",
        "duplicate",
        _ints(np.flatnonzero(first != np.arange(len(survey)))),
        lambda row: (
            survey.where(row),
            f"Repeats {survey.where(int(first[row]))}. It stays on the same side of the split; "
            "remove it unless it should count twice.",
        ),
    )
    return first


def check_near_duplicates(survey: Survey, found: Found) -> list[Indices]:
    """Rows whose input nearly repeats that of an earlier row of the same part.

    Returns:
        The clusters of near duplicates, the largest first: each the rows that follow one row.
    """
    rows = np.arange(len(survey))
    leader = survey.leader
    same_part = survey.part[leader] == survey.part
    unlike = survey.columns.input[leader] != survey.columns.input
    near = np.flatnonzero((leader != rows) & same_part & unlike)
    found.each(
        "warning",
        "near_duplicate",
        _ints(near),
        lambda row: (
            survey.where(row),
            f"Nearly repeats {survey.where(int(leader[row]))}: 80% or more of its words and pairs "
            "of words are the same. It stays on the same side of the split; keep both only if "
            "both teach something.",
        ),
    )
    return clusters(leader, near)


def clusters(leader: Indices, near: Indices) -> list[Indices]:
    """The rows of `near` with those that they follow, the largest cluster first."""
    root = roots(leader)
    order = near[np.argsort(root[near], kind="stable")]
    cuts = np.flatnonzero(np.diff(root[order])) + 1
    groups = [group for group in np.split(order, cuts) if len(group)]
    whole = [np.concatenate([[root[group[0]]], group]) for group in groups]
    return sorted(whole, key=lambda rows: (-len(rows), int(rows[0])))


def roots(leader: Indices) -> Indices:
    """(rows,) the row at the end of each chain of leaders."""
    root = leader
    while not np.array_equal(root, further := leader[root]):
        root = further
    return root


def check_contradictions(survey: Survey, meant: Hashes, found: Found) -> Contradictions:
    """Inputs with more than one answer, and the best that anyone can do about them.

    Args:
        survey: of all rows.
        meant: (rows,) hashes of the answers, equal where the same is meant.
        found: gets the findings.
    """
    columns = survey.columns
    if not len(survey):
        return Contradictions()
    order = np.lexsort((np.arange(len(survey)), meant, columns.input))
    inputs, targets = columns.input[order], meant[order]
    new_input = _changes(inputs)
    new_answer = new_input | _changes(targets)
    answer_sizes = np.diff(np.append(np.flatnonzero(new_answer), len(order)))
    of_input = np.cumsum(new_input)[new_answer] - 1
    answers = np.bincount(of_input)
    best = np.zeros(len(answers), dtype=np.int64)
    np.maximum.at(best, of_input, answer_sizes)
    begins = np.flatnonzero(new_input)
    ends = np.append(begins[1:], len(order))
    several = np.flatnonzero(answers > 1)
    if not len(several):
        return Contradictions()
    groups = [np.sort(order[begins[k] : ends[k]]) for k in several]
    groups.sort(key=lambda rows: int(rows[0]))

    def describe(rows: Indices) -> tuple[str, str]:
        first_with = np.unique(meant[rows], return_index=True)[1]
        others = [int(rows[place]) for place in np.sort(first_with)[1:]]
        places = listed([survey.where(row) for row in others])
        return (
            survey.where(int(rows[0])),
            f"{len(first_with)} different answers to this input; another one at {places}. "
            "Keep the right one.",
        )

    found.each("warning", "contradiction", groups, describe)
    ceiling = Ceiling(inputs=len(several), share=float(best.sum() / len(survey)))
    found.add(
        "note",
        "ceiling",
        "data",
        f"{plural(ceiling.inputs, 'input has', 'inputs have')} more than one answer, so that no "
        f"contender can repeat more than {percent(ceiling.share)} of the answers. "
        "Resolve the contradictions.",
    )
    return Contradictions(ceiling=ceiling, groups=tuple(groups))


def first_equal(*keys: Hashes) -> Indices:
    """(rows,) the first row that is equal under all keys, (rows,) each."""
    order = np.lexsort((np.arange(len(keys[0])), *keys))
    begins = np.zeros(len(order), dtype=np.bool_)
    for key in keys:
        begins |= _changes(key[order])
    starts = np.flatnonzero(begins)
    first = np.empty(len(order), dtype=np.int64)
    first[order] = order[starts[np.cumsum(begins) - 1]] if len(order) else order
    return first


def _changes(values: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Where a value differs from the one before it; true at the first."""
    changed = np.ones(len(values), dtype=np.bool_)
    changed[1:] = values[1:] != values[:-1]
    return changed


def _ints(rows: Indices) -> Sequence[int]:
    return [int(row) for row in rows]
