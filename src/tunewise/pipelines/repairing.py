"""Repairs an adapter that forgot too much, before test is opened.

It is weakened first: an update that counts less keeps more of the base (a point on the line between
the two sets of weights; Wortsman et al. 2022, arXiv:2109.01903). Where that does not help it is
trained again in other ways. What is taken is chosen on dev and on one half of the general suite;
what came of it is measured on the other half, and on test.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from tunewise.contenders.answering import FittedPrompt, texts
from tunewise.contenders.fine_tune import FineTune
from tunewise.evaluation.retention import measure_retention
from tunewise.evaluation.suite.items import Suite
from tunewise.models.adapters import can_scale, scale_adapter
from tunewise.models.catalog import LocalModel
from tunewise.models.engines.open import Opened
from tunewise.pipelines.fitting import Fits, Job, measured
from tunewise.pipelines.forgetting import Forgetting
from tunewise.pipelines.retraining import train_again, ways_of
from tunewise.runs.records import dump
from tunewise.runs.retention import Estimate, Repair, RepairPoint, RetentionResult
from tunewise.runs.schema import PLAN, WrittenPlan
from tunewise.storage import write_json
from tunewise.wording import setting

SCALES = (0.75, 0.5, 0.35, 0.2)
"""Tried, beside 1: the adapter as it was trained."""


class Repaired(NamedTuple):
    """What goes on to test."""

    fits: Fits
    forgetting: Forgetting


def sweep(
    scales: Sequence[float],
    *,
    dev: Callable[[float], float],
    change: Callable[[float], Estimate],
    margin: float,
    at_least: float = 0.0,
) -> tuple[RepairPoint, ...]:
    """The points of the frontier, with no more of the general suite than the choice asks.

    Dev is asked from the largest scale down, until it falls and is too low to be taken. Then the
    general suite, best on dev first and the larger scale on ties, until one keeps general ability.

    Args:
        scales: largest first; the first is the adapter as it was trained, which is no repair.
        dev: quality on dev at a scale.
        change: of general ability at a scale; asked seldom, as it takes minutes.
        margin: general ability that may be lost, as a share.
        at_least: quality on dev of the best contender without training; what is worse is no repair.
    """
    found: dict[float, float] = {}
    for scale in scales:
        before = min(found.values(), default=1.0)
        found[scale] = dev(scale)
        if len(found) > 1 and found[scale] < at_least and found[scale] <= before:
            break
    candidates = [scale for scale in scales[1:] if found.get(scale, -1.0) >= at_least]
    changes: dict[float, Estimate] = {}
    for scale in sorted(candidates, key=lambda one: (-found[one], -one)):
        changes[scale] = change(scale)
        if changes[scale].value >= -margin:
            break
    if changes:
        changes[scales[0]] = change(scales[0])
    return tuple(RepairPoint(scale=s, dev=found[s], change=changes.get(s)) for s in found)


def choose_scale(frontier: Sequence[RepairPoint], *, margin: float) -> float | None:
    """The best on dev of those that keep general ability by point estimate, the largest on ties.

    Args:
        frontier: largest scale first; what was not asked the suite cannot be taken.
        margin: general ability that may be lost, as a share.
    """
    keeping = [p for p in frontier if p.change is not None and p.change.value >= -margin]
    best = max(keeping, key=lambda point: point.dev, default=None)
    return None if best is None else best.scale


def repair(job: Job, fits: Fits, opened: Opened, suite: Suite, found: Forgetting) -> Repaired:
    """The challenger as it is, or repaired where it is broken or warns and that helps.

    Args:
        job: of the run.
        fits: of all contenders.
        opened: the engine of the base.
        suite: what was asked.
        found: what the challenger forgot.
    """
    challenger = fits.plan.challenger
    result = found.results.get(challenger or "")
    as_it_is = Repaired(fits=fits, forgetting=found)
    if challenger is None or result is None or opened.model is None:
        return as_it_is
    fitted = fits.fitted[challenger]
    if result.state != "broken" and not result.warns:
        return as_it_is
    if not isinstance(fitted, FittedPrompt) or not all(
        can_scale(Path(adapter)) for adapter in fitted.fit.artifact.values()
    ):
        return as_it_is
    chosen_on, judged_on = suite.halves()
    scaled = _Scaled(job=job, challenger=challenger, fitted=fitted)
    asked = _Asked(job=job, opened=opened, model=opened.model)
    at_least = fits.plan.dev_quality.get(fits.plan.incumbent or "", 0.0)
    seed = fits.plan.ships[challenger]
    frontier = sweep(
        (1.0, *SCALES),
        dev=lambda scale: scaled.on_dev(scale, seed),
        change=lambda scale: asked.of(scaled.adapters(scale)[seed], chosen_on).change,
        margin=result.margin,
        at_least=at_least,
    )
    done = Repair(
        frontier=frontier,
        taken=choose_scale(frontier[1:], margin=result.margin),
        before=result.change,
    )
    better = None
    if done.taken is not None:
        better = scaled.at(done.taken)
        job.progress.note(
            f"{challenger}: its adapter counts {setting(done.taken)} times from here on, since it "
            "forgot too much."
        )
    elif (contender := _trainable(job, fits, fitted)) is not None:
        again = train_again(
            job,
            contender,
            ways_of(fitted, replay=frontier[0].dev >= at_least),
            seeds=len(fitted.seeds),
            change=lambda adapter: asked.of(adapter, chosen_on).change,
            margin=result.margin,
            at_least=at_least,
        )
        done = replace(done, frontier=(*frontier, *again.points))
        if again.fitted is not None:
            done = replace(done, taken=1.0, way=again.points[-1].way)
            better = again.fitted
    if better is None:
        kept = replace(result, repair=done)
        return Repaired(fits, replace(found, results={challenger: kept}))
    repaired = _with(job, fits, challenger, better)
    ships = Path(better.fit.artifact[repaired.plan.ships[challenger]])
    judged = asked.of(ships, judged_on)
    job.run.event("repaired", contender=challenger, scale=done.taken, way=done.way)
    return Repaired(
        fits=repaired,
        forgetting=Forgetting(results={challenger: replace(judged, repair=done)}),
    )


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """The general suite, asked of one adapter after another."""

    job: Job
    opened: Opened
    model: LocalModel

    def of(self, adapter: Path, suite: Suite) -> RetentionResult:
        """What an adapter forgot of some items."""
        return measure_retention(
            adapter,
            engine=self.opened.engine,
            model=self.model,
            suite=suite,
            margin=self.job.prepared.project.decision.retention_margin,
            folder=self.job.run.path,
            progress=self.job.progress,
        )


@dataclass(frozen=True, kw_only=True)
class _Scaled:
    """One challenger at several scales."""

    job: Job
    challenger: str
    fitted: FittedPrompt

    def on_dev(self, scale: float, seed: int) -> float:
        """Quality of a seed."""
        answers = {seed: self._on_dev(self.adapters(scale), seed)}
        dev = self.job.prepared.splits.dev
        return measured(self.job, self.challenger, answers, dev).quality(seed)

    def at(self, scale: float) -> FittedPrompt:
        """The contender with every seed's adapter at a scale."""
        adapters = self.adapters(scale)
        fit = self.fitted.fit
        return replace(
            self.fitted,
            strategy=replace(self.fitted.strategy, adapters=adapters),
            fit=replace(
                fit,
                settings={**fit.settings, "scale": scale},
                artifact={seed: str(adapter) for seed, adapter in adapters.items()},
                dev_answers={seed: self._on_dev(adapters, seed) for seed in adapters},
            ),
        )

    def _on_dev(self, adapters: Mapping[int, Path], seed: int) -> tuple[str | None, ...]:
        inputs = [example.input for example in self.job.prepared.splits.dev]
        strategy = replace(self.fitted.strategy, adapters=adapters)
        return texts(strategy.ask(self.fitted.engine, self.challenger, inputs, seed=seed))

    def adapters(self, scale: float) -> dict[int, Path]:
        """seed -> its adapter at a scale, written where it is not there yet."""
        trained = {seed: Path(adapter) for seed, adapter in self.fitted.fit.artifact.items()}
        if scale == 1.0:
            return trained
        made: dict[int, Path] = {}
        for seed, adapter in trained.items():
            made[seed] = adapter.with_name(f"{adapter.name}-scale{scale:g}")
            if not made[seed].exists():
                scale_adapter(adapter, made[seed], scale)
        return made


def _trainable(job: Job, fits: Fits, fitted: FittedPrompt) -> FineTune | None:
    """The contender as it was trained, with its teacher; None: that one is out of the race."""
    contender = job.field.trained[fitted.fit.contender]
    if not isinstance(contender, FineTune) or contender.way != "prompt":
        return contender if isinstance(contender, FineTune) else None
    teacher = fits.fitted.get(str(fitted.fit.settings["teacher"]))
    return replace(contender, teacher=teacher) if isinstance(teacher, FittedPrompt) else None


def _with(job: Job, fits: Fits, challenger: str, better: FittedPrompt) -> Fits:
    """The fits with the repaired challenger; plan.json says so before test is opened."""
    found = measured(job, challenger, better.fit.dev_answers, job.prepared.splits.dev)
    on_dev = {seed: found.quality(seed) for seed in sorted(found.scores)}
    plan = replace(
        fits.plan,
        dev_quality={**fits.plan.dev_quality, challenger: fmean(on_dev.values())},
        ships={**fits.plan.ships, challenger: max(on_dev, key=lambda seed: on_dev[seed])},
    )
    stopped = {name: fit.stopped for name, fit in fits.stopped.items() if fit.stopped}
    written = WrittenPlan(**asdict(plan), futile=fits.futile, stopped=stopped)
    write_json(job.run.file("plan.json"), dump(PLAN, written))
    return replace(fits, fitted={**fits.fitted, challenger: better}, plan=plan)
