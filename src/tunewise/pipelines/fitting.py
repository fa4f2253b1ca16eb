"""Fits everyone on train and dev, and writes down what test will be asked: plan.json.

Contenders run cheapest first; what dev shows to be too far behind the best is asked no more.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import fmean
from typing import TypeVar

from tunewise.contenders.build import ContenderSet
from tunewise.contenders.fine_tune import FineTune
from tunewise.contenders.protocol import Contender, Fitted, NotApplicable, TrainedContender
from tunewise.contenders.race import Race
from tunewise.contenders.teaching import best_teacher
from tunewise.data.prepare import Prepared
from tunewise.decision.plan import Measured, Plan, choose_plan, futile
from tunewise.evaluation.measure import measure
from tunewise.metrics.by_name import Metric
from tunewise.pipelines.remaining import Remaining
from tunewise.progress import Progress
from tunewise.project.contenders import effort, label_of
from tunewise.runs.folder import RunFolder
from tunewise.runs.records import dump
from tunewise.runs.schema import PLAN, WrittenPlan
from tunewise.storage import write_json
from tunewise.types import Example, Fit
from tunewise.wording import in_points, out_of_the_race

_Any = TypeVar("_Any", bound=Contender)


@dataclass(frozen=True, kw_only=True)
class Job:
    """What every step of one run shares."""

    prepared: Prepared
    metric: Metric
    field: ContenderSet
    race: Race
    """Who answered what on dev."""
    run: RunFolder
    progress: Progress
    remaining: Remaining
    """Tells the bar of the whole run how much is done."""


@dataclass(frozen=True, kw_only=True)
class Fits:
    """What fitting on train and dev gave."""

    fitted: Mapping[str, Fitted]
    """Contenders that are asked on test."""
    skipped: Mapping[str, str]
    """Contender -> why it did not run."""
    stopped: Mapping[str, Fit]
    """Contenders that dev showed to be too far behind."""
    plan: Plan
    futile: bool
    """Whether dev showed that training is not worth further seeds."""
    notes: tuple[str, ...]


def fit_all(job: Job) -> Fits:
    """Fits everyone on train and dev, decides who trains further seeds, and writes plan.json."""
    fitting = _Fitting(job)
    field = job.field
    for contender in fitting.in_turn(field.untrained.values()):
        fitting.fit(contender)
    fitting.look_back()
    fitting.drop(field.untrained)
    incumbent = fitting.plan().incumbent if fitting.fitted else None
    for contender in fitting.in_turn(field.trained.values()):
        fitting.fit(fitting.taught(contender))
    trained = [name for name in field.trained if name in fitting.fitted]
    if any(fitting.fitted[name].fit.stopped is None for name in trained):
        fitting.drop(trained)
    challenger = fitting.plan().challenger if fitting.fitted else None
    hopeless = False
    if challenger is None:
        job.remaining.did_seeds(None)
    else:
        hopeless = fitting.hopeless(challenger, incumbent)
        fitting.further_seeds(challenger, incumbent, hopeless=hopeless)
        fitting.drop([name for name in trained if name != challenger])
    # Named while every trained contender had one seed: further seeds of its own do not undo it.
    final = replace(fitting.plan(), challenger=challenger)
    stopped = {name: fit.stopped for name, fit in fitting.stopped.items() if fit.stopped}
    plan_file = WrittenPlan(**asdict(final), futile=hopeless, stopped=stopped)
    write_json(job.run.file("plan.json"), dump(PLAN, plan_file))
    job.run.event("planned", incumbent=final.incumbent, challenger=final.challenger)
    order = [*field.untrained, *field.trained]
    return Fits(
        fitted={name: fitting.fitted[name] for name in order if name in fitting.fitted},
        skipped=fitting.skipped,
        stopped=fitting.stopped,
        plan=final,
        futile=hopeless,
        notes=tuple(fitting.notes),
    )


@dataclass
class _Fitting:
    """Who is fitted so far."""

    job: Job
    fitted: dict[str, Fitted] = field(default_factory=dict[str, Fitted])
    on_dev: dict[str, Measured] = field(default_factory=dict[str, Measured])
    """Of all that were fitted and answered all of dev, also of those who are out since."""
    skipped: dict[str, str] = field(default_factory=dict[str, str])
    stopped: dict[str, Fit] = field(default_factory=dict[str, Fit])
    notes: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        self.skipped |= self.job.field.skipped
        for name, reason in self.skipped.items():
            self.job.run.event("skipped", contender=name, reason=reason)
            self.job.remaining.out(name)

    def in_turn(self, contenders: Iterable[_Any]) -> list[_Any]:
        """Cheapest first; those of one base model after those of another, which is closed then."""
        base_of = self.job.field.base_of
        bases = list(dict.fromkeys(base_of.values()))

        def place(one: _Any) -> tuple[int, float]:
            base = base_of.get(one.name)
            return (0 if base is None else bases.index(base)), effort(one.name)

        return sorted(contenders, key=place)

    def fit(self, contender: Contender) -> None:
        """Fits one contender, unless it cannot be used."""
        job, name = self.job, contender.name
        candidate = job.field.ceilings.get(name, True)
        try:
            with job.run.timed(name):
                found = contender.fit(
                    job.prepared.splits.train, job.race if candidate else job.race.apart()
                )
        except NotApplicable as reason:
            self.skipped[name] = reason.reason
            job.run.event("skipped", contender=name, reason=reason.reason)
            job.remaining.out(name)
            job.progress.note(f"{name}: skipped, {reason.reason}")
        else:
            self._keep(name, found)
            job.run.event("fitted", contender=name, **self._on_dev(name, found.fit))
            if found.fit.stopped:
                job.progress.note(f"{name}: {out_of_the_race(found.fit.stopped)}")
            elif candidate:
                job.race.add(name, found.fit.dev_answers[min(found.seeds)])
            early = job.run.seconds()[name] if found.fit.stopped else None
            job.remaining.did(name, "fit", seconds=early)

    def taught(self, contender: TrainedContender) -> TrainedContender:
        """One that learns what another says with its prompt, with the best that is still in."""
        if not isinstance(contender, FineTune) or contender.way != "prompt":
            return contender
        dev = {
            name: fmean(one.quality(seed) for seed in one.scores)
            for name, one in self.on_dev.items()
        }
        teacher = best_teacher(self.fitted, dev, label=label_of(contender.name))
        return replace(contender, teacher=teacher)

    def look_back(self) -> None:
        """Tells those who asked a model which of them a later contender left far behind."""
        race = self.job.race
        for name, runner in race.chosen.items():
            found = self.fitted.get(name)
            if found and not race.to_the_end and race.surely_behind(runner):
                stopped = race.stopped(runner)
                self.job.progress.note(f"{name}: {out_of_the_race(stopped)}")
                self.job.run.event("out", contender=name, reason=out_of_the_race(stopped))
                self._out(name, replace(self.fitted[name].fit, stopped=stopped))

    def drop(self, names: Sequence[str] | Mapping[str, Contender]) -> None:
        """Asks those of the contenders no more that are surely too far behind."""
        for name in list(names):
            if name in self.fitted and self.fitted[name].fit.stopped:
                self._out(name, self.fitted[name].fit)

    def _out(self, name: str, fit: Fit) -> None:
        del self.fitted[name]
        self.stopped[name] = fit
        self.job.remaining.out(name)

    def plan(self) -> Plan:
        """From dev, of those who are still in."""
        project = self.job.prepared.project
        return choose_plan(
            [self.on_dev[name] for name in self.fitted],
            minimum_gain=project.decision.minimum_gain,
            seeds_wanted=project.training.seeds,
        )

    def hopeless(self, challenger: str, incumbent: str | None) -> bool:
        """Whether dev shows that the challenger does not gain enough."""
        prepared = self.job.prepared
        if incumbent is None or prepared.project.training.seeds == 1:
            return False
        return self.fitted[challenger].fit.stopped is not None or futile(
            self.on_dev[challenger],
            self.on_dev[incumbent],
            minimum_gain=prepared.project.decision.minimum_gain,
            groups=prepared.splits.units_of(prepared.splits.dev),
        )

    def further_seeds(self, challenger: str, incumbent: str | None, *, hopeless: bool) -> None:
        """Trains the challenger's other seeds, unless they are not worth it."""
        job = self.job
        splits, project = job.prepared.splits, job.prepared.project
        seeds = project.training.seeds
        if seeds == 1:
            job.remaining.did_seeds(None)
            return
        others = [n for n in job.field.trained if n in self.fitted and n != challenger]
        if hopeless:
            self.notes.append(
                f"Seeds 2 to {seeds} were skipped: dev already shows that {challenger} does not "
                f"gain {in_points(project.decision.minimum_gain)} over {incumbent}."
            )
        else:
            with job.run.timed(challenger):
                further = self.taught(job.field.trained[challenger]).replicate(
                    self.fitted[challenger], splits.train, job.race, seeds=seeds
                )
            self._keep(challenger, further)
            self.notes += [
                f"{name} was trained once: {challenger} does better on dev, so that further seeds "
                f"of {name} could not change the verdict."
                for name in others
            ]
        job.remaining.did_seeds(None if hopeless else challenger)

    def _on_dev(self, name: str, fit: Fit) -> dict[str, object]:
        """What the event of a fit says beside its name, for whoever follows the race."""
        if fit.stopped is not None:
            stopped = fit.stopped
            return {"dev": stopped.quality, "rows": stopped.rows, "out": out_of_the_race(stopped)}
        on_dev = self.on_dev.get(name)
        return {} if on_dev is None else {"dev": on_dev.quality(min(on_dev.scores))}

    def _keep(self, name: str, found: Fitted) -> None:
        self.fitted[name] = found
        if answers := found.fit.dev_answers:
            self.on_dev[name] = measured(self.job, name, answers, self.job.prepared.splits.dev)


def measured(
    job: Job, name: str, answers: Mapping[int, Sequence[str | None]], rows: Sequence[Example]
) -> Measured:
    """One contender on dev or test: the same quality on both."""
    return measure(
        name,
        answers,
        [example.target for example in rows],
        job.metric,
        trained=name in job.field.trained,
        ceiling=not job.field.ceilings.get(name, True),
        base=job.field.base_of.get(name, ""),
    )
