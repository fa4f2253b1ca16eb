"""The decision rule: a plan made on dev and scores on test in, a Verdict out.

Pure: no files, no models, no clock, no chance. The five rules and the
statistics behind them are described in docs/method.md, and simulations in the tests show what
they promise.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tunewise.decision import explain
from tunewise.decision.comparisons import Bench, compare, prepare
from tunewise.decision.explain import Case, Shortfall
from tunewise.decision.plan import Measured, Plan, choose_plan, futile
from tunewise.project.contenders import CONSTANT
from tunewise.statistics import paired
from tunewise.statistics.intervals import IntArray, Interval, NotComputed
from tunewise.types import Constraint, Verdict
from tunewise.wording import Wording, count, joined, milliseconds, percent, setting

__all__ = [
    "ERROR_BUDGET",
    "Demands",
    "Measured",
    "Plan",
    "Saving",
    "choose_plan",
    "confidence_at",
    "decide",
    "futile",
    "quality",
]

ERROR_BUDGET = 0.05
"""α: the chance, over all looks together, of recommending a training that gains nothing."""

Retention = Literal["retained", "broken", "not shown"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Demands:
    """The [decision] table of a project, as far as the rule needs it."""

    minimum_gain: float
    """Smaller differences in quality are not worth a training."""
    minimum_quality: float | None = None
    """Floor of the quality, by point estimate."""
    maximum_latency_ms: float | None = None
    """Ceiling of the median latency, by point estimate."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Saving:
    """What the challenger saves over the horizon, training and retraining included."""

    value: float
    low: float
    high: float
    unit: str
    """Currency and horizon, for a person: `USD in 12 months`."""


def confidence_at(use: int) -> float:
    """The confidence of the intervals at the k-th use of a row set, 1 for the first.

    Look k may wrongly recommend a training with probability α / 2^k, all looks together with α.
    That error is one-sided (a lower bound above 0), so the two-sided interval has confidence
    1 − 2α / 2^k: 95% at the first look, 97.5% at the second.

    Raises:
        ValueError: use is below 1.
    """
    if use < 1:
        raise ValueError("the first look at test rows is look 1")
    return 1.0 - 2.0 * ERROR_BUDGET / 2.0**use


def quality(
    measured: Measured,
    *,
    binary: bool,
    seed: int | None = None,
    groups: Sequence[str | None] | None = None,
    confidence: float = 0.95,
    answered_only: bool = False,
) -> Interval | NotComputed:
    """The quality of one contender on test, for reports: value, low, high.

    Args:
        measured: its test scores.
        binary: whether the metric scores each example 0 or 1 and quality is the mean.
        seed: which of its seeds; None: the lowest.
        groups: (n,) the group of each example.
        confidence: of the interval.
        answered_only: leave crashed answers out instead of counting them as wrong.

    Raises:
        ValueError: nothing is left to judge.
    """
    seed = min(measured.scores) if seed is None else seed
    values = measured.values(seed)
    kept = np.arange(values.size, dtype=np.int64)
    if answered_only:
        kept = np.flatnonzero(~np.isnan(np.asarray(measured.scores[seed], dtype=np.float64)))
    if kept.size == 0:
        raise ValueError(f"{measured.name} has no answers to judge")
    rows = paired.rows_of(
        int(kept.size),
        binary=binary,
        groups=None if groups is None else [groups[row] for row in kept.tolist()],
    )
    aggregate = None if measured.aggregate is None else measured.aggregate[seed]

    def of_kept(index: IntArray) -> float:
        return 0.0 if aggregate is None else aggregate(kept[index])

    statistic = None if aggregate is None else of_kept
    one = paired.sample(values[kept], rows, statistic)
    return paired.quality(one, rows, confidence=confidence)


def decide(
    plan: Plan,
    measured: Sequence[Measured],
    *,
    metric: str,
    binary: bool,
    demands: Demands,
    groups: Sequence[str | None] | None = None,
    use: int = 1,
    saving: Saving | None = None,
    retention: Mapping[str, Retention] | None = None,
    unused_test: int = 0,
) -> Verdict:
    """Applies the decision rule to the test scores of every contender.

    Args:
        plan: written before test was opened.
        measured: every contender that answered the test split, rows in one order.
        metric: name of the primary metric.
        binary: whether it scores each example 0 or 1 and quality is the mean.
        demands: the project's thresholds.
        groups: (n,) the group of each test example; None: every row stands alone.
        use: how often these rows have been used, this time included (the largest of the
            counts of the rows).
        saving: of the challenger over the incumbent; None when costs are not known.
        retention: what became of general ability per trained contender; None: not measured.
        unused_test: test examples that are labelled already and were left out of this run.

    Raises:
        ValueError: a contender of the plan is missing, or row counts differ.
    """
    bench = prepare(
        plan,
        measured,
        binary=binary,
        groups=groups,
        confidence=confidence_at(use),
    )
    comparisons = compare(bench, metric)
    case = Case(
        bench=bench,
        comparisons=comparisons,
        constraints=_constraints(bench, demands, retention),
        minimum_gain=demands.minimum_gain,
        wording=Wording(binary=binary, n=bench.rows.n),
        retention=retention or {},
        unused_test=unused_test,
    )
    incumbent, challenger = plan.incumbent, plan.challenger
    if bench.rows.shortage is not None:
        return explain.too_small(case)
    if incumbent is None or challenger is None:
        return explain.nothing_to_compare(case)
    primary = bench.difference(challenger, incumbent)
    if isinstance(primary, NotComputed):
        return explain.too_small(case)
    shortfalls = _shortfalls(case, challenger, incumbent, primary)
    if not shortfalls:
        return explain.worth_more(case, challenger, incumbent)
    if not _anything_beats_constant(case):
        return explain.nothing_learned(case, challenger)
    if saving is not None and _cheaper(case, challenger, primary, saving):
        detail = (
            f"{count(saving.value)} {saving.unit} ({count(saving.low)} to {count(saving.high)})"
        )
        return explain.cheaper(case, challenger, incumbent, detail)
    if primary.high < demands.minimum_gain and case.beats_constant(incumbent):
        return explain.not_worth_it(case, challenger, incumbent)
    better = _shown_better_without_training(case, challenger)
    if better is not None:
        return explain.not_worth_it(case, challenger, better)
    return explain.cannot_tell(case, challenger, incumbent, primary, shortfalls)


def _constraints(
    bench: Bench, demands: Demands, retention: Mapping[str, Retention] | None
) -> tuple[Constraint, ...]:
    """Every demand, checked for every contender that may be recommended."""
    checks: list[Constraint] = []

    def check(name: str, contender: str, met: bool, detail: str) -> None:
        checks.append(Constraint(name=name, contender=contender, met=met, detail=detail))

    wording = Wording(binary=bench.rows.binary, n=bench.rows.n)
    for name in bench.candidates:
        if CONSTANT in bench.contenders:
            found = bench.difference(name, CONSTANT)
            check("beats_constant", name, bench.beats(name, CONSTANT),
                  wording.advantage(found, CONSTANT))  # fmt: skip
        else:
            check("beats_constant", name, False, "constant did not run")
        floor, ceiling = demands.minimum_quality, demands.maximum_latency_ms
        value, latency = bench.samples[name].value, bench.contenders[name].latency_p50_ms
        if floor is not None:
            check(
                "minimum_quality",
                name,
                value >= floor,
                f"{percent(value)} (at least {percent(floor)})",
            )
        if ceiling is not None:
            shown = "not measured" if latency is None else milliseconds(latency)
            met = latency is not None and latency <= ceiling
            check("maximum_latency_ms", name, met, f"{shown} (at most {setting(ceiling)} ms)")
        if retention is not None and name in retention:
            check("retention", name, retention[name] != "broken", retention[name])
    return tuple(checks)


def _shortfalls(case: Case, challenger: str, incumbent: str, primary: Interval) -> list[Shortfall]:
    """Which conditions of rule 1 the challenger misses; empty when it meets all."""
    bench, plan = case.bench, case.bench.plan
    one = bench.contenders[challenger]
    missing: list[Shortfall] = []
    if primary.low <= 0.0 or primary.value < case.minimum_gain - 1e-12:
        text = f"{challenger} is not shown to be ahead by enough"
        missing.append(Shortfall(kind="advantage", text=text))
    trained = len(one.scores)
    if trained < plan.seeds_wanted:
        text = (
            f"only {trained} of {plan.seeds_wanted} seeds was trained, since dev showed more to be "
            "futile"
        )
        missing.append(Shortfall(kind="seeds_left_out", text=text))
    bar = bench.samples[incumbent].value
    behind = [seed for seed in sorted(one.scores) if one.quality(seed) <= bar]
    if behind:
        which = joined([str(seed) for seed in behind])
        subject = f"seed {which} is" if len(behind) == 1 else f"seeds {which} are"
        text = f"{subject} not ahead of {incumbent}"
        missing.append(Shortfall(kind="seeds_behind", text=text))
    # Dev may have named the wrong incumbent: being shown better than every contender that needs
    # no training keeps the false-advice promise whoever was named, and needs no correction
    # (an intersection-union test, Berger 1982). "None scores above it" alone breaks it.
    rivals = [
        name
        for name in bench.candidates
        if not bench.contenders[name].trained
        and name != incumbent
        and not bench.beats(challenger, name)
    ]
    if rivals:
        text = f"it is not shown to beat {joined(rivals)}"
        missing.append(Shortfall(kind="rivals", text=text))
    if not case.beats_constant(challenger):
        missing.append(Shortfall(kind="constant", text="it is not shown to beat constant"))
    missing += [
        Shortfall(kind="constraint", text=f"it breaks {broken.name}: {broken.detail}")
        for broken in case.broken(challenger)
    ]
    return missing


def _anything_beats_constant(case: Case) -> bool:
    """Rule 5. The two contenders of the plan by their interval, all others after Holm."""
    planned = (case.bench.plan.incumbent, case.bench.plan.challenger)
    alpha = 1.0 - case.bench.confidence
    if CONSTANT not in case.bench.contenders:
        return True
    for one in case.comparisons:
        a, b, ahead = one.a, one.b, one.low > 0.0
        if a == CONSTANT:
            a, b, ahead = one.b, one.a, one.high < 0.0
        if b != CONSTANT or not ahead or case.bench.contenders[a].ceiling:
            continue
        if a in planned or one.p_adjusted <= alpha:
            return True
    return False


def _shown_better_without_training(case: Case, challenger: str) -> str | None:
    """Rule 3 where dev named the wrong incumbent: an untrained contender that beats the challenger.

    Found after test was opened, so the comparison has to hold after Holm. Of several, the one with
    the highest quality.
    """
    bench, alpha = case.bench, 1.0 - case.bench.confidence
    shown = {
        one.b
        for one in case.comparisons
        if one.a == challenger and one.high < 0.0 and one.p_adjusted <= alpha
    }
    names = [
        name
        for name in bench.candidates
        if name in shown
        and not bench.contenders[name].trained
        and case.beats_constant(name)
        and not case.broken(name)
    ]
    return max(names, key=lambda name: bench.samples[name].value, default=None)


def _cheaper(case: Case, challenger: str, primary: Interval, saving: Saving) -> bool:
    """Rule 2: shown no worse by `minimum_gain`, and the saving's interval above 0."""
    return (
        primary.low > -case.minimum_gain
        and saving.low > 0.0
        and case.beats_constant(challenger)
        and not case.broken(challenger)
    )
