"""Whether the project's metric can judge by the answer of every row, before anything is fitted."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tunewise.data.checks.findings import Found
from tunewise.data.checks.survey import Survey
from tunewise.data.read_log import SHOWN
from tunewise.data.splitting.near_duplicates import Indices
from tunewise.errors import UserError
from tunewise.metrics.needs import Lack, needs_of
from tunewise.project.settings import Task

RULE = "metric_cannot_judge"
DOUBT = "metric_below_1"
_AT_ONCE = 10_000


def check_judgeable(survey: Survey, task: Task, folder: Path, found: Found) -> Indices:
    """Rows whose answer lacks what the metric needs, which are given back.

    A function of the user's is tried on each answer as if it had been given. What fails again and
    again is tried no further.

    Args:
        survey: of all rows.
        task: with its metric; None: nothing is judged.
        folder: where a metric of the user's lies.
        found: gets the findings.
    """
    none = np.zeros(0, dtype=np.int64)
    if task.metric is None:
        return none
    # Labels that are not among those of a classification are a finding of their own.
    labels = None if task.kind in ("classification", "multilabel") else task.labels
    try:
        needs = needs_of(task.metric, labels, folder=folder)
    except UserError as error:
        message = str(error).removeprefix("task.metric: ")
        found.add("error", RULE, "task.metric", message)
        return none
    faulty: list[int] = []
    known: dict[str, Lack | None] = {}
    for row, target in targets(survey):
        if target not in known:
            known[target] = needs(target)
        if (lack := known[target]) is None:
            continue
        if not lack.certain:
            found.add("warning", DOUBT, survey.where(row), lack.message)
            continue
        faulty.append(row)
        found.add("error", RULE, survey.where(row), lack.message)
        if ":" in task.metric and len(faulty) > SHOWN:
            break
    return np.array(faulty, dtype=np.int64)


def targets(survey: Survey) -> Iterator[tuple[int, str]]:
    """The rows that have an answer."""
    answered = np.flatnonzero(survey.columns.target_chars > 0)
    for start in range(0, len(answered), _AT_ONCE):
        rows = answered[start : start + _AT_ONCE]
        for row, example in zip(rows, survey.kept.get(rows), strict=True):
            yield int(row), example.target.strip()
