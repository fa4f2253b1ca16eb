"""What is wrong with the answers of a classification: typos, foreign ones, one for nearly all.

Labels that differ in case, spacing or a full stop only are one label (`label_form`), which is said
once.
"""

import difflib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import regex
from numpy.typing import NDArray

from tunewise.data.checks.findings import Found
from tunewise.data.checks.survey import Survey
from tunewise.data.splitting.near_duplicates import Indices
from tunewise.data.splitting.word_hashes import Hashes
from tunewise.project.settings import Task
from tunewise.text.comparison import label_form
from tunewise.text.label_sets import set_form
from tunewise.text.labels import spelled_alike, visible
from tunewise.wording import listed, plural

LOPSIDED = 0.95
RARE, FREQUENT = 2, 5
"""Rows of a label that may be a typo, and of one that it may be meant for."""
_SHOWN_LABELS = 8
"""Labels whose other spellings are listed."""
_ALIKE, _APART = 0.85, 0.08
"""Likeness of a typo to what it is meant for, and how much less it is like any other label."""
# Where labels differ on purpose: "level 1" and "level 2", "grade A" and "grade B", "part II" and
# "part III", "use of C" and "use of C#".
_MARKS = regex.compile(r"""[\p{N}\p{S}\p{P}--[-_.,'"]]|\b(?:\p{L}|[ivx]+)\b""", regex.VERSION1)


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelCount:
    """How often a label occurs."""

    label: str
    rows: Mapping[str, int]
    """Part -> rows."""

    @property
    def total(self) -> int:
        """Rows of all parts."""
        return sum(self.rows.values())


def check_labels(survey: Survey, task: Task, found: Found) -> list[LabelCount]:
    """Faults of labels; beyond a classification, only whether there is more than one answer.

    Returns:
        The labels with their rows, the most frequent first; empty where answers are no labels.
    """
    closed = task.kind == "classification" and bool(survey.labels)
    check_one_answer(survey, survey.label if closed else survey.columns.target, found)
    if not closed:
        return []
    _foreign(survey, task, found)
    right = right_spellings(survey, task)
    others = {
        written: np.flatnonzero(survey.spelling == number)
        for number, written in enumerate(survey.spellings)
        if written and right[written] != written
    }
    check_spellings(survey, others, right, found)
    counts = label_counts(survey)
    _lopsided(survey, counts, found)
    if task.labels is None:
        _typos(survey, found)
    numbers = {label: number for number, label in enumerate(survey.labels)}
    check_only_in_test(
        survey, counts, lambda label: np.flatnonzero(survey.label == numbers[label]), found
    )
    return counts


def check_one_answer(survey: Survey, answers: Hashes | NDArray[np.int32], found: Found) -> None:
    """Whether there is more than one answer, (rows,) equal where answers are."""
    if len(survey) > 1 and len(np.unique(answers)) == 1:
        found.add(
            "warning",
            "one_answer",
            survey.where(0),
            "All rows have the same answer: there is nothing to learn. "
            "Check that the right column is read as the answer.",
        )


def label_counts(survey: Survey) -> list[LabelCount]:
    """The labels with their rows, the most frequent first."""
    size = len(survey.labels)
    by_part = {
        part: np.bincount(survey.label[survey.rows_of(part)], minlength=size)
        for part in survey.parts
    }
    counts = [
        LabelCount(label=label, rows={part: int(n[k]) for part, n in by_part.items()})
        for k, label in enumerate(survey.labels)
        if label
    ]
    return sorted(counts, key=lambda count: (-count.total, count.label))


def likely_typos(survey: Survey, known: Collection[str] | None) -> dict[str, str]:
    """Label -> the one label that it is a typo of, where that is certain.

    Other spellings of a label are no typos of it: see `right_spellings`.

    Args:
        survey: of all rows.
        known: the labels that the project declares; None: rare ones are held against frequent ones.
    """
    if not survey.labels:
        return {}
    rows = np.bincount(survey.label, minlength=len(survey.labels))
    if known is None:
        frequent = [label for label, n in zip(survey.labels, rows, strict=True) if n >= FREQUENT]
        doubtful = [label for label, n in zip(survey.labels, rows, strict=True) if n <= RARE]
    else:
        frequent = list(known)
        forms = {label_form(label) for label in known}
        doubtful = [label for label in survey.labels if label_form(label) not in forms]
    return {
        label: meant
        for label in doubtful
        if label and (meant := meant_label(label, frequent)) is not None
    }


def meant_label(label: str, frequent: Collection[str]) -> str | None:
    """The one frequent label that a rare one is a typo of, where that is certain."""
    spelled = {label_form(other): other for other in frequent}
    form = label_form(label)
    if (same := spelled.get(form)) is not None:
        return same
    near = difflib.get_close_matches(form, list(spelled), n=2, cutoff=_ALIKE - _APART)
    likeness = [_likeness(form, one) for one in near]
    if not near or likeness[0] < _ALIKE:
        return None
    if len(near) > 1 and likeness[0] - likeness[1] < _APART:
        return None
    return spelled[near[0]] if _MARKS.findall(form) == _MARKS.findall(near[0]) else None


def _likeness(one: str, other: str) -> float:
    """0 to 1; two neighbouring letters the wrong way round (`retrun`) count as a missing one."""
    same = difflib.SequenceMatcher(None, one, other).ratio()
    unlike = [n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b]
    swapped = (
        len(one) == len(other)
        and len(unlike) == 2
        and unlike[1] == unlike[0] + 1
        and one[unlike[0] : unlike[1] + 1] == other[unlike[0] : unlike[1] + 1][::-1]
    )
    return max(same, 1 - 1 / (2 * len(one) - 1)) if swapped else same


def right_spellings(survey: Survey, task: Task) -> dict[str, str]:
    """Answer as written -> how its label is spelled: as declared, else as it is most often."""
    rows = np.bincount(survey.spelling, minlength=len(survey.spellings)).tolist()
    written = dict(zip(survey.spellings, rows, strict=True))
    return spelled_alike(written, task.labels or ()) if survey.spellings else {}


def foreign_rows(survey: Survey, task: Task) -> Indices:
    """The rows whose answer is not among the labels that the project declares."""
    if task.labels is None or not survey.labels:
        return np.zeros(0, dtype=np.int64)
    forms = {label_form(label) for label in task.labels}
    if task.kind == "multilabel":
        within = np.array([set_form(one, task.labels) <= forms for one in survey.spellings])
        return np.flatnonzero(~within[survey.spelling])
    if task.kind != "classification":
        return np.zeros(0, dtype=np.int64)
    known = np.array([label_form(label) in forms or not label for label in survey.labels])
    return np.flatnonzero(~known[survey.label])


def _foreign(survey: Survey, task: Task, found: Found) -> None:
    labels = task.labels or ()
    meant = likely_typos(survey, labels)

    def describe(row: int) -> tuple[str, str]:
        answer = survey.labels[int(survey.label[row])]
        return survey.where(row), unknown_label(answer, meant.get(answer), labels)

    rows = [int(row) for row in foreign_rows(survey, task)]
    found.each("error", "unknown_label", rows, describe)


def unknown_label(label: str, meant: str | None, known: Collection[str]) -> str:
    """That a label is not among those declared, and what to do.

    Args:
        label: as it is written.
        meant: the one that it is certainly a typo of.
        known: those declared.
    """
    near = difflib.get_close_matches(label, known, n=1, cutoff=0.7)
    if meant is not None:
        hint = f'Did you mean "{meant}"? `tunewise check --fix OUT` writes that.'
    else:
        hint = f'Did you mean "{near[0]}"?' if near else "Correct it, or add it to labels."
    return f'"{visible(label[:60])}" is not among [task] labels. {hint}'


def check_spellings(
    survey: Survey, others: Mapping[str, Indices], right: Mapping[str, str], found: Found
) -> None:
    """One warning for all labels together: how they are written, how often, and where first.

    Args:
        survey: of all rows.
        others: each way of writing a label that is not its spelling -> the rows with it.
        right: how its label is spelled.
        found: gets the finding.
    """
    if not others:
        return
    ways: dict[str, list[str]] = {}
    for written, rows in others.items():
        seen = f"{plural(len(rows), 'row')}, first {survey.where(int(rows[0]))}"
        ways.setdefault(right[written], []).append(f'"{visible(written[:60])}" ({seen})')
    shown = [
        f'"{label[:60]}" is also written {listed(of_label, most=5)}'
        for label, of_label in list(ways.items())[:_SHOWN_LABELS]
    ]
    more = len(ways) - _SHOWN_LABELS
    if more > 0:
        shown.append(f"and so are {plural(more, 'other label')}")
    found.add(
        "warning",
        "label_spelling",
        survey.where(min(int(rows[0]) for rows in others.values())),
        f"{'; '.join(shown)}. They are read as one label each. A model learns what it is shown: "
        "`tunewise check --fix OUT` writes one spelling.",
    )


def _lopsided(survey: Survey, counts: list[LabelCount], found: Found) -> None:
    if len(counts) > 1 and counts[0].total >= LOPSIDED * len(survey):
        found.add(
            "warning",
            "imbalance",
            "labels",
            f'{counts[0].total} of {len(survey)} rows are "{counts[0].label[:60]}": always saying '
            "so is right that often. Add rows of the other labels, or judge by macro_f1.",
        )


def _typos(survey: Survey, found: Found) -> None:
    meant = likely_typos(survey, None)
    rows = np.bincount(survey.label, minlength=len(survey.labels))
    number = {label: k for k, label in enumerate(survey.labels)}
    suspects = np.array([label in meant for label in survey.labels])

    def describe(row: int) -> tuple[str, str]:
        label = survey.labels[int(survey.label[row])]
        right = meant[label]
        return (
            survey.where(row),
            f'"{label[:60]}" is the answer of {plural(int(rows[number[label]]), "row")}, '
            f'"{right[:60]}" of {rows[number[right]]:,}. Correct it if it is a typo.',
        )

    typos: Indices = np.flatnonzero(suspects[survey.label])
    found.each("warning", "label_typo", [int(row) for row in typos], describe)


def check_only_in_test(
    survey: Survey,
    counts: Sequence[LabelCount],
    rows_with: Callable[[str], Indices],
    found: Found,
) -> None:
    """Labels that nobody can learn.

    Args:
        survey: of all rows.
        counts: the labels with their rows.
        rows_with: label -> the rows that have it.
        found: gets the findings.
    """
    if "test" not in survey.parts:
        return
    alone = [count for count in counts if count.total == count.rows.get("test", 0)]
    found.each(
        "warning",
        "label_only_in_test",
        alone,
        lambda count: (
            survey.where(int(rows_with(count.label)[0])),
            f'"{count.label[:60]}" is the answer of {plural(count.total, "test row")} and of no '
            "other: nobody can learn it. Move rows of it to train, or remove them.",
        ),
    )
