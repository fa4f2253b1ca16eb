"""Measures what `[decision] measure` asks for, once the verdict on quality stands."""

from collections.abc import Sequence

import numpy as np

from tunewise.evaluation.dependability import (
    ASKED,
    AskedAgain,
    Inputs,
    chosen_inputs,
    measure_dependability,
)
from tunewise.evaluation.internalised import OnTest, measure_internalised
from tunewise.evaluation.segments import measure_label_noise, measure_segments, parted
from tunewise.metrics.readings import Reading, reading_of
from tunewise.pipelines.curves import PART as CURVES
from tunewise.pipelines.curves import Drawn, draw_curves
from tunewise.pipelines.fitting import Fits, Job
from tunewise.project.contenders import INTERNALISED, way_of
from tunewise.report.verdict_json import Entry, Parts
from tunewise.runs.dependability import Dependability
from tunewise.runs.internalised import Internalised
from tunewise.runs.segments import Segments
from tunewise.storage import write_lines
from tunewise.types import Usage, Verdict


def measure_parts(job: Job, fits: Fits, entries: Sequence[Entry], verdict: Verdict) -> Parts:
    """Everything that is asked for. Nothing is chosen by it."""
    wanted, splits = job.prepared.project.decision.measure, job.prepared.splits
    dependability, usage = (), Usage()
    if "dependability" in wanted:
        dependability, usage = _dependability(job, fits, entries, verdict)
        job.remaining.did_part("dependability", measured=bool(dependability))
    curves, tokens = draw_curves(job, fits) if CURVES in wanted else Drawn(None, {})
    everything = (*splits.train, *splits.dev, *splits.test, *splits.reserved)
    return Parts(
        segments=_segments(job, fits, entries, verdict),
        label_noise=measure_label_noise(everything, job.metric),
        internalised=_internalised(job, fits, entries),
        dependability=dependability,
        usage=usage,
        learning_curve=curves,
        curve_tokens=tokens,
    )


def finalists(fits: Fits, verdict: Verdict) -> list[str]:
    """The best trained contender and the one without training that it was held against."""
    names = (fits.plan.challenger, verdict.untrained or fits.plan.incumbent)
    return [name for name in names if name is not None]


def _segments(job: Job, fits: Fits, entries: Sequence[Entry], verdict: Verdict) -> Segments | None:
    """Both finalists on parts of the test rows; None where there are not two."""
    names = finalists(fits, verdict)
    if len(names) < 2:
        return None
    by_name = {entry.name: entry.measured for entry in entries}
    project, test = job.prepared.project, job.prepared.splits.test
    parts = parted(
        test,
        project.task.kind or "generation",
        project.data.segments,
        labels=project.task.labels,
        group=project.data.group,
    )
    units = job.prepared.splits.units_of(test)
    one, other = (by_name[name] for name in names)
    return measure_segments(one, other, parts, units, binary=job.metric.binary)


def _internalised(job: Job, fits: Fits, entries: Sequence[Entry]) -> Internalised | None:
    """The contender `internalised` beside its teacher; None where one of them is not on test.

    Of those of several bases, the best on dev.
    """
    by_name = {entry.name: entry for entry in entries}
    student = max(
        (entry for entry in entries if way_of(entry.name) == INTERNALISED),
        key=lambda entry: fits.plan.dev_quality[entry.name],
        default=None,
    )
    teacher = student and by_name.get(str(student.fit.settings["teacher"]))
    if student is None or teacher is None:
        return None
    project, splits = job.prepared.project, job.prepared.splits
    one, other = (
        OnTest(
            measured=entry.measured,
            seed=entry.shipped_seed,
            answers=entry.answers[entry.shipped_seed],
        )
        for entry in (student, teacher)
    )
    return measure_internalised(
        one,
        other,
        units=splits.units_of(splits.test),
        binary=job.metric.binary and job.metric.aggregate is None,
        reading=_reading(job),
        margin=project.decision.minimum_gain,
    )


def _reading(job: Job) -> Reading:
    """How this project's answers are read."""
    task = job.prepared.project.task
    return reading_of(
        job.metric, task.kind or "generation", task.labels, instruction=task.instruction
    )


def _dependability(
    job: Job, fits: Fits, entries: Sequence[Entry], verdict: Verdict
) -> tuple[tuple[Dependability, ...], Usage]:
    """Asks both finalists again, and counts what it took; keeps answers in dependability.jsonl."""
    project, splits = job.prepared.project, job.prepared.splits
    seed = project.data.seed
    examples = chosen_inputs(
        splits.test, project.decision.dependability_inputs, np.random.default_rng(seed)
    )
    names = finalists(fits, verdict)
    if not examples or not names:
        return (), Usage()
    by_name = {entry.name: entry for entry in entries}
    lines: list[dict[str, object]] = []
    measured: list[Dependability] = []
    usage = Usage()
    with job.progress.task("dependability", total=ASKED * len(names) * len(examples)) as advance:
        for name in names:
            entry = by_name[name]
            given = {answer.example_id: answer for answer in entry.answers[entry.shipped_seed]}
            found = measure_dependability(
                fits.fitted[name],
                name,
                entry.shipped_seed,
                [given[example.id] for example in examples],
                Inputs(
                    examples=examples,
                    units=splits.units_of(examples),
                    metric=job.metric,
                    reading=_reading(job),
                    seed=seed,
                    advance=advance,
                ),
            )
            measured.append(found.dependability)
            lines += [_line(name, one) for one in found.answers]
            usage = sum((one.answer.usage for one in found.answers), usage)
    write_lines(job.run.file("dependability.jsonl"), lines)
    return tuple(measured), usage


def _line(contender: str, one: AskedAgain) -> dict[str, object]:
    return {
        "example_id": one.example.id,
        "contender": contender,
        "seed": one.answer.seed,
        "way": one.way,
        "asked": one.asked,
        "text": one.answer.text,
        "error": one.answer.error,
        "kept": one.kept,
        "broken": one.broken,
    }
