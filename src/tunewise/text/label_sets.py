"""Turns an answer that is several labels into its labels, and back into what rows write.

Their order and repetition count nothing.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import regex

from tunewise.text.comparison import label_form
from tunewise.text.labels import spelled_alike

JSON = "json"
SEPARATORS = {",": ", ", ";": "; ", "|": " | ", "\n": "\n"}
"""What may stand between labels -> how it is written."""
MIN_SHARE = 0.15
"""Of the rows have to hold several labels, where answers are to be taken for sets."""
_MAX_LENGTH, _MAX_WORDS = 40, 5
_SPLIT = regex.compile(r"\s*[,;|\n，；、｜]\s*")
_JSON_TEXT = regex.compile(r'"(?:[^"\\]|\\.)*"')
_BULLET = regex.compile(r"^(?:[-*•]\s+|\d{1,2}[.)]\s+)+")
_AROUND = "\"'`“”„‘’«»*[]{}()"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sets:
    """Answers that are sets of labels."""

    labels: tuple[str, ...]
    """All labels, each in one spelling, sorted."""
    several: int
    """Answers that hold more than one."""
    form: str
    """`JSON`, or one of `SEPARATORS`."""


@lru_cache(maxsize=20_000)
def set_elements(text: str, labels: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The labels of an answer in its order, each once, as they are written.

    Args:
        text: a JSON list of texts or numbers, or labels with `SEPARATORS` between them.
        labels: the labels that are known: one that holds a separator is not taken apart.
    """
    listed = _json_list(text)
    parts = _parts(text, labels) if listed is None else listed
    first: dict[str, str] = {}
    for part in parts:
        if part:
            first.setdefault(label_form(part), part)
    return tuple(first.values())


def set_form(text: str, labels: tuple[str, ...] = ()) -> frozenset[str]:
    """What two answers share when they are the same set: the forms of their labels."""
    return frozenset(label_form(one) for one in set_elements(text, labels))


def respelled(text: str, right: Mapping[str, str], labels: tuple[str, ...] = ()) -> str:
    """The answer with each label spelled as `right` says; all else stays as it is written.

    Args:
        text: an answer, as `set_elements` reads it.
        right: label as written -> how it is to be written.
        labels: the labels that are known.
    """
    if _json_list(text) is not None:
        return _JSON_TEXT.sub(lambda found: _respelled_text(found.group(), right), text)
    text, written, done = text.strip(), "", 0
    for start, stop in _spans(text, labels):
        label = _bare(text[start:stop], labels)
        begin = text.rfind(label, start, stop)
        written += text[done:begin] + right.get(label, label)
        done = begin + len(label)
    return written + text[done:]


def write_set(labels: Sequence[str], form: str) -> str:
    """Labels as answers of this form have them; see `Sets.form`."""
    if form == JSON:
        return json.dumps(list(labels), ensure_ascii=False)
    return SEPARATORS[form].join(labels)


def form_of(answers: Iterable[str]) -> str:
    """How most answers with several labels are written; a comma where none has several."""
    counts: Counter[str] = Counter()
    for answer in answers:
        if _json_list(answer) is not None:
            counts[JSON] += 1
        else:
            counts.update(sign for sign in SEPARATORS if sign in answer.strip())
    return counts.most_common(1)[0][0] if counts else ","


def how_to_answer(answers: Iterable[str]) -> str:
    """What a model has to be told so that it writes sets as these answers do."""
    between = {",": "commas", ";": "semicolons", "|": "the sign |", "\n": "line breaks"}
    form = form_of(answers)
    if form == JSON:
        return "Answer with a JSON list of all labels that apply, and nothing else."
    return f"Answer with all labels that apply, {between[form]} between them, and nothing else."


def as_sets(answers: Sequence[str], labels: tuple[str, ...] = ()) -> Sets | None:
    """The sets of labels that answers are, or None where they are something else.

    They are sets where few short labels make up nearly all of them, enough answers hold several,
    and the labels are free in their place: what always follows the same word (`Yes, please`), or
    only ever stands behind (`Rome, Italy`), is a part of an answer and no label.
    """
    answers = [answer.strip() for answer in answers if answer.strip()]
    found = [set_elements(answer, labels) for answer in answers]
    several = [one for one in found if len(one) > 1]
    if not answers or len(several) < max(2, MIN_SHARE * len(answers)):
        return None
    right = spelled_alike([one for elements in found for one in elements], labels)
    rows = Counter(label_form(one) for elements in found for one in elements)
    if any(len(one) > _MAX_LENGTH or len(one.split()) > _MAX_WORDS for one in right):
        return None
    if len(rows) > max(2, min(100, len(answers) / 3)) or len(rows) < 2:
        return None
    repeated = sum(n for n in rows.values() if n > 1)
    if repeated < 0.95 * rows.total():
        return None
    form = form_of(answers)
    if form != JSON and not (labels and {label_form(one) for one in labels} >= rows.keys()):
        leading = {label_form(elements[0]) for elements in found if elements}
        behind = {label_form(one) for elements in several for one in elements[1:]}
        if 2 * len(behind & leading) < len(behind) or len(behind) < 2:
            return None
    return Sets(labels=tuple(sorted(set(right.values()))), several=len(several), form=form)


def _json_list(text: str) -> list[str] | None:
    if not text.lstrip().startswith("["):
        return None
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    items = cast("list[object]", value) if isinstance(value, list) else [None]
    if not all(
        isinstance(item, str | int | float) and not isinstance(item, bool) for item in items
    ):
        return None
    return [_written(item) for item in items]


def _respelled_text(literal: str, right: Mapping[str, str]) -> str:
    label = cast(str, json.loads(literal)).strip()
    new = right.get(label, label)
    return literal if new == label else json.dumps(new, ensure_ascii=False)


def _written(item: object) -> str:
    """A label; of numbers 1 and 1.0 are one."""
    whole = isinstance(item, float) and item.is_integer()
    return str(int(cast(float, item)) if whole else item).strip()


def _parts(text: str, labels: tuple[str, ...]) -> list[str]:
    text = text.strip()
    return [_bare(text[start:stop], labels) for start, stop in _spans(text, labels)]


def _spans(text: str, labels: tuple[str, ...]) -> list[tuple[int, int]]:
    """Where the labels of a text begin and end, with what stands around their words."""
    between = [found.span() for found in _SPLIT.finditer(text)]
    starts = [0, *(end for _, end in between)]
    stops = [*(start for start, _ in between), len(text)]
    joined = {label_form(label) for label in labels if _SPLIT.search(label)}
    spans: list[tuple[int, int]] = []
    at = 0
    while at < len(starts):
        last = _longest(text, starts, stops, at, joined) if joined else at
        spans.append((starts[at], stops[last]))
        at = last + 1
    return spans


def _longest(
    text: str, starts: Sequence[int], stops: Sequence[int], at: int, joined: set[str]
) -> int:
    """The last piece of the longest known label that begins with piece `at`, or `at`."""
    for last in range(len(stops) - 1, at, -1):
        if label_form(text[starts[at] : stops[last]]) in joined:
            return last
    return at


def _bare(piece: str, labels: tuple[str, ...]) -> str:
    """Without a bullet and what stands around a word, unless that is a label."""
    known: Callable[[str], bool] = {label_form(label) for label in labels}.__contains__
    if known(label_form(piece)):
        return piece
    bare = _BULLET.sub("", piece.strip()).strip(_AROUND).strip()
    return bare or piece.strip()
