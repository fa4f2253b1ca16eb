"""Turns answers that are sets of labels into judgements: order and repetition count nothing."""

from collections.abc import Callable, Sequence

from tunewise.metrics.json_answers import parse_json
from tunewise.metrics.label_metrics import mentioned
from tunewise.metrics.metric import Judgement, Metric
from tunewise.text.comparison import label_form
from tunewise.text.label_sets import set_elements, set_form

_SHOWN = 5


def set_metric(name: str, labels: Sequence[str] | None) -> Metric:
    """`set_f1`: F1 over the labels of each answer, the mean of all; `exact_set`: all or nothing."""
    known = tuple(labels or ())
    value: Callable[[frozenset[str], frozenset[str]], float] = (
        _f1 if name == "set_f1" else lambda given, wanted: float(given == wanted)
    )

    def score(answer: str, target: str) -> Judgement:
        given, wanted = read_set(answer, known), set_form(target, known)
        return Judgement(value=value(given, wanted), reason=_difference(given, wanted))

    return Metric(name=name, binary=name == "exact_set", score=score, labels=known or None)


def read_set(answer: str, labels: tuple[str, ...] = ()) -> frozenset[str]:
    """The forms of the labels that an answer gives.

    With labels, what is none of them counts as the labels that it names ("The labels are: refund
    and delivery"), else as a label too much; where the first line consists of labels, it is all of
    the answer.
    """
    forms = {label_form(label) for label in labels}
    parsed = parse_json(answer)
    if parsed is not None and isinstance(parsed.value, list):
        return set_form(answer, labels)
    lines = [line for line in answer.splitlines() if line.strip()]
    first = set_form(lines[0], labels) if len(lines) > 1 else frozenset[str]()
    if first and first <= forms and not set_form(answer, labels) <= forms:
        return first
    given: set[str] = set()
    for part in set_elements(answer, labels):
        form = label_form(part)
        given |= {form} if form in forms or not forms else mentioned(part, labels) or {form}
    return frozenset(given)


def _f1(given: frozenset[str], wanted: frozenset[str]) -> float:
    """2 |A and B| / (|A| + |B|); two empty sets are equal."""
    total = len(given) + len(wanted)
    return 2 * len(given & wanted) / total if total else 1.0


def _difference(given: frozenset[str], wanted: frozenset[str]) -> str | None:
    missing, extra = _named(wanted - given), _named(given - wanted)
    said = [f"without {missing}" if missing else "", f"{extra} too much" if extra else ""]
    return "; ".join(part for part in said if part) or None


def _named(labels: frozenset[str]) -> str:
    shown = ", ".join(repr(label[:40]) for label in sorted(labels)[:_SHOWN])
    more = len(labels) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
