"""Draws the learning curves that `[decision] curves` asks for: on train and dev, never on test.

Every part of the rows is learned from once: what was answered after it is kept in
learning-curve.jsonl, so that an interrupted run goes on behind it.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, cast

import numpy as np

from tunewise.contenders.answering import spent
from tunewise.contenders.classifier import Classifier
from tunewise.contenders.few_shot import FewShot, shots_of
from tunewise.contenders.fine_tune import FineTune
from tunewise.contenders.protocol import Fitted, NotApplicable
from tunewise.contenders.race import Race
from tunewise.evaluation.learning_curve import (
    CONFIDENCE,
    Learn,
    LearningCurve,
    Round,
    half_and_whole,
    hold_against,
    measure_curve,
    rounds_by_folds,
    rounds_on_dev,
)
from tunewise.pipelines.fitting import Fits, Job
from tunewise.project.contenders import built_in
from tunewise.retrieval.embed import RememberingEmbedder
from tunewise.runs.learning_curve import (
    ContenderCurve,
    CurvePoint,
    Doubled,
    Expected,
    HeldAgainst,
    Judges,
    LearningCurves,
)
from tunewise.statistics import paired
from tunewise.statistics.distributions import normal_quantile
from tunewise.statistics.intervals import Interval, NotComputed
from tunewise.statistics.learning_curve import Curve, Point, last_doubling, later_difference
from tunewise.storage import append_lines, read_lines
from tunewise.types import Example

PART = "learning_curve"
"""Its name in `[decision] measure`."""
FILE = "learning-curve.jsonl"
MAX_FOLDED = 2000
"""Rows of train and dev up to which folds judge; beyond, dev is large and learning slow."""
FOLD_ROUNDS = 2
FORECAST = (1.5, 2.0)
"""Of all rows."""
STEPS = 10
"""Of the band, from the smallest part to all rows, and from there to twice as many."""


class Drawn(NamedTuple):
    """What was found, and what it took."""

    curves: LearningCurves | None
    """None where none of those that are asked for takes part."""
    tokens: Mapping[str, int]
    """As `Fit.tokens` counts them."""


class Learned(NamedTuple):
    """What a contender answers after it learned from some rows."""

    answers: Sequence[str | None]
    tokens: Mapping[str, int]


def draw_curves(job: Job, fits: Fits) -> Drawn:
    """The curves of those that are asked for and take part; nothing is chosen by them."""
    project = job.prepared.project
    drawing = _Drawing(job=job, fits=fits)
    draw = {
        "classifier": drawing.classifier,
        "few_shot": drawing.few_shot,
        "fine_tune": drawing.fine_tune,
    }
    curves: list[ContenderCurve] = []
    missing: dict[str, str] = {}
    wanted = [name for name in project.decision.curves if name in project.contenders.use]
    for name in wanted:
        try:
            curves.append(draw[name]())
        except NotApplicable as reason:
            missing[name] = reason.reason
    job.remaining.did_part(PART, measured=bool(curves))
    found = LearningCurves(curves=tuple(curves), missing=missing) if wanted else None
    return Drawn(curves=found, tokens=drawing.tokens)


@dataclass(kw_only=True)
class _Drawing:
    """The curves of one run."""

    job: Job
    fits: Fits
    tokens: dict[str, int] = field(default_factory=dict[str, int])
    known: dict[str, dict[str, Any]] = field(init=False)
    """What was answered after each part, by contender and rows."""

    def __post_init__(self) -> None:
        splits = self.job.prepared.splits
        self.train, self.dev, self.units = splits.train, splits.dev, splits.units
        self.gain = self.job.prepared.project.decision.minimum_gain
        self.known = {line["key"]: line for line in read_lines(self.job.run.file(FILE))}

    def classifier(self) -> ContenderCurve:
        """On folds of train and dev, with the C that was chosen for all rows."""
        name, contender = "classifier", self.job.field.untrained["classifier"]
        assert isinstance(contender, Classifier)  # noqa: S101 - the name stands for it
        strength = cast("float", self._fitted(name).fit.settings["C"])
        embedder = RememberingEmbedder(contender.load())
        learner = replace(contender, closed=True, strengths=(strength,), load=lambda: embedder)

        def learn(learned: Sequence[Example], asked: Sequence[Example]) -> Learned:
            made = learner.fit(learned, Race(asked, metric=self.job.metric, margin=1.0))
            return Learned(made.fit.dev_answers[0], {})

        rows = [*self.train, *self.dev]
        if self.job.prepared.project.data.time is None and len(rows) <= MAX_FOLDED:
            rounds = rounds_by_folds(rows, self.units, rounds=FOLD_ROUNDS, rng=self._rng())
            return self._curve(name, "folds", rounds, learn)
        self._refuse_small_dev()
        return self._curve(name, "dev", self._on_dev(), learn)

    def few_shot(self) -> ContenderCurve:
        """On dev, with as many examples in the prompt as were chosen for all rows."""
        name, contender = "few_shot", self.job.field.untrained["few_shot"]
        assert isinstance(contender, FewShot)  # noqa: S101 - the name stands for it
        fit = self._fitted(name).fit
        self._refuse_small_dev()
        shots, everything = shots_of(fit.settings), {row.id for row in self.train}

        def learn(learned: Sequence[Example], asked: Sequence[Example]) -> Learned:
            if {row.id for row in learned} == everything:
                return Learned(fit.dev_answers[0], {})
            few = replace(shots, k=min(shots.k, len(learned)))
            strategy = contender.strategies(learned)(few)
            answers = strategy.ask(contender.engine, name, [row.input for row in asked], seed=0)
            return Learned([answer.text for answer in answers], spent(answers))

        return self._curve(name, "dev", self._on_dev(), learn)

    def fine_tune(self) -> ContenderCurve:
        """One training on half of train beside those on all of it: flat, rising or cannot say."""
        name, contender = "fine_tune", self.job.field.trained.get("fine_tune")
        fit = self._fitted(name).fit
        if len(fit.dev_answers) < 2:
            raise NotApplicable(
                "it was trained with one seed, so that what chance does to a training is not known"
            )
        if "scale" in fit.settings:
            raise NotApplicable("its adapter was weakened after the training")
        self._refuse_small_dev()
        ((fold,),) = rounds_on_dev(
            self.train, self.dev, self.units, rounds=1, rng=self._rng(), parts=(0.5, 1.0)
        )
        if len(fold.parts) < 2 or not isinstance(contender, FineTune):
            raise NotApplicable(f"{len(self.train)} rows cannot be halved")
        learner = replace(contender, folder=contender.folder / "half")

        def learn(learned: Sequence[Example], asked: Sequence[Example]) -> Learned:
            made = learner.fit(learned, self.job.race.apart())
            return Learned(made.fit.dev_answers[1], made.fit.tokens)

        answers = self._kept(name, learn)(fold.parts[0], self.dev)
        found = half_and_whole(
            self._said(answers),
            [self._said(given) for given in fit.dev_answers.values()],
            self.dev,
            self.units,
            self.job.metric,
        )
        return ContenderCurve(
            contender=name,
            scored="dev",
            judged=len(self.dev),
            points=(
                CurvePoint(n=len(fold.parts[0]), value=found.half),
                CurvePoint(n=len(self.train), value=found.whole),
            ),
            doubled=_doubled(found.difference),
            says=last_doubling(found.difference, minimum_gain=self.gain)
            if isinstance(found.difference, Interval)
            else None,
        )

    def _fitted(self, name: str) -> Fitted:
        found = self.fits.fitted.get(name)
        if found is None:
            raise NotApplicable(self.fits.skipped.get(name) or "it was out of the race")
        return found

    def _refuse_small_dev(self) -> None:
        """Before any token is spent on rows too few to judge."""
        units = self.job.prepared.splits.units_of(self.dev)
        rows = paired.rows_of(len(self.dev), binary=self.job.metric.binary, groups=units)
        if rows.shortage is not None:
            raise NotApplicable(f"dev has {rows.shortage}")

    def _rng(self) -> np.random.Generator:
        """The same for every contender: all learn from the same parts."""
        return np.random.default_rng(self.job.prepared.project.data.seed)

    def _on_dev(self) -> list[Round]:
        return rounds_on_dev(self.train, self.dev, self.units, rounds=1, rng=self._rng())

    def _said(self, answers: Sequence[str | None]) -> dict[str, str | None]:
        return dict(zip((row.id for row in self.dev), answers, strict=True))

    def _kept(self, name: str, learn: Callable[..., Learned]) -> Learn:
        """A learner that is not asked again for what it has answered in an earlier sitting."""

        def kept(learned: Sequence[Example], asked: Sequence[Example]) -> Sequence[str | None]:
            ids = [[row.id for row in rows] for rows in (learned, asked)]
            key = hashlib.sha256(json.dumps([name, *ids]).encode()).hexdigest()[:32]
            if key not in self.known:
                found = learn(learned, asked)
                line = {
                    "key": key,
                    "contender": name,
                    "learned": len(learned),
                    "tokens": dict(found.tokens),
                    "answers": list(found.answers),
                }
                append_lines(self.job.run.file(FILE), [line])
                self.known[key] = line
            for kind, count in self.known[key]["tokens"].items():
                self.tokens[kind] = self.tokens.get(kind, 0) + count
            return cast("list[str | None]", self.known[key]["answers"])

        return kept

    def _curve(
        self, name: str, scored: Judges, rounds: Sequence[Round], learn: Callable[..., Learned]
    ) -> ContenderCurve:
        total = sum(len(fold.parts) for one in rounds for fold in one)
        with self.job.progress.task(f"learning curve of {name}", total=total) as advance:
            found = measure_curve(
                self._kept(name, learn),
                rounds,
                self.units,
                self.job.metric,
                minimum_gain=self.gain,
                rng=self._rng(),
                advance=advance,
            )
        curve = found.curve
        return ContenderCurve(
            contender=name,
            scored=scored,
            judged=found.judged,
            points=tuple(map(_point, found.points)),
            doubled=_doubled(found.doubled) if len(found.points) > 1 else None,
            says=found.says,
            forecast=() if curve is None else tuple(_expected(curve, n) for n in _later(curve)),
            band=() if curve is None else tuple(_expected(curve, n) for n in _sizes(found, curve)),
            against=self._against(found),
        )

    def _against(self, found: LearningCurve) -> HeldAgainst | None:
        """Held against the best on dev of those that take nothing from more rows."""
        flat = [
            name
            for name, one in self.fits.fitted.items()
            if (known := built_in(name))
            and not (known.uses_train or known.trained)
            and one.fit.dev_answers
        ]
        if not flat:
            return None
        name = max(flat, key=lambda one: self.fits.plan.dev_quality[one])
        said = self._said(self.fits.fitted[name].fit.dev_answers[0])
        differences = hold_against(found, said, self.dev, self.units, self.job.metric)
        now, curve = differences[found.points[-1].rows], found.curve
        later = (
            [(n, later_difference(now, curve, n, rng=self._rng())) for n in _later(curve)]
            if isinstance(now, Interval) and curve is not None
            else []
        )
        return HeldAgainst(
            contender=name,
            points=tuple(_difference(n, one) for n, one in differences.items()),
            forecast=tuple(_difference(n, one) for n, one in later),
        )


def _later(curve: Curve) -> list[int]:
    return [round(times * curve.rows) for times in FORECAST]


def _sizes(found: LearningCurve, curve: Curve) -> list[int]:
    """Where the band is written down."""
    least = found.points[0].rows
    until = np.geomspace(least, curve.rows, STEPS + 1)
    beyond = np.linspace(curve.rows, 2 * curve.rows, STEPS + 1)
    return sorted({round(float(n)) for n in (*until, *beyond)})


def _expected(curve: Curve, n: int) -> Expected:
    quality, growth = curve.at(n), curve.growth(n)
    tail = (1.0 - CONFIDENCE) / 2.0
    low, middle, high = (float(one) for one in np.quantile(growth, (tail, 0.5, 1.0 - tail)))
    return Expected(
        n=n,
        value=quality.value,
        low=quality.low,
        high=quality.high,
        gain=middle,
        gain_low=low,
        gain_high=high,
    )


def _point(one: Point) -> CurvePoint:
    reach = normal_quantile((1.0 + CONFIDENCE) / 2.0) * one.error
    if not reach:
        return CurvePoint(n=one.rows, value=one.quality)
    low, high = max(0.0, one.quality - reach), min(1.0, one.quality + reach)
    return CurvePoint(n=one.rows, value=one.quality, low=low, high=high)


def _difference(n: int, one: Interval | NotComputed) -> CurvePoint:
    if isinstance(one, NotComputed):
        return CurvePoint(n=n, value=one.value)
    return CurvePoint(n=n, value=one.value, low=one.low, high=one.high)


def _doubled(one: Interval | NotComputed) -> Doubled:
    if isinstance(one, NotComputed):
        return Doubled(value=one.value, method=one.reason)
    return Doubled(value=one.value, low=one.low, high=one.high, method=one.method)
