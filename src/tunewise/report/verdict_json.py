"""Turns what a run measured into what verdict.json says. Decides nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from tunewise.decision.bases import smallest
from tunewise.decision.economics import Economics
from tunewise.decision.plan import Measured, Plan
from tunewise.decision.rule import quality as quality_interval
from tunewise.evaluation.latency import ServedLatency
from tunewise.metrics.by_name import Metric, quality, side_metrics
from tunewise.project.settings import Project
from tunewise.runs.dependability import Dependability
from tunewise.runs.internalised import Internalised
from tunewise.runs.learning_curve import LearningCurves
from tunewise.runs.retention import RetentionResult
from tunewise.runs.schema import (
    ContenderResult,
    Cost,
    FitRecord,
    ModelUsed,
    PlannedComparison,
    Quality,
    RetrievalRecall,
    SkippedContender,
    SplitSizes,
    StoppedContender,
    TaskAsked,
    Tokens,
    VerdictFile,
)
from tunewise.runs.segments import LabelNoise, Segments
from tunewise.statistics.intervals import Interval, NotComputed
from tunewise.statistics.paired import rows_of
from tunewise.text.answer_text import split_thoughts
from tunewise.types import Answer, Fit, Kind, Splits, Stopped, Usage, Verdict
from tunewise.wording import count, out_of_the_race


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Everything measured about one contender that ran."""

    name: str
    fit: Fit
    trained: bool
    ceiling: bool
    shipped_seed: int
    answers: Mapping[int, Sequence[Answer]]
    """seed -> its test answers, in test order."""
    measured: Measured
    latency: ServedLatency
    retrieval: Mapping[str, Any]
    load: tuple[float, ...] = ()
    """Machine seconds a request when many come at once, by round; empty where not measured."""
    base: str = ""
    """What the project calls the base model that it runs on; empty where there is one."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What `[decision] measure` asks for, and what the answers to test tell anyway."""

    dependability: tuple[Dependability, ...] = ()
    usage: Usage = field(default_factory=Usage)
    """Of all requests of dependability."""
    segments: Segments | None = None
    label_noise: LabelNoise | None = None
    internalised: Internalised | None = None
    learning_curve: LearningCurves | None = None
    curve_tokens: Mapping[str, int] = field(default_factory=dict[str, int])
    """What the learning curves took, as `Fit.tokens` counts it."""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A run about to be written down."""

    project: Project
    splits: Splits
    metric: Metric
    plan: Plan
    futile: bool
    use: int
    quick: bool
    entries: Sequence[Entry]
    skipped: Mapping[str, str]
    stopped: Mapping[str, Fit]
    verdict: Verdict
    engine: str
    engine_why: str
    base_of: Mapping[str, str] = field(default_factory=dict[str, str])
    """Contender -> short name of the base model that it runs on, where there are several."""
    notes: Sequence[str]
    reproduce: str
    unused: Mapping[str, int] = field(default_factory=dict[str, int])
    """Setting -> labelled rows that it leaves out."""
    unused_test: int = 0
    """How many of these would be test rows, about."""
    costs: Mapping[str, Cost] = field(default_factory=dict[str, Cost])
    """Contender -> what its requests cost."""
    economics: Economics | None = None
    retention: Mapping[str, RetentionResult] = field(default_factory=dict[str, RetentionResult])
    """Trained contender -> what became of its general ability."""
    retention_missing: str = ""
    """Why there is none: the end of a sentence."""
    parts: Parts = Parts()


def verdict_file(run: Finished) -> VerdictFile:
    """What verdict.json says."""
    task, verdict, plan = run.project.task, run.verdict, run.plan
    test = run.splits.test
    return VerdictFile(
        outcome=verdict.outcome,
        recommended=verdict.recommended,
        reason=verdict.reason,
        rule=verdict.rule,
        metric=run.metric.name,
        n_test=len(test),
        test_set_uses=run.use,
        first_opinion=run.quick,
        task=TaskAsked(instruction=task.instruction, kind=task.kind, metric=task.metric),
        contenders=(
            *(_result(entry, run) for entry in run.entries),
            *(_stopped(name, fit.stopped, fit) for name, fit in run.stopped.items() if fit.stopped),
            *(SkippedContender(name=name, skipped=why) for name, why in run.skipped.items()),
        ),
        comparisons=verdict.comparisons,
        retention=run.retention,
        dependability=run.parts.dependability,
        segments=run.parts.segments,
        label_noise=run.parts.label_noise,
        internalised=run.parts.internalised,
        learning_curve=run.parts.learning_curve,
        constraints=verdict.constraints,
        plan=PlannedComparison(
            incumbent=plan.incumbent,
            challenger=plan.challenger,
            shipped_seed=plan.ships.get(plan.challenger) if plan.challenger else None,
            futile=run.futile,
            written_before_test=True,
        ),
        splits=SplitSizes(
            train=len(run.splits.train),
            dev=len(run.splits.dev),
            test=len(test),
            groups=rows_of(len(test), binary=False, groups=run.splits.units_of(test)).group_count,
            fingerprint=run.splits.fingerprint,
            unused=run.unused,
            unused_test=run.unused_test,
            leaked={where: len(rows) for where, rows in run.splits.leaked.items()},
        ),
        model=ModelUsed(
            base=", ".join(run.project.model.bases), engine=run.engine, why=run.engine_why
        ),
        bases=verdict.bases,
        smallest_base=named.base if (named := smallest(verdict.bases)) else None,
        decision=run.project.decision,
        economics=run.economics,
        examples_needed=verdict.examples_needed,
        finding=verdict.finding,
        untrained=verdict.untrained,
        regret=verdict.regret,
        assurance=verdict.assurance,
        notes=(
            *run.notes,
            _spent(run),
            *_about_thoughts(run.entries),
            *_without_retention(run),
        ),
        reproduce=run.reproduce,
    )


def _without_retention(run: Finished) -> list[str]:
    if not run.retention_missing:
        return []
    why = "a first opinion leaves it out" if run.quick else run.retention_missing
    return [f"Retention (what general ability the training cost) was not measured: {why}."]


def shipped_quality(
    entry: Entry, metric: Metric, splits: Splits, *, answered_only: bool = False
) -> Interval | NotComputed:
    """The quality of the seed that ships, on test, with its interval."""
    return quality_interval(
        entry.measured,
        binary=metric.binary and metric.aggregate is None,
        seed=entry.shipped_seed,
        groups=splits.units_of(splits.test),
        answered_only=answered_only,
    )


def _result(entry: Entry, run: Finished) -> ContenderResult:
    answers = entry.answers[entry.shipped_seed]
    found = shipped_quality(entry, run.metric, run.splits)
    errors = sum(answer.text is None for answer in answers)
    answered = None
    if 0 < errors < len(answers):
        answered = shipped_quality(entry, run.metric, run.splits, answered_only=True).value
    tokens = Tokens(
        prompt=fmean(answer.usage.prompt_tokens for answer in answers),
        cached=entry.latency.cached_tokens,
        completion=fmean(answer.usage.completion_tokens for answer in answers),
        thinking=fmean(answer.usage.thinking_tokens for answer in answers),
    )
    targets = [example.target for example in run.splits.test]
    kind: Kind = run.project.task.kind or "generation"
    return ContenderResult(
        name=entry.name,
        base=run.base_of.get(entry.name),
        quality=Quality(
            value=found.value,
            low=found.low if isinstance(found, Interval) else None,
            high=found.high if isinstance(found, Interval) else None,
            method=found.method if isinstance(found, Interval) else found.reason,
        ),
        seeds=len(entry.answers),
        by_seed={seed: entry.measured.quality(seed) for seed in sorted(entry.measured.scores)},
        errors=errors,
        without_errors=answered,
        cut_in_thoughts=_cut_in_thoughts(answers),
        secondary={
            side.name: quality(side, [answer.text for answer in answers], targets)
            for side in side_metrics(kind, run.metric)
        },
        trained=entry.trained,
        ceiling=entry.ceiling,
        dev=run.plan.dev_quality[entry.name],
        tokens=tokens,
        latency=entry.latency,
        cost=run.costs.get(entry.name),
        load_seconds=entry.load,
        retrieval=RetrievalRecall(**entry.retrieval) if entry.retrieval else None,
        fit=_fit(entry.fit),
    )


def _stopped(name: str, stopped: Stopped, fit: Fit) -> StoppedContender:
    why = out_of_the_race(stopped)
    return StoppedContender(name=name, skipped=why, stopped=stopped, fit=_fit(fit))


def _fit(fit: Fit) -> FitRecord:
    return FitRecord(
        seconds=fit.seconds,
        settings={k: v for k, v in fit.settings.items() if k != "retrieval"},
        tokens=fit.tokens,
        trials=fit.trials,
    )


def _spent(run: Finished) -> str:
    """The tokens of the whole run: what does not depend on the machine."""
    fits = [*(entry.fit for entry in run.entries), *run.stopped.values()]
    read, written, trained = (
        sum(fit.tokens.get(kind, 0) for fit in fits)
        for kind in ("prefilled", "generated", "trained")
    )
    for entry in run.entries:
        for answer in (one for answers in entry.answers.values() for one in answers):
            read += answer.usage.prompt_tokens - answer.usage.cached_tokens
            written += answer.usage.completion_tokens
        usages = [answer.usage for answer in entry.answers[entry.shipped_seed]]
        timed, cached = entry.latency.n or 0, entry.latency.cached_tokens
        read += round(timed * (fmean(u.prompt_tokens for u in usages) - cached))
        written += round(timed * fmean(u.completion_tokens for u in usages))
    again, curves = run.parts.usage, run.parts.curve_tokens
    read += again.prompt_tokens - again.cached_tokens + curves.get("prefilled", 0)
    written += again.completion_tokens + curves.get("generated", 0)
    trained += curves.get("trained", 0)
    return (
        "Tokens of this run, latency, dependability and learning curves included, retention not: "
        f"{count(read)} read, {count(written)} written, {count(trained)} trained on."
    )


def _cut_in_thoughts(answers: Sequence[Answer]) -> int:
    """Answers whose thoughts have no end, so that there is no answer."""
    return sum(split_thoughts(answer.text or "").answer is None for answer in answers)


def _about_thoughts(entries: Sequence[Entry]) -> list[str]:
    """What thinking took, and where it took all; nothing where nobody thought."""
    notes: list[str] = []
    for entry in entries:
        answers = entry.answers[entry.shipped_seed]
        thought = fmean(answer.usage.thinking_tokens for answer in answers)
        if thought:
            written = fmean(answer.usage.completion_tokens for answer in answers)
            notes.append(
                f"{entry.name} thinks: {thought:.0f} of the {written:.0f} tokens that it generates "
                "for an answer are thoughts."
            )
        if cut := _cut_in_thoughts(answers):
            notes.append(
                f"{cut} of {len(answers)} answers of {entry.name} were cut in their thoughts and "
                "count as wrong. More room for them: model.thinking_tokens."
            )
    return notes
