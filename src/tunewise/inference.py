"""Fills in the task of a project - its kind, labels and metric - from the answers in its rows.

It knows nothing of files, and never overrules what the project says.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tunewise.settings import DEFAULT_METRICS, Project
from tunewise.text.comparison import label_form
from tunewise.text.labels import spelled_alike
from tunewise.text.words import count_words
from tunewise.types import Example, Kind

_LONGEST_LABEL = 80
"""Characters of an answer that may be a label."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Inference:
    """A project whose task is complete, and how it became so."""

    project: Project
    reason: str
    """One line for a person; empty when nothing had to be inferred."""


def infer_task(project: Project, examples: Sequence[Example]) -> Inference:
    """Fills the task's kind, labels and metric where the project leaves them open.

    Args:
        project: as loaded; what it says stays.
        examples: rows to look at. Their targets are read, so labels come from all rows given.
    """
    task = project.task
    targets = [example.target.strip() for example in examples]
    kind, why = task.kind, ""
    if kind is None:
        kind, why = _infer_kind(targets, task.labels, documents=project.data.documents is not None)
    labels = task.labels
    if kind == "classification" and labels is None:
        labels = tuple(sorted(set(spelled_alike(targets).values())))
    metric = task.metric or DEFAULT_METRICS[kind]
    if task.metric is None:
        why += f"{'; ' if why else ''}metric {metric}, the usual one for {kind}"
    complete = replace(task, kind=kind, labels=labels, metric=metric)
    return Inference(project=replace(project, task=complete), reason=why)


def _infer_kind(
    targets: Sequence[str], labels: Sequence[str] | None, *, documents: bool
) -> tuple[Kind, str]:
    # Long answers are no labels, whatever their form.
    distinct = {label_form(t) if len(t) <= _LONGEST_LABEL else t for t in targets}
    objects = sum(_is_object(target) for target in targets)
    words = sorted(count_words(target) for target in targets)
    median = words[len(words) // 2] if words else 0
    if labels is not None:
        return "classification", "kind classification, because labels are given"
    if targets and objects > len(targets) / 2:
        return "extraction", (
            f"kind extraction, because {objects} of {len(targets)} answers are JSON objects"
        )
    few = len(distinct) <= max(2, min(100, len(targets) / 3))
    if targets and few and all(len(t) <= _LONGEST_LABEL and "\n" not in t for t in distinct):
        return "classification", (
            f"kind classification, because {len(targets)} rows share {len(distinct)} short answers"
        )
    if documents and median <= 30:
        return "qa", (
            f"kind qa, because documents are given and answers are short (median {median} words)"
        )
    return "generation", f"kind generation, because answers are free text (median {median} words)"


def _is_object(text: str) -> bool:
    if not text.startswith("{"):
        return False
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
