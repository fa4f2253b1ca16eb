"""Turns an answer and its target into a value from 0 (wrong) to 1 (right).

Every contender is read by the same rules, so that a talkative model and a terse one are judged
alike. This module knows nothing of contenders, engines, intervals or files of a run.
"""

import difflib
import math
import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, cast

import sacrebleu
from rouge_score import rouge_scorer  # pyright: ignore[reportMissingTypeStubs]

from tunewise.errors import UserError
from tunewise.evaluation.json_answers import canonical, flatten, parse_object
from tunewise.evaluation.own_metric import own_metric_function
from tunewise.settings import METRICS
from tunewise.types import Answer, JsonValue, Kind, Score

CRASHED = ""
"""What an answer that crashed reads as where a metric needs a text: never right by itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """What a metric says about one answer."""

    value: float
    """0 (wrong) to 1 (right)."""
    reason: str | None = None
    """Why, where the value alone does not say it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """How answers are judged."""

    name: str
    binary: bool
    """Whether every value is 0 or 1; decides which interval and test are right."""
    score: Callable[[str, str], Judgement]
    """(answer, target) -> judgement of one answer."""
    aggregate: Callable[[Sequence[str], Sequence[str]], float] | None = None
    """(answers, targets) -> the quality of all of them; None: the mean of the single values."""


def metric_named(
    name: str, labels: Sequence[str] | None = None, *, folder: Path | None = None
) -> Metric:
    """The metric that tunewise.toml calls `name`.

    Args:
        name: one of `METRICS`, or "module:function" for a function (answer, target) -> a number
            from 0 to 1, or a bool; a result type annotated as bool makes the metric binary.
        labels: the closed set of answers, when there is one; used by accuracy and macro_f1.
        folder: where to look for `module.py` first (the project's folder); then among the
            installed modules.

    Raises:
        UserError: no such metric, or the function cannot be imported.
    """
    if ":" in name:
        function = own_metric_function(name, folder)
        return Metric(
            name=name,
            binary=function.binary,
            score=lambda answer, target: Judgement(value=function.value(answer, target)),
        )
    match name:
        case "accuracy" | "macro_f1":
            return _label_metric(name, labels)
        case "exact_match":
            return Metric(name=name, binary=True, score=_exact_match)
        case "json_fields":
            return Metric(name=name, binary=False, score=_json_fields)
        case "token_f1":
            return Metric(name=name, binary=False, score=_token_f1)
        case "rouge_l":
            return Metric(name=name, binary=False, score=_rouge_l)
        case "chrf":
            return Metric(name=name, binary=False, score=_chrf)
        case _:
            near = difflib.get_close_matches(name, METRICS, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Use one of: {', '.join(METRICS)}."
            raise UserError(
                f"task.metric: there is no metric {name!r}. {hint} "
                'A function of your own is written "module:function".'
            )


def side_metrics(kind: Kind, primary: Metric | None = None) -> tuple[Metric, ...]:
    """Metrics shown beside the primary one: never decisive, always of interest.

    Extraction (or a primary metric that reads JSON) shows `valid_json` and `exact_match`, question
    answering shows `exact_match`; the others show nothing. The primary metric is not repeated.
    """
    shown: list[Metric] = []
    if kind == "extraction" or (primary is not None and primary.name == "json_fields"):
        shown = [
            Metric(name="valid_json", binary=True, score=_valid_json),
            metric_named("exact_match"),
        ]
    elif kind == "qa":
        shown = [metric_named("exact_match")]
    return tuple(metric for metric in shown if primary is None or metric.name != primary.name)


def score_answers(
    metric: Metric, answers: Sequence[Answer], targets: Mapping[str, str]
) -> list[Score]:
    """One score per answer, in the order of the answers.

    An answer that crashed is not scorable: value None, with the error as the reason.

    Args:
        metric: how to judge.
        answers: from any contenders and seeds.
        targets: example id -> the answer wanted.

    Raises:
        UserError: the metric cannot be used on these targets, or the user's own function failed.
    """
    return [_score_answer(metric, answer, targets) for answer in answers]


def quality(metric: Metric, answers: Sequence[str | None], targets: Sequence[str]) -> float:
    """The metric over all answers: its aggregate, or the mean of the single values.

    Args:
        metric: how to judge.
        answers: one text per target; None for an answer that crashed, which counts as wrong.
        targets: the answers wanted, at least one.
    """
    if metric.aggregate is not None:
        return metric.aggregate(
            [text if text is not None else CRASHED for text in answers], targets
        )
    values = [
        0.0 if answer is None else metric.score(answer, target).value
        for answer, target in zip(answers, targets, strict=True)
    ]
    return math.fsum(values) / len(values)


def _score_answer(metric: Metric, answer: Answer, targets: Mapping[str, str]) -> Score:
    if answer.text is None:
        judgement = None
        reason = answer.error
    else:
        judgement = metric.score(answer.text, targets[answer.example_id])
        reason = judgement.reason
    return Score(
        example_id=answer.example_id,
        contender=answer.contender,
        seed=answer.seed,
        metric=metric.name,
        value=None if judgement is None else judgement.value,
        reason=reason,
    )


# --- accuracy and macro F1 ------------------------------------------------------------------------


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


def _label_metric(name: str, labels: Sequence[str] | None) -> Metric:
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


# --- JSON -----------------------------------------------------------------------------------------


def _target_object(target: str) -> dict[str, JsonValue]:
    wanted = parse_object(target)
    if wanted is None:
        raise UserError(
            f"task.metric: json_fields needs targets that are JSON objects, and {target[:60]!r} is "
            "none. Mend that row, or choose another metric."
        )
    return wanted


def _json_fields(answer: str, target: str) -> Judgement:
    wanted = Counter(flatten(_target_object(target)))
    parsed = parse_object(answer)
    if parsed is None:
        return Judgement(value=0.0, reason="not a JSON object")
    given = Counter(flatten(parsed))
    shared = (given & wanted).total()
    value = 2 * shared / (given.total() + wanted.total())
    wrong = sorted({path or "{}" for path, _, _ in (given - wanted) + (wanted - given)})
    return Judgement(value=value, reason=f"differs in {', '.join(wrong)}" if wrong else None)


def _valid_json(answer: str, target: str) -> Judgement:
    valid = parse_object(answer) is not None
    return Judgement(value=float(valid), reason=None if valid else "not a JSON object")


def _exact_match(answer: str, target: str) -> Judgement:
    """Equal with white space collapsed; JSON objects are equal when their values are.

    Case and punctuation count. The order of keys in an object does not; true is not 1.
    """
    wanted = parse_object(target)
    if wanted is None:
        return Judgement(value=float(answer.split() == target.split()))
    given = parse_object(answer)
    if given is None:
        return Judgement(value=0.0, reason="not a JSON object")
    return Judgement(value=float(canonical(given) == canonical(wanted)))


# --- text -----------------------------------------------------------------------------------------

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def _squad_tokens(text: str) -> list[str]:
    """Normalisation of the official SQuAD script (Rajpurkar et al. 2016).

    Lower case, ASCII punctuation and the articles a, an, the dropped, white space collapsed.
    """
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()


def _token_f1(answer: str, target: str) -> Judgement:
    """F1 over the words shared (Rajpurkar et al. 2016, "SQuAD", section 6.1).

    Where either side has no words left, 1 if both have none, else 0 (SQuAD 2.0's script).
    """
    given, wanted = _squad_tokens(answer), _squad_tokens(target)
    if not given or not wanted:
        return Judgement(value=float(given == wanted))
    shared = (Counter(given) & Counter(wanted)).total()
    return Judgement(value=2 * shared / (len(given) + len(wanted)))


class _Rouge(Protocol):
    """The part of rouge-score that is used; the package has no types."""

    def score(self, target: str, prediction: str) -> Mapping[str, Any]: ...


_ROUGE = cast(_Rouge, rouge_scorer.RougeScorer(["rougeL"], use_stemmer=True))
_ROUGE_READS = re.compile(r"[a-z0-9]", re.IGNORECASE)
_CHRF = sacrebleu.CHRF()


def _rouge_l(answer: str, target: str) -> Judgement:
    """F-measure of the longest common subsequence (Lin 2004), with Porter stems.

    Google's rouge-score reads a-z and 0-9 only; for other scripts use chrf.
    """
    if not _ROUGE_READS.search(target):
        raise UserError(
            f"task.metric: rouge_l reads Latin letters and digits only, and {target[:60]!r} has "
            'none. Use metric = "chrf".'
        )
    return Judgement(value=float(_ROUGE.score(target, answer)["rougeL"].fmeasure))


def _chrf(answer: str, target: str) -> Judgement:
    """Character n-gram F-score chrF2 (Popović 2015) as sacrebleu computes it, over 100."""
    return Judgement(value=_CHRF.sentence_score(answer, [target]).score / 100)
