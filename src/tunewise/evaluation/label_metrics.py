"""Turns answers that are labels into judgements: accuracy and macro F1.

It knows nothing of other metrics.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from tunewise.evaluation.metric import Judgement, Metric


@lru_cache(maxsize=20_000)
def read_label(answer: str, labels: tuple[str, ...] | None = None) -> str | None:
    """The label that an answer gives, normalised, or None when it gives none.

    The first line that is not blank is cleaned: surrounding white space, quotes, Markdown signs
    (a bullet too) and punctuation are dropped, inner white space is one blank, case is folded.

    - Without labels the cleaned line is what the answer says.
    - With labels, a cleaned first line that is a label decides. Otherwise the answer counts as the
      label it names, if it names exactly one of them anywhere, as a word of its own ("The category
      is **refund**."). A label inside a longer label is not a mention of it. An answer that names
      two labels, or none, gives none.
    """
    line = next((line for line in answer.splitlines() if line.strip()), "")
    cleaned = _clean_label(line)
    if labels is None:
        return cleaned or None
    known, mention = _label_pattern(labels)
    if cleaned in known:
        return cleaned
    named = {_clean_label(found) for found in mention.findall(_one_line(answer))}
    return named.pop() if len(named) == 1 else None


def _clean_label(text: str) -> str:
    folded = _one_line(text).removeprefix("- ")
    return folded.strip(" \t\"'`*_#>.,:;!?“”‘’«»()[]{}") or folded


def _one_line(text: str) -> str:
    return " ".join(text.split()).casefold()


@lru_cache(maxsize=64)
def _label_pattern(labels: tuple[str, ...]) -> tuple[frozenset[str], re.Pattern[str]]:
    known = frozenset(_clean_label(label) for label in labels)
    # Longest first, so that "refund request" is not also read as "refund".
    alternatives = "|".join(re.escape(label) for label in sorted(known, key=lambda x: (-len(x), x)))
    return known, re.compile(rf"(?<!\w)(?:{alternatives})(?!\w)")


def label_metric(name: str, labels: Sequence[str] | None) -> Metric:
    """`accuracy`, or `macro_f1`: the same of one answer, and an aggregate of all."""
    known = tuple(labels) if labels else None

    def score(answer: str, target: str) -> Judgement:
        wanted = _clean_label(target)
        given = read_label(answer, known)
        if given is None:
            return Judgement(value=0.0, reason="the answer names no single label")
        if given == wanted:
            return Judgement(value=1.0)
        return Judgement(value=0.0, reason=f"{given!r} instead of {wanted!r}")

    def macro_f1(answers: Sequence[str], targets: Sequence[str]) -> float:
        wanted = [_clean_label(target) for target in targets]
        given = [read_label(answer, known) for answer in answers]
        return _macro_f1(given, wanted)

    return Metric(
        name=name, binary=True, score=score, aggregate=macro_f1 if name == "macro_f1" else None
    )


def _macro_f1(given: Sequence[str | None], wanted: Sequence[str]) -> float:
    """Mean over the labels that occur in `wanted` of F1 = 2 TP / (2 TP + FP + FN).

    scikit-learn's `f1_score(average="macro")` over these labels, a hundred times faster on the
    short lists that a bootstrap asks about ten thousand times.
    """
    right = Counter(label for label, answer in zip(wanted, given, strict=True) if label == answer)
    said, true = Counter(given), Counter(wanted)
    return math.fsum(2 * right[label] / (said[label] + true[label]) for label in true) / len(true)
