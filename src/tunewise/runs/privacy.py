"""Masks secrets and personal data in what a report shows of rows and answers. Knows no layout."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import cast

from tunewise.data.checks.personal import without_personal_data
from tunewise.runs.schema import ContenderResult, Json, Run
from tunewise.types import JsonValue


def without_personal(run: Run) -> Run:
    """The run with personal data masked in its rows, its answers and what contenders chose.

    What is masked is what `check` finds: keys, tokens, addresses, numbers, never names.
    """
    found: list[str] = []

    def mask(text: str) -> str:
        shown = without_personal_data(text)
        if shown != text:
            found.append(text)
        return shown

    tests = tuple(replace(row, input=mask(row.input), target=mask(row.target)) for row in run.tests)
    answers = tuple(
        replace(
            answer,
            text=None if answer.text is None else mask(answer.text),
            error=None if answer.error is None else mask(answer.error),
        )
        for answer in run.answers
    )
    scores = tuple(
        replace(score, reason=mask(score.reason)) if score.reason else score for score in run.scores
    )
    contenders = tuple(
        _contender(one, mask) if isinstance(one, ContenderResult) else one for one in run.contenders
    )
    segments = run.segments and replace(
        run.segments,
        items=tuple(replace(one, value=mask(one.value)) for one in run.segments.items),
    )
    return replace(
        run,
        segments=segments,
        tests=tests,
        answers=answers,
        scores=scores,
        contenders=contenders,
        masked=bool(found),
    )


def _contender(contender: ContenderResult, mask: Callable[[str], str]) -> ContenderResult:
    fit = contender.fit
    settings = cast(Json, _masked(fit.settings, mask))
    trials = tuple(cast(Json, _masked(trial, mask)) for trial in fit.trials)
    return replace(contender, fit=replace(fit, settings=settings, trials=trials))


def _masked(value: JsonValue, mask: Callable[[str], str]) -> JsonValue:
    """The value with every text in it masked; its keys are settings' names."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, Mapping):
        return {key: _masked(item, mask) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [_masked(item, mask) for item in value]
    return value
