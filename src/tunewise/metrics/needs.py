"""Says what a metric needs from a target, and why it cannot judge by one that lacks it.

A metric that cannot judge some target gives its row a score that means nothing, or stops in the
middle of a run: hence every target is asked about before anything is fitted.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tunewise.errors import UserError
from tunewise.metrics.custom import own_metric_function
from tunewise.metrics.json_answers import parse_json
from tunewise.metrics.label_metrics import read_label
from tunewise.project.settings import RANKING_METRICS
from tunewise.text.answer_text import target_proper
from tunewise.text.comparison import comparable, label_form
from tunewise.text.label_sets import set_form
from tunewise.text.rankings import read_ranking
from tunewise.text.words import words


@dataclass(frozen=True, kw_only=True, slots=True)
class Lack:
    """What is wrong between a metric and a target."""

    message: str
    """What it is and what to do, as sentences."""
    certain: bool = True
    """Whether the metric cannot judge; else a person has to."""


Needs = Callable[[str], Lack | None]
"""A target -> what it lacks; None: nothing."""


def needs_of(
    name: str, labels: Sequence[str] | None = None, *, folder: Path | None = None
) -> Needs:
    """What the metric that tunewise.toml calls `name` needs from targets.

    Args:
        name: one of `METRICS`, or "module:function".
        labels: the closed set of answers, when targets have to be of it.
        folder: where `module.py` is looked for first.

    Raises:
        UserError: the function of the user's cannot be imported.
    """
    if ":" in name:
        own = own_metric_function(name, folder)
        return lambda target: _own(own.value, name, target)
    match name:
        case "accuracy" | "macro_f1":
            known = tuple(labels) if labels else None
            return _proper(lambda target: _label(name, known, target))
        case "set_f1" | "exact_set":
            known = tuple(labels or ())
            return _proper(lambda target: _set(name, known, target))
        case "json_fields":
            return _proper(_json_object)
        case "token_f1" | "rouge_l":
            return _proper(lambda target: _word(name, target))
        case _ if name in RANKING_METRICS:
            return _proper(lambda target: _named(name, target))
        case _:
            return _proper(lambda target: _visible(name, target))


def _proper(why: Callable[[str], str | None]) -> Needs:
    """Of what is compared with answers: the target without thoughts before it."""

    def needs(target: str) -> Lack | None:
        message = why(target_proper(target))
        return None if message is None else Lack(message=message)

    return needs


def _label(name: str, labels: tuple[str, ...] | None, target: str) -> str | None:
    if read_label(target, labels) is not None:
        return None
    return (
        f"{_shown(target)} names no single label, which {name} needs. Correct it, or choose "
        "another metric."
    )


def _set(name: str, labels: tuple[str, ...], target: str) -> str | None:
    forms = {label_form(label) for label in labels}
    if not forms or set_form(target, labels) <= forms:
        return None
    return (
        f"{_shown(target)} holds what is none of [task] labels, which {name} needs. Correct it, or "
        "add it to labels."
    )


def _json_object(target: str) -> str | None:
    parsed = parse_json(target)
    if parsed is not None and parsed.is_object:
        return None
    return (
        f"{_shown(target)} is no JSON object, which json_fields needs. Mend this row, or choose "
        'another metric (metric = "exact_match" judges any JSON).'
    )


def _word(name: str, target: str) -> str | None:
    if words(target):
        return None
    return (
        f"{_shown(target)} holds no word, which {name} needs. Mend this row, or choose another "
        'metric (metric = "chrf" judges signs).'
    )


def _named(name: str, target: str) -> str | None:
    if read_ranking(target):
        return None
    return (
        f"{_shown(target)} names no document, which {name} needs. Write the document that answers, "
        'or several as a JSON list: ["stove.md", "care.md#Washing"].'
    )


def _visible(name: str, target: str) -> str | None:
    if comparable(target):
        return None
    return f"The answer shows nothing on screen, so that {name} cannot judge by it. Write it."


def _own(value: Callable[[str, str], float], name: str, target: str) -> Lack | None:
    try:
        given = value(target, target)
    except UserError as error:
        return Lack(message=f"The metric cannot judge by this answer. {error}")
    if given > 1 - 1e-9:
        return None
    return Lack(
        message=f"{name} gives this answer, which is right by definition, only {given:g}. Look "
        "whether the function is what you mean: (answer, target) -> 1 where the answer is right.",
        certain=False,
    )


def _shown(target: str) -> str:
    return f'The answer "{comparable(target)[:60]}"'
