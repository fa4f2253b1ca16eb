"""Turns answers that are labels into judgements: accuracy and macro F1."""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import regex

from tunewise.metrics.metric import Judgement, Metric
from tunewise.text.comparison import caseless, label_form
from tunewise.text.words import is_unspaced


@lru_cache(maxsize=20_000)
def read_label(answer: str, labels: tuple[str, ...] | None = None) -> str | None:
    """The label that an answer gives, as its `label_form`, or None when it gives none.

    The first line that is not blank decides where it is a label. Else it is cleaned: quotes,
    Markdown signs (a bullet too) and punctuation around it are dropped.

    - Without labels the cleaned line is what the answer says.
    - With labels, a cleaned first line that is a label decides; cleaning counts only while it keeps
      the labels apart. Otherwise the answer counts as the label it names, if it names exactly one
      of them anywhere, as a word of its own ("The category is **refund**."). A label inside a
      longer label is not a mention of it. An answer that names two labels, or none, gives none.
    """
    line = next((line for line in answer.splitlines() if line.strip()), "")
    if labels is None:
        return label_form(_clean_label(line)) or None
    known = _known(labels)
    if (label := known.label(line)) is not None:
        return label
    named = mentioned(answer, labels)
    return named.pop() if len(named) == 1 else None


def mentioned(text: str, labels: tuple[str, ...]) -> set[str]:
    """The forms of all labels that a text names as words of their own."""
    known = _known(labels)
    found = known.mention.findall(caseless(text))
    return {known.of.get(said) or known.of[label_form(said)] for said in found}


def _clean_label(text: str) -> str:
    line = caseless(text)
    return _AROUND_START.sub("", _AROUND_END.sub("", line)) or line


# A hash is a heading where a blank follows, and part of the label in C#.
_AROUND = r"""\s"'`*_>.,:;!?()\[\]{}、。「」『』《》〈〉【】¿¡•·"""
_AROUND_START = re.compile(rf"^(?:[{_AROUND}]|#+\s|-\s)+")
_AROUND_END = re.compile(rf"[{_AROUND}]+$")
# Between these signs a word may end anywhere: their scripts put no spaces, or (Korean) an ending.
_LETTER = r"[\p{L}\p{M}\p{N}_]"


@dataclass(frozen=True, slots=True)
class _Labels:
    """A closed set of labels, and how they are found in an answer."""

    of: Mapping[str, str]
    """What an answer may say -> the form of the label that it means."""
    mention: regex.Pattern[str]

    def label(self, text: str) -> str | None:
        """The form of the label that a text is, to the letter or cleaned."""
        return self.of.get(label_form(text)) or self.of.get(_clean_label(text))


@lru_cache(maxsize=64)
def _known(labels: tuple[str, ...]) -> _Labels:
    forms = {label_form(label): label_form(label) for label in labels}
    cleaned: dict[str, set[str]] = {}
    for form in forms:
        cleaned.setdefault(_clean_label(form), set()).add(form)
    loose = {clean: alike.pop() for clean, alike in cleaned.items() if len(alike) == 1}
    of = loose | forms
    # Longest first, so that "refund request" is not also read as "refund".
    alternatives = "|".join(_alone(said) for said in sorted(of, key=lambda x: (-len(x), x)) if said)
    return _Labels(of, regex.compile(alternatives or r"(?!)"))


def _alone(said: str) -> str:
    """A pattern for a label as a word of its own, as far as its script has such.

    A number is no part of another (`1` of `1.5`), and a whole one may end in `.0`.
    """
    before = "" if is_unspaced(said[0]) else rf"(?<!{_LETTER})"
    joined = is_unspaced(said[-1]) or "\uac00" <= said[-1] <= "\ud7a3"
    after = "" if joined else rf"(?!{_LETTER})"
    if said[0].isdecimal():
        before += r"(?<!\d[.,])"
    if said[-1].isdecimal():
        after = rf"(?:\.0+)?{after}(?![.,]\d)" if said.lstrip("-").isdecimal() else after
    return before + regex.escape(said) + after


def label_metric(name: str, labels: Sequence[str] | None) -> Metric:
    """`accuracy`, or `macro_f1`: the same of one answer, and an aggregate of all."""
    known = tuple(labels) if labels else None
    closed = _known(known) if known else None

    def meant(target: str) -> str:
        if closed is None:
            return label_form(_clean_label(target))
        return closed.label(target) or label_form(target)

    def score(answer: str, target: str) -> Judgement:
        wanted = meant(target)
        given = read_label(answer, known)
        if given is None:
            return Judgement(value=0.0, reason="the answer names no single label")
        if given == wanted:
            return Judgement(value=1.0)
        return Judgement(value=0.0, reason=f"{given!r} instead of {wanted!r}")

    def macro_f1(answers: Sequence[str], targets: Sequence[str]) -> float:
        wanted = [meant(target) for target in targets]
        given = [read_label(answer, known) for answer in answers]
        return _macro_f1(given, wanted)

    return Metric(
        name=name, binary=True, score=score, aggregate=macro_f1 if name == "macro_f1" else None
    )


def _macro_f1(given: Sequence[str | None], wanted: Sequence[str]) -> float:
    """Mean over the labels that occur in `wanted` of F1 = 2 TP / (2 TP + FP + FN).

    scikit-learn's `f1_score(average="macro")` over these labels, a hundred times faster on the
    short lists that a jackknife asks about once a row.
    """
    right = Counter(label for label, answer in zip(wanted, given, strict=True) if label == answer)
    said, true = Counter(given), Counter(wanted)
    return math.fsum(2 * right[label] / (said[label] + true[label]) for label in true) / len(true)
