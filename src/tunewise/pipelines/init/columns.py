"""Guesses which column of a table is the input and which the answer, and says why.

Names, lengths and the number of different values are weighed.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from tunewise.pipelines.init.unfit import why_unfit
from tunewise.text.comparison import label_form
from tunewise.text.words import count_words

_INPUT_WORDS = {
    "text": 1.0, "message": 1.0, "body": 1.0, "question": 1.0, "input": 1.0, "prompt": 1.0,
    "query": 1.0, "utterance": 1.0, "content": 0.9, "description": 0.9, "request": 0.9,
    "review": 0.9, "comment": 0.9, "complaint": 0.9, "sentence": 0.9, "transcript": 0.9,
    "dialogue": 0.9, "dialog": 0.9, "conversation": 0.8, "inquiry": 0.9, "enquiry": 0.9,
    "feedback": 0.8, "article": 0.8, "document": 0.7, "clause": 0.8, "note": 0.7, "notes": 0.6,
    "problem": 0.7, "source": 0.3, "email": 0.5, "mail": 0.5, "ticket": 0.3, "subject": 0.4,
    "title": 0.3, "headline": 0.4, "details": 0.7, "issue": 0.5, "verbatim": 0.9,
    "nachricht": 1.0, "frage": 1.0, "anfrage": 0.9, "beschreibung": 0.9, "mensaje": 1.0,
    "pregunta": 1.0, "texte": 1.0, "texto": 1.0,
}  # fmt: skip
_ANSWER_WORDS = {
    "label": 1.0, "category": 1.0, "class": 1.0, "answer": 1.0, "output": 1.0, "response": 1.0,
    "reply": 1.0, "completion": 1.0, "target": 1.0, "intent": 1.0, "sentiment": 0.9, "topic": 0.9,
    "summary": 0.9, "translation": 0.9, "expected": 0.9, "gold": 0.9, "solution": 0.8,
    "decision": 0.8, "classification": 0.9, "department": 0.7, "queue": 0.7, "tag": 0.7,
    "outcome": 0.7, "resolution": 0.6, "urgency": 0.6, "priority": 0.5, "severity": 0.6,
    "type": 0.6, "rating": 0.6, "result": 0.6, "reason": 0.5, "team": 0.4, "code": 0.4,
    "score": 0.4, "json": 0.6, "kategorie": 1.0, "antwort": 1.0, "respuesta": 1.0,
    "reponse": 1.0, "etiqueta": 1.0,
}  # fmt: skip
_SETTLED = {"final", "gold", "correct", "true", "human", "verified", "approved", "expected"}
_UNSETTLED = {
    "predicted", "prediction", "auto", "automatic", "suggested", "old", "initial", "previous",
    "draft", "model", "ai", "bot", "guess", "confidence",
}  # fmt: skip
_PEOPLE = {
    "agent", "assignee", "assigned", "owner", "author", "handler", "handled", "operator", "clerk",
    "editor", "annotator", "labeler", "labeller", "reviewer", "employee", "staff", "creator",
    "name", "user", "customer", "client", "sender", "from", "to", "by",
}  # fmt: skip
_CIRCUMSTANCES = {
    "channel", "language", "lang", "locale", "country", "region", "city", "status", "state",
    "plan", "tier", "version", "platform", "device", "browser", "split", "year", "month", "day",
}  # fmt: skip
_GROUP_WORDS = {
    "customer", "client", "user", "account", "company", "organisation", "organization", "patient",
    "member", "author", "sender", "session", "thread", "conversation", "dialogue", "dialog",
    "case", "document", "doc", "contract", "order", "household", "device", "speaker",
    "subscriber", "student", "group", "kunde", "kundennummer", "cliente",
}  # fmt: skip
_DATE = re.compile(
    r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([T ,]+\d{1,2}:\d{2}.{0,16})?|\d{1,2}:\d{2}(:\d{2})?"
    r"|\d{1,2}\.? [A-Za-z]{3,9}\.? \d{2,4}.*|[A-Za-z]{3,9}\.? \d{1,2},? \d{2,4}.*"
)
_NUMBER = re.compile(r"[-+]?[\d.,]+ ?%?")
_CODE = re.compile(r"\S*\d\S*")
_ADDRESS = re.compile(r"\S+@\S+\.\S+|https?://\S+|www\.\S+")
_LONG_LABEL = 80
_OPEN_ANSWERS = {
    "answer", "output", "response", "reply", "completion", "target", "expected", "solution",
    "result", "gold", "input", "question", "prompt",
}  # fmt: skip
"""Names of columns that may well hold another number in each row: sums and their results."""
_MAX_UNFIT = 6
_LIKELY = 0.5
"""A score from which a column is named as an alternative."""
MIN_GROUPS = 40
"""With fewer groups, less than 10 of them fall into test, and no interval can be computed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """What the rows looked at say about a column."""

    name: str
    filled: float
    """Share of the rows that have a value."""
    distinct: int
    """Different values."""
    words: float
    """Mean words of a value."""
    form: str
    """`text`, `object`, `number`, `date`, `code` or `address`: what nearly all values are."""
    most_common: float
    """Share of the values that are the most frequent one."""
    closed: bool
    """Whether a few short values repeat: a set of labels."""
    unfit: str
    """Why it can be neither input nor answer; empty where it may be one."""

    @property
    def named_like_input(self) -> bool:
        """Whether its name is one that inputs have."""
        return _best_word(self.name, _INPUT_WORDS) > 0

    @property
    def named_like_answer(self) -> bool:
        """Whether its name is one that answers have."""
        return _best_word(self.name, _ANSWER_WORDS) > 0

    @property
    def shown(self) -> str:
        """What a person sees in a comment: its form in a few words."""
        if self.form in ("number", "date", "code", "address"):
            return {"code": "codes", "address": "addresses"}.get(self.form, f"{self.form}s")
        if self.closed:
            return f"{self.distinct} different values"
        if self.form == "object":
            return "objects"
        return f"{self.words:.0f} words a row" if self.words >= 1.5 else "single words"


@dataclass(frozen=True, kw_only=True, slots=True)
class ColumnChoice:
    """The columns that seem to be input and answer."""

    input: Column
    output: Column
    other_inputs: tuple[Column, ...]
    """What else might be the input, the likeliest first."""
    other_outputs: tuple[Column, ...]
    unfit: tuple[Column, ...]
    """What can be neither."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Grouping:
    """A column that may say which rows belong together."""

    name: str
    groups: int
    rows: int
    """Rows that have a value."""

    @property
    def usable(self) -> bool:
        """Whether there are enough groups to decide anything."""
        return self.groups >= MIN_GROUPS


def look_at(rows: Sequence[Mapping[str, object]]) -> list[Column]:
    """The columns of some rows, in the order in which they first occur."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return [_column(name, [row.get(name) for row in rows]) for name in names if name.strip()]


def choose_columns(rows: Sequence[Mapping[str, object]]) -> ColumnChoice | None:
    """The likeliest input and answer; None when no two columns can be."""
    columns = look_at(rows)
    asked = {c.name: score for c in columns if (score := _input_score(c)) is not None}
    answers = {c.name: score for c in columns if (score := _output_score(c)) is not None}
    by_name = {column.name: column for column in columns}
    pairs = [(a, b) for a in asked for b in answers if a != b]
    if not pairs:
        return None
    best = max(pairs, key=lambda pair: asked[pair[0]] + answers[pair[1]])
    return ColumnChoice(
        input=by_name[best[0]],
        output=by_name[best[1]],
        other_inputs=_others(asked, best, by_name),
        other_outputs=_others(answers, best, by_name),
        unfit=tuple(column for column in columns if column.unfit),
    )


def unfit_pair(rows: Sequence[Mapping[str, object]], names: Sequence[str]) -> str:
    """Why columns known by their names cannot be input and answer after all; empty if they can."""
    columns = {column.name: column for column in look_at(rows)}
    wrong = [columns[name] for name in names if name in columns and columns[name].unfit]
    return unfit_columns(wrong) if wrong else ""


def unfit_columns(columns: Sequence[Column]) -> str:
    """Columns with why they can be neither input nor answer."""
    return ", ".join(f'"{column.name}" ({column.unfit})' for column in columns[:_MAX_UNFIT])


def group_columns(rows: Sequence[Mapping[str, object]], used: Sequence[str]) -> list[Grouping]:
    """Columns whose values repeat and whose names say who or what a row is from."""
    found: list[Grouping] = []
    for column in look_at(rows):
        words = name_words(column.name)
        if column.name in used or not words & _GROUP_WORDS or column.form in ("date", "object"):
            continue
        values = [_text(row.get(column.name)) for row in rows]
        filled = [value for value in values if value]
        repeated = len(filled) >= 1.1 * column.distinct
        if repeated and column.distinct > 1 and column.most_common <= 0.3 and column.filled > 0.5:
            found.append(Grouping(name=column.name, groups=column.distinct, rows=len(filled)))
    # An id tells people apart better than a name does.
    return sorted(found, key=lambda one: (not one.usable, "id" not in name_words(one.name)))


def name_words(name: str) -> set[str]:
    """The words of a column's name, in lower case: `FinalCategory` is final and category."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return set(re.findall(r"[^\W_]+", spaced.casefold()))


def _column(name: str, values: Sequence[object]) -> Column:
    texts = [text for value in values if (text := _text(value))]
    # Labels are one but for case and spacing; long texts are no labels.
    counts = Counter(label_form(text) if len(text) <= _LONG_LABEL else text for text in texts)
    form = "text"
    if texts and sum(isinstance(value, dict | list) for value in values) > len(texts) / 2:
        form = "object"
    else:
        for kind, pattern in (("date", _DATE), ("number", _NUMBER), ("address", _ADDRESS)):
            if _share(pattern, texts) >= 0.9:
                form = kind
                break
        else:
            if _share(_CODE, texts) >= 0.9 and fmean(map(len, texts)) <= 40:
                form = "code"
    few = len(counts) <= max(2, min(100, len(texts) / 3))
    return Column(
        name=name,
        filled=len(texts) / max(len(values), 1),
        distinct=len(counts),
        words=fmean(count_words(text) for text in texts) if texts else 0.0,
        form=form,
        unfit=why_unfit(name, texts, form, open_answer=bool(name_words(name) & _OPEN_ANSWERS)),
        most_common=max(counts.values()) / len(texts) if texts else 0.0,
        closed=form != "object"
        and len(counts) > 1
        and few
        and all(len(text) <= _LONG_LABEL for text in counts),
    )


def _text(value: object) -> str:
    if value is None:
        return ""
    return value.strip() if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _share(pattern: re.Pattern[str], texts: Sequence[str]) -> float:
    return sum(pattern.fullmatch(text) is not None for text in texts) / max(len(texts), 1)


def _best_word(name: str, words: Mapping[str, float]) -> float:
    return max((words.get(word, 0.0) for word in name_words(name)), default=0.0)


def _input_score(column: Column) -> float | None:
    if column.form != "text" or column.filled < 0.5 or column.distinct < 2 or column.unfit:
        return None
    words = name_words(column.name)
    score = 2 * _best_word(column.name, _INPUT_WORDS) + min(column.words / 12, 1.5)
    score += 0.5 if not column.closed else -1.5
    score -= 1.5 * bool(words & _PEOPLE & {*words} and column.words < 4)
    score -= 1.2 * bool(_best_word(column.name, _ANSWER_WORDS) > 0.7)
    return (
        score
        if score > 0 and (column.words >= 2 or _best_word(column.name, _INPUT_WORDS))
        else None
    )


def _output_score(column: Column) -> float | None:
    if column.form in ("date", "code", "address") or column.distinct < 2 or column.filled < 0.3:
        return None
    if column.unfit:
        return None
    words = name_words(column.name)
    named = _best_word(column.name, _ANSWER_WORDS)
    if not named and not column.closed and column.form != "object":
        return None
    score = 2 * named + (0.8 if column.closed else 0.3) + 0.5 * (column.form == "object")
    score += 0.4 * bool(words & _SETTLED) - 0.8 * bool(words & _UNSETTLED)
    score -= 1.5 * bool(words & _PEOPLE) + 0.7 * bool(words & _CIRCUMSTANCES)
    score -= 0.5 * (column.form == "number") + (1 - column.filled)
    score -= 0.5 * (column.distinct == 2 and column.most_common > 0.95)
    return score


def _others(
    scores: Mapping[str, float], best: tuple[str, str], by_name: Mapping[str, Column]
) -> tuple[Column, ...]:
    left = [name for name, score in scores.items() if name not in best and score >= _LIKELY]
    return tuple(by_name[name] for name in sorted(left, key=lambda n: -scores[n])[:4])
