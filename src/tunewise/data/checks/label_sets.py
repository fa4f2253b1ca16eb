"""What is wrong with answers that are sets of labels: each label is looked at, not each answer."""

from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass

import numpy as np

from tunewise.data.checks.findings import Found
from tunewise.data.checks.labels import (
    FREQUENT,
    RARE,
    LabelCount,
    check_one_answer,
    check_only_in_test,
    check_spellings,
    meant_label,
    unknown_label,
)
from tunewise.data.checks.scan import short_hash
from tunewise.data.checks.survey import Survey
from tunewise.data.splitting.near_duplicates import Indices
from tunewise.data.splitting.word_hashes import Hashes
from tunewise.project.settings import Task
from tunewise.text.comparison import label_form
from tunewise.text.label_sets import set_elements
from tunewise.text.labels import spelled_alike, visible
from tunewise.wording import plural


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelSets:
    """The labels of answers that are sets."""

    sets: tuple[tuple[str, ...], ...]
    """(spellings,) the labels of each different answer, as they are written."""
    right: Mapping[str, str]
    """Label as written -> how it is spelled: as declared, else as it is most often."""
    rows: Mapping[str, int]
    """Label -> rows with it."""
    doubtful: Set[str]
    """Labels that are not declared; where none are, those that are rare."""
    meant: Mapping[str, str]
    """Doubtful label -> the one label that it is a typo of, where that is certain."""

    def mended(self, written: str) -> str:
        """A label as it should be written."""
        label = self.right[written]
        return self.meant.get(label, label)


def label_sets(survey: Survey, task: Task) -> LabelSets:
    """The labels of all answers, and which of them are typos.

    Args:
        survey: of all rows.
        task: with the labels that the project declares, or None.
    """
    known = task.labels or ()
    sets = tuple(set_elements(answer, known) for answer in survey.spellings)
    sizes = np.bincount(survey.spelling, minlength=len(sets)).tolist()
    written: Counter[str] = Counter()
    for elements, rows in zip(sets, sizes, strict=True):
        for one in elements:
            written[one] += rows
    right = spelled_alike(written, known)
    counts: Counter[str] = Counter()
    for one, rows in written.items():
        counts[right[one]] += rows
    if task.labels is None:
        frequent = [label for label, rows in counts.items() if rows >= FREQUENT]
        doubtful = {label for label, rows in counts.items() if rows <= RARE}
    else:
        frequent = list(known)
        declared = {label_form(label) for label in known}
        doubtful = {label for label in counts if label_form(label) not in declared}
    meant = {label: meant_label(label, frequent) for label in doubtful}
    return LabelSets(
        sets=sets,
        right=right,
        rows=counts,
        doubtful=doubtful,
        meant={label: one for label, one in meant.items() if one is not None},
    )


def set_hashes(survey: Survey, task: Task) -> Hashes:
    """(rows,) hashes of the answers, equal for the same labels in any order and spelling."""
    held = label_sets(survey, task)
    forms = [sorted({label_form(held.mended(one)) for one in elements}) for elements in held.sets]
    return np.array([short_hash("\n".join(one)) for one in forms], np.uint64)[survey.spelling]


def check_label_sets(survey: Survey, task: Task, found: Found) -> list[LabelCount]:
    """Faults of the labels in sets.

    Returns:
        The labels with their rows, the most frequent first; empty where answers are too many.
    """
    if not survey.spellings:
        return []
    held = label_sets(survey, task)
    check_one_answer(survey, set_hashes(survey, task), found)
    if task.labels is not None:
        _unknown(survey, held, task.labels, found)
    others = {
        written: _rows_with(survey, held, {written})
        for written, label in held.right.items()
        if written != label
    }
    check_spellings(survey, others, held.right, found)
    if task.labels is None:
        _typos(survey, held, found)
    counts = _counts(survey, held)
    ways: dict[str, set[str]] = {}
    for written, label in held.right.items():
        ways.setdefault(label, set()).add(written)

    check_only_in_test(survey, counts, lambda label: _rows_with(survey, held, ways[label]), found)
    return counts


def _rows_with(survey: Survey, held: LabelSets, ways: Set[str]) -> Indices:
    """The rows with a label that is written in one of these ways."""
    having = np.array([not ways.isdisjoint(elements) for elements in held.sets], dtype=np.bool_)
    return np.flatnonzero(having[survey.spelling])


def _doubted(survey: Survey, held: LabelSets, doubted: Set[str]) -> list[tuple[int, str]]:
    """Rows, and which of some labels they have, as it is written."""
    return [
        (int(row), written)
        for row in _rows_with(survey, held, {w for w, one in held.right.items() if one in doubted})
        for written in held.sets[int(survey.spelling[row])]
        if held.right[written] in doubted
    ]


def _unknown(survey: Survey, held: LabelSets, known: tuple[str, ...], found: Found) -> None:
    def describe(fault: tuple[int, str]) -> tuple[str, str]:
        row, written = fault
        return survey.where(row), unknown_label(written, held.meant.get(held.right[written]), known)

    found.each("error", "unknown_label", _doubted(survey, held, held.doubtful), describe)


def _typos(survey: Survey, held: LabelSets, found: Found) -> None:
    def describe(fault: tuple[int, str]) -> tuple[str, str]:
        row, written = fault
        label = held.right[written]
        meant = held.meant[label]
        return (
            survey.where(row),
            f'"{visible(written[:60])}" is a label of {plural(held.rows[label], "row")}, '
            f'"{meant[:60]}" of {held.rows[meant]:,}. Correct it if it is a typo.',
        )

    found.each("warning", "label_typo", _doubted(survey, held, held.meant.keys()), describe)


def _counts(survey: Survey, held: LabelSets) -> list[LabelCount]:
    rows: dict[str, Counter[str]] = {}
    for part in survey.parts:
        of_part = survey.spelling[survey.rows_of(part)]
        numbers = np.bincount(of_part, minlength=len(held.sets)).tolist()
        for elements, n in zip(held.sets, numbers, strict=True):
            for one in elements:
                rows.setdefault(held.right[one], Counter())[part] += n
    counts = [
        LabelCount(label=label, rows={part: n[part] for part in survey.parts})
        for label, n in rows.items()
    ]
    return sorted(counts, key=lambda count: (-count.total, count.label))
