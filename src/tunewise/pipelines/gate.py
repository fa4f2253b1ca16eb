"""`tunewise eval` on one page: models answer the gate set, and each is let through or not.

Looks are counted before they are told; what models answered and scored is kept nowhere.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from tunewise.contenders.answering import texts
from tunewise.data.fingerprints import item_hash
from tunewise.data.gate import gate_units
from tunewise.data.prepare import Prepared
from tunewise.decision.gate import ONLY, Gate, GateReport, GateResult, gate_rows
from tunewise.decision.plan import Measured
from tunewise.errors import UserError
from tunewise.evaluation.collect import GROUP
from tunewise.evaluation.measure import measure
from tunewise.metrics.by_name import Metric, metric_of
from tunewise.models.engines.open import EngineOpener, open_engine
from tunewise.pipelines.gate_models import Entrant, EntrantOpener
from tunewise.pipelines.gate_reading import GateAsked, demands_of
from tunewise.progress import Progress
from tunewise.runs.gate_history import GATE_HISTORY, GateHistory, GateLook, answers_hash
from tunewise.statistics.adaptive_looks import look_error
from tunewise.types import Answer, Example
from tunewise.wording import plural, whole_percent

FAIR_CHANCE = 0.5
"""Below this chance of a model as good as the baseline, a gate set is called used up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    """One model's answers to all rows, in their order."""

    answers: list[Answer]
    seconds: float

    @property
    def crashed(self) -> int:
        return sum(answer.text is None for answer in self.answers)


def run_gate(
    prepared: Prepared,
    asked: GateAsked,
    *,
    progress: Progress,
    opener: EngineOpener = open_engine,
    clock: Callable[[], float] = time.perf_counter,
) -> GateReport:
    """Puts models through a project's gate set.

    Args:
        prepared: from `read_for_gate`.
        asked: which models, and what they have to show.
        progress: informed of what is being done.
        opener: opens engines of base models; what it opens is closed at the end.
        clock: seconds.

    Raises:
        UserError: a fault in the gate set, a model or the history. Then nothing was told, and no
            look is counted.
    """
    project = prepared.project
    demands = demands_of(project, asked)
    rows = prepared.gate.examples if prepared.gate else ()
    metric = metric_of(project)
    binary = metric.binary and metric.aggregate is None
    frame = gate_rows(len(rows), binary=binary, units=gate_units(rows))
    if frame.shortage:
        raise UserError(f"[data] gate: holds {frame.shortage}. Add rows to it.")
    history = GateHistory(asked.history or project.root / GATE_HISTORY, rows)
    if history.opened:
        raise UserError(
            "[data] gate: numbers of these rows were shown (--open), so nobody can be judged by "
            "them any more. Name a gate set of new rows."
        )
    with ExitStack() as stack:
        models = EntrantOpener(
            prepared=prepared, metric=metric, progress=progress, opener=opener, stack=stack
        )
        release = None if asked.baseline is None else models.open(asked.baseline)
        entrants = [models.open(name) for name in asked.models]
        before = None if release is None else _answers(release, rows, progress, clock)
        if before is not None and before.crashed:
            raise UserError(
                f"{asked.baseline}: {plural(before.crashed, 'answer')} of the baseline crashed "
                f"({_why(before)}), which would lower the bar. Mend that and ask again; this was "
                "no look."
            )
        given = [_answers(one, rows, progress, clock) for one in entrants]
    judging = _Judging(
        gate=Gate(
            rows=frame,
            baseline=None if before is None else _measured("baseline", before, rows, metric),
            demands=demands,
        ),
        rows=rows,
        metric=metric,
        asked=asked,
        before=before,
        history=history,
    )
    with history.held():
        results = tuple(
            judging.look(name, answers) for name, answers in zip(asked.models, given, strict=True)
        )
        if asked.opened:
            history.open()
    return GateReport(
        metric=metric.name,
        rows=len(rows),
        units=frame.group_count,
        baseline=asked.baseline,
        demands=demands,
        results=results,
        notes=tuple(_notes(results, opened=asked.opened)),
    )


@dataclass(frozen=True, kw_only=True)
class _Judging:
    """One call's looks, one after the other."""

    gate: Gate
    rows: Sequence[Example]
    metric: Metric
    asked: GateAsked
    before: _Asked | None
    history: GateHistory

    def look(self, name: str, given: _Asked) -> GateResult:
        """Judges one model and writes the look down; the same answers again are no further look."""
        demands = self.gate.demands
        what = [
            [item_hash(row) for row in self.rows], self.metric.name, demands.margin, demands.floor
        ]  # fmt: skip
        answers = answers_hash(
            what, texts(given.answers), texts(self.before.answers) if self.before else ()
        )
        looks = self.history.looks
        place = self.history.place_of(answers)
        measured = _measured(name, given, self.rows, self.metric)
        if place is None:
            error = look_error([one.passed for one in looks])
            passed = self.gate.passes(measured, error=error)
            self.history.note(
                GateLook(
                    model=name,
                    passed=passed,
                    answers=answers,
                    error=error,
                    metric=self.metric.name,
                    baseline=self.asked.baseline,
                    margin=demands.margin,
                    floor=demands.floor,
                )
            )
        else:
            error, passed = looks[place - 1].error, looks[place - 1].passed
        return GateResult(
            model=name,
            passed=passed,
            look=place or len(looks) + 1,
            error=error,
            repeated=place is not None,
            chance=self.gate.chance(error),
            crashed=given.crashed,
            seconds=given.seconds,
            numbers=self.gate.numbers(measured) if self.asked.opened else None,
        )


def _answers(
    one: Entrant, rows: Sequence[Example], progress: Progress, clock: Callable[[], float]
) -> _Asked:
    """Asks a model all rows.

    Raises:
        UserError: not one answer came back.
    """
    inputs = [row.input for row in rows]
    answers: list[Answer] = []
    began = clock()
    with progress.task(f"{one.name}: gate", total=len(inputs)) as advance:
        for start in range(0, len(inputs), GROUP):
            group = inputs[start : start + GROUP]
            answers += one.answering.answer(group, seed=ONLY)
            advance(len(group))
    found = _Asked(answers=answers, seconds=clock() - began)
    if found.crashed == len(answers):
        raise UserError(
            f"{one.name}: no answer came back ({_why(found)}). Mend that and ask again; this was "
            "no look."
        )
    return found


def _why(asked: _Asked) -> str:
    return next((answer.error for answer in asked.answers if answer.error), "no reason given")


def _measured(name: str, given: _Asked, rows: Sequence[Example], metric: Metric) -> Measured:
    return measure(
        name,
        {ONLY: texts(given.answers)},
        [row.target for row in rows],
        metric,
        trained=False,
        ceiling=False,
    )


def _notes(results: Sequence[GateResult], *, opened: bool) -> list[str]:
    notes: list[str] = []
    chances = [one.chance for one in results if one.chance is not None]
    if chances and min(chances) < FAIR_CHANCE:
        notes.append(
            "A model exactly as good as the baseline would pass here with a chance of about "
            f"{whole_percent(min(chances))}: the gate set is too small, or used up by its looks. "
            "Replace it by more, and new, rows."
        )
    if opened:
        notes.append("The numbers were shown: this gate set judges nobody any more.")
    return notes
