"""What is wrong with answers that are sets of labels: each label is looked at, not each answer."""

from collections import Counter

import numpy as np

from tunewise.data.checks.findings import Found, plural
from tunewise.data.checks.labels import FREQUENT, RARE, LabelCount, meant_label
from tunewise.data.checks.survey import Survey
from tunewise.project import Task
from tunewise.text.comparison import label_form
from tunewise.text.label_sets import set_elements
from tunewise.text.labels import spelled_alike


def check_label_sets(survey: Survey, task: Task, found: Found) -> list[LabelCount]:
    """Faults of the labels in sets.

    Returns:
        The labels with their rows, the most frequent first; empty where answers are too many.
    """
    if not survey.spellings:
        return []
    known = task.labels or ()
    sets = [set_elements(answer, known) for answer in survey.spellings]
    sizes = np.bincount(survey.spelling, minlength=len(sets)).tolist()
    written: Counter[str] = Counter()
    for elements, rows in zip(sets, sizes, strict=True):
        for one in elements:
            written[one] += rows
    right = spelled_alike(written, known)
    by_form: Counter[str] = Counter()
    for one, rows in written.items():
        by_form[right[one]] += rows
    declared = {label_form(label) for label in known}
    if task.labels is None:
        frequent = [label for label, rows in by_form.items() if rows >= FREQUENT]
        doubtful = {label for label, rows in by_form.items() if rows <= RARE}
    else:
        frequent = list(known)
        doubtful = {label for label in by_form if label_form(label) not in declared}
    meant = {label: meant_label(label, frequent) for label in doubtful}
    faulty = [
        (row, right[one])
        for row in range(len(survey))
        for one in sets[int(survey.spelling[row])]
        if right[one] in doubtful and (task.labels is not None or meant[right[one]])
    ]

    def describe(fault: tuple[int, str]) -> tuple[str, str]:
        row, label = fault
        if task.labels is None:
            return (
                survey.where(row),
                f'"{label[:60]}" is a label of {plural(by_form[label], "row")}, '
                f'"{(meant[label] or "")[:60]}" of {by_form[meant[label] or ""]:,}. '
                "Correct it if it is a typo.",
            )
        near = meant[label]
        hint = f'Did you mean "{near}"?' if near else "Correct it, or add it to labels."
        return survey.where(row), f'"{label[:60]}" is not among [task] labels. {hint}'

    if task.labels is None:
        found.each("warning", "label_typo", faulty, describe)
    else:
        found.each("error", "unknown_label", faulty, describe)
    return _counts(survey, sets, right)


def _counts(survey: Survey, sets: list[tuple[str, ...]], right: dict[str, str]) -> list[LabelCount]:
    rows: dict[str, Counter[str]] = {}
    for part in survey.parts:
        numbers = np.bincount(survey.spelling[survey.rows_of(part)], minlength=len(sets)).tolist()
        for elements, n in zip(sets, numbers, strict=True):
            for one in elements:
                rows.setdefault(right[one], Counter())[part] += n
    counts = [LabelCount(label=label, rows=dict(parts)) for label, parts in rows.items()]
    return sorted(counts, key=lambda count: (-count.total, count.label))
