"""Turns an answer and its target into a value from 0 (wrong) to 1 (right).

Every contender is read by the same rules, so that a talkative model and a terse one are judged
alike.
"""

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tunewise.errors import UserError
from tunewise.metrics.custom import own_metric_function
from tunewise.metrics.json_metrics import exact_match, json_fields, valid_json
from tunewise.metrics.label_metrics import label_metric
from tunewise.metrics.metric import Aggregate, Judgement, Metric
from tunewise.metrics.ranking_metrics import ranking_metric
from tunewise.metrics.set_metrics import set_metric
from tunewise.metrics.text_metrics import chrf, rouge_l, token_f1
from tunewise.project.settings import METRICS, RANKING_METRICS, Project
from tunewise.text.answer_text import Pair, answer_proper, asks_for_mark, closes_with_mark
from tunewise.types import Answer, Kind, Score

if TYPE_CHECKING:
    from tunewise.statistics.intervals import IntArray
    from tunewise.statistics.jackknife import Statistic

CRASHED = ""
"""What an answer that crashed reads as where a metric needs a text: never right by itself."""


def metric_of(project: Project) -> Metric:
    """The metric of a project's task.

    Args:
        project: complete: its metric is inferred.

    Raises:
        UserError: as `metric_named`.
    """
    task = project.task
    return metric_named(
        str(task.metric), task.labels, folder=project.root, instruction=task.instruction
    )


def metric_named(
    name: str,
    labels: Sequence[str] | None = None,
    *,
    folder: Path | None = None,
    instruction: str = "",
) -> Metric:
    """The metric that tunewise.toml calls `name`; it judges the answer proper (`answer_text`).

    Args:
        name: one of `METRICS`, or "module:function" for a function (answer, target) -> a number
            from 0 to 1, or a bool; a result type annotated as bool makes the metric binary.
        labels: the closed set of answers, when there is one; used by accuracy and macro_f1.
        folder: where to look for `module.py` first (the project's folder); then among the
            installed modules.
        instruction: the task's. If it asks for steps and a mark before the answer, every contender
            is asked so, and is judged by what stands behind the mark.

    Raises:
        UserError: no such metric, or the function cannot be imported.
    """
    if ":" in name:
        function = own_metric_function(name, folder)
        own = Metric(
            name=name,
            binary=function.binary,
            score=lambda answer, target: Judgement(value=function.value(answer, target)),
        )
        # A function of the user's may look for a fence or a mark itself.
        return _of_answers_proper(own, whole=True)
    return _of_answers_proper(_built_in(name, labels), marked=asks_for_mark(instruction))


def _of_answers_proper(metric: Metric, *, marked: bool = False, whole: bool = False) -> Metric:
    """The metric on what `answer_proper` leaves of answers and targets: every metric's one way in.

    An answer that is thought to the end is none: wrong under every metric.

    Args:
        metric: on texts as they are.
        marked: whether answers were asked to stand behind a mark. Without that, marks are read only
            by metrics of right and wrong, where the target gives its result behind one.
        whole: whether fences and marks are left to the metric.
    """

    def proper(answer: str, target: str) -> Pair:
        marks = not whole and (marked or (metric.binary and closes_with_mark(target)))
        return answer_proper(answer, target, fences=not whole, marks=marks)

    def score(answer: str, target: str) -> Judgement:
        pair = proper(answer, target)
        if pair.answer is None:
            return Judgement(value=0.0, reason="thoughts without an answer")
        return metric.score(pair.answer, pair.target)

    aggregate = metric.aggregate
    if aggregate is None:
        return replace(metric, score=score)

    def of_all(answers: Sequence[str], targets: Sequence[str]) -> float:
        pairs = [proper(answer, target) for answer, target in zip(answers, targets, strict=True)]
        given = [CRASHED if pair.answer is None else pair.answer for pair in pairs]
        return aggregate(given, [pair.target for pair in pairs])

    return replace(metric, score=score, aggregate=of_all)


def _built_in(name: str, labels: Sequence[str] | None) -> Metric:
    match name:
        case "accuracy" | "macro_f1":
            return label_metric(name, labels)
        case "exact_match":
            return Metric(name=name, binary=True, score=exact_match)
        case "json_fields":
            return Metric(name=name, binary=False, score=json_fields)
        case "token_f1":
            return Metric(name=name, binary=False, score=token_f1)
        case "rouge_l":
            return Metric(name=name, binary=False, score=rouge_l)
        case "set_f1" | "exact_set":
            return set_metric(name, labels)
        case "chrf":
            return Metric(name=name, binary=False, score=chrf)
        case _ if name in RANKING_METRICS:
            return ranking_metric(name)
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
    answering shows `exact_match`, search two recalls; the others show nothing. The primary metric
    is not repeated.
    """
    shown: list[Metric] = []
    if kind == "extraction" or (primary is not None and primary.name == "json_fields"):
        shown = [
            _of_answers_proper(Metric(name="valid_json", binary=True, score=valid_json)),
            metric_named("exact_match"),
        ]
    elif kind == "multilabel" and primary is not None:
        shown = [metric_named("exact_set", primary.labels)]
    elif kind == "qa":
        shown = [metric_named("exact_match")]
    elif kind == "search":
        shown = [metric_named("recall_at_1"), metric_named("recall_at_5")]
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


def over_rows(
    aggregate: Aggregate, answers: Sequence[str | None], targets: Sequence[str]
) -> "Statistic":
    """An aggregate as a function of row indices.

    Args:
        aggregate: of a metric that is no mean.
        answers: one text per target; None for an answer that crashed, which counts as wrong.
        targets: the answers wanted.
    """
    given = [CRASHED if answer is None else answer for answer in answers]

    def of(rows: "IntArray") -> float:
        chosen = [int(row) for row in rows]
        return aggregate([given[row] for row in chosen], [targets[row] for row in chosen])

    return of


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
