"""What a metric takes from one answer, without a target: what is scored, and whether it has a form.

Two answers with the same reading are scored alike, whatever the target is.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from tunewise.metrics.json_answers import canonical, parse_json
from tunewise.metrics.label_metrics import read_label
from tunewise.metrics.metric import Metric
from tunewise.metrics.set_metrics import read_set
from tunewise.project.settings import RANKING_METRICS
from tunewise.text.answer_text import answer_proper, asks_for_mark
from tunewise.text.comparison import caseless, comparable, label_form
from tunewise.text.rankings import read_ranking
from tunewise.types import Kind


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """How answers of one task are read."""

    scored: Callable[[str], Hashable]
    """An answer -> what is scored of it."""
    broken: Callable[[str], bool]
    """Whether an answer lacks the form that a program which reads it relies on."""
    form: str
    """That form, for a person: `one of the labels`."""


def reading_of(
    metric: Metric,
    kind: Kind,
    labels: tuple[str, ...] | None = None,
    *,
    instruction: str = "",
) -> Reading:
    """How a metric reads answers to a task.

    Args:
        metric: the primary one.
        kind: what is asked for; it decides which form an answer has to have.
        labels: the closed set, where there is one.
        instruction: of the task; where it asks for a mark, what stands behind it is read.
    """
    own = ":" in metric.name
    marks = not own and asks_for_mark(instruction)

    def proper(answer: str) -> str | None:
        """The answer without thoughts and fences; None: it was thought to the end."""
        return answer_proper(answer, "", fences=not own, marks=marks).answer

    def of(read: Callable[[str], Hashable]) -> Callable[[str], Hashable]:
        def scored(answer: str) -> Hashable:
            said = proper(answer)
            return None if said is None else read(said)

        return scored

    def lacks(formed: Callable[[str], bool]) -> Callable[[str], bool]:
        def broken(answer: str) -> bool:
            said = proper(answer)
            return said is None or not formed(said)

        return broken

    known = tuple(labels or ())
    if metric.name in ("accuracy", "macro_f1"):
        scored = of(lambda said: read_label(said, known or None))
    elif metric.name in ("set_f1", "exact_set"):
        scored = of(lambda said: read_set(said, known))
    elif metric.name == "json_fields":
        scored = of(lambda said: _values(said, ordered=False, text=caseless))
    elif metric.name in RANKING_METRICS:
        scored = of(lambda said: read_ranking(said)[:1])
    elif metric.name == "exact_match":
        scored = of(lambda said: _values(said, ordered=True, text=comparable))
    else:
        scored = of(comparable)
    if kind == "classification" and known:
        return Reading(
            scored=scored,
            broken=lacks(lambda said: read_label(said, known) is not None),
            form="names one of the labels",
        )
    if kind == "multilabel" and known:
        forms = {label_form(label) for label in known}
        return Reading(
            scored=scored,
            broken=lacks(lambda said: read_set(said, known) <= forms),
            form="holds none but the labels",
        )
    if kind == "extraction":
        return Reading(scored=scored, broken=lacks(_is_json), form="is a JSON object or list")
    if kind == "search":
        return Reading(
            scored=scored,
            broken=lacks(lambda said: bool(read_ranking(said))),
            form="names a document",
        )
    return Reading(
        scored=scored, broken=lacks(lambda said: bool(comparable(said))), form="says something"
    )


def _is_json(said: str) -> bool:
    parsed = parse_json(said)
    return parsed is not None and isinstance(parsed.value, dict | list)


def _values(said: str, *, ordered: bool, text: Callable[[str], str]) -> Hashable:
    """The values of a JSON answer; of any other its words as they stand."""
    parsed = parse_json(said)
    if parsed is None:
        return "no JSON", comparable(said)
    return "JSON", canonical(parsed.value, ordered=ordered, text=text)
