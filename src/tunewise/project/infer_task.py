"""Fills in the task of a project - its kind, labels and metric - from the answers in its rows."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import regex

from tunewise.project.settings import AUTO, DEFAULT_METRICS, Project
from tunewise.text.answer_text import target_proper
from tunewise.text.comparison import comparable, label_form
from tunewise.text.label_sets import as_sets, set_elements
from tunewise.text.labels import spelled_alike
from tunewise.text.words import count_words, words
from tunewise.types import Example, Kind

_MAX_LABEL = 80
"""Characters of an answer that may be a label."""
_LETTERS = regex.compile(r"\p{L}")
_LATIN = regex.compile(r"\p{Script=Latin}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Inference:
    """A project whose task is complete, and how it became so."""

    project: Project
    reason: str
    """One line for a person; empty when nothing had to be inferred."""


def infer_task(
    project: Project, examples: Sequence[Example], *, judged: Sequence[str] = ()
) -> Inference:
    """Fills the task's kind, labels and metric, and thinking, where the project leaves them open.

    Args:
        project: as loaded; what it says stays.
        examples: rows to look at. Their targets are read, so labels come from all rows given.
        judged: further answers that the metric must be able to judge; nothing else is read of them.
    """
    task = project.task
    # What follows an answer's thoughts is the answer.
    targets = [target_proper(example.target).strip() for example in examples]
    thought = sum(target_proper(one.target) != one.target for one in examples)
    kind, why = task.kind, ""
    if kind is None:
        kind, why = _infer_kind(targets, task.labels, documents=project.data.documents is not None)
    labels = task.labels
    if kind == "multilabel" and labels is None:
        every = [one for target in targets for one in set_elements(target)]
        labels = tuple(sorted(set(spelled_alike(every).values())))
    if kind == "classification" and labels is None:
        labels = tuple(sorted(set(spelled_alike(targets).values())))
    metric = task.metric
    if metric is None:
        metric, because = _suited_metric(kind, targets, [target_proper(text) for text in judged])
        why += f"{'; ' if why else ''}metric {metric}, {because}"
    complete = replace(task, kind=kind, labels=labels, metric=metric)
    model = project.model
    if model.thinking == AUTO and model.engine != "openai" and 2 * thought > len(targets):
        model = replace(model, thinking=True)
        why += f"{'; ' if why else ''}thinking on, because {thought} of {len(targets)} answers do"
    return Inference(project=replace(project, task=complete, model=model), reason=why)


def _infer_kind(
    targets: Sequence[str], labels: Sequence[str] | None, *, documents: bool
) -> tuple[Kind, str]:
    # Long answers are no labels, whatever their form.
    distinct = {label_form(t) if len(t) <= _MAX_LABEL else t for t in targets}
    objects = sum(_is_object(target) for target in targets)
    lengths = sorted(count_words(target) for target in targets)
    median = lengths[len(lengths) // 2] if lengths else 0
    sets = as_sets(targets, tuple(labels or ()))
    if sets is not None:
        return "multilabel", (
            f"kind multilabel, because answers are sets of {len(sets.labels)} labels, "
            f"{sets.several} of {len(targets)} hold several"
        )
    if labels is not None:
        return "classification", "kind classification, because labels are given"
    if targets and objects > len(targets) / 2:
        return "extraction", (
            f"kind extraction, because {objects} of {len(targets)} answers are JSON objects"
        )
    few = len(distinct) <= max(2, min(100, len(targets) / 3))
    if targets and few and all(len(t) <= _MAX_LABEL and "\n" not in t for t in distinct):
        return "classification", (
            f"kind classification, because {len(targets)} rows share {len(distinct)} short answers"
        )
    if documents and median <= 30:
        return "qa", (
            f"kind qa, because documents are given and answers are short (median {median} words)"
        )
    return "generation", f"kind generation, because answers are free text (median {median} words)"


def _suited_metric(kind: Kind, targets: Sequence[str], judged: Sequence[str]) -> tuple[str, str]:
    """The usual metric of a kind, or chrF where answers are not made of words with spaces."""
    usual = DEFAULT_METRICS[kind]
    if usual in ("token_f1", "rouge_l"):
        letters = _LETTERS.findall("".join(targets))
        if letters and 2 * sum(map(bool, map(_LATIN.match, letters))) < len(letters):
            return "chrf", "because most answers are not in Latin letters"
        if any(not words(target) for target in (*targets, *judged) if comparable(target)):
            return "chrf", "because some answers hold no word"
    return usual, f"the usual one for {kind}"


def _is_object(text: str) -> bool:
    if not text.startswith("{"):
        return False
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
