"""The decision rule: a plan made on dev and scores on test in, a Verdict out.

Pure: no files, no models, no clock; what it simulates has a fixed seed. The rules and the
statistics behind them are described in docs/method.md, and simulations in the tests show what
they promise.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from tunewise.decision import explain
from tunewise.decision.assurance import ROWS, assurance
from tunewise.decision.bases import judge_bases
from tunewise.decision.case import Case, Demands, Saving
from tunewise.decision.comparisons import Bench, compare, prepare
from tunewise.decision.findings import judge
from tunewise.decision.plan import Measured, Plan, choose_plan, futile
from tunewise.decision.retention import Kept
from tunewise.project.contenders import CONSTANT
from tunewise.statistics import paired
from tunewise.statistics.intervals import IntArray, Interval, NotComputed
from tunewise.statistics.spending import look_confidence
from tunewise.types import Constraint, Finding, Verdict
from tunewise.wording import Wording, milliseconds, percent, setting

__all__ = [
    "Demands",
    "Measured",
    "Plan",
    "Saving",
    "choose_plan",
    "decide",
    "futile",
    "quality",
]

DRAWS = 200
"""Next looks simulated for each number of further rows: a chance to 3.5 points."""


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
        groups: (n,) the unit of each example.
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
    earlier: Sequence[int] = (),
    savings: Mapping[str, Saving] | None = None,
    retention: Mapping[str, Kept] | None = None,
    unused_test: int = 0,
    left_out: int = 0,
    sizes: Mapping[str, int] | None = None,
    draws: int = DRAWS,
) -> Verdict:
    """Applies the decision rule to the test scores of every contender.

    Args:
        plan: written before test was opened.
        measured: every contender that answered the test split, rows in one order.
        metric: name of the primary metric.
        binary: whether it scores each example 0 or 1 and quality is the mean.
        demands: the project's thresholds.
        groups: (n,) the independent unit of each test example; None: every row stands alone.
        earlier: for each earlier run that opened rows of this test, oldest first, how many of
            them it had opened.
        savings: contender without training -> what the challenger saves against it; None when
            costs are not known.
        retention: what became of general ability per trained contender; None: not measured.
        unused_test: test examples that are labelled already and were left out of this run.
        left_out: test examples left out because train, dev or documents hold them as well.
        sizes: short name of each base model -> its weights; None: there is one base.
        draws: next looks simulated where the question is open; 0: none.

    Raises:
        ValueError: a contender of the plan is missing, or row counts differ.
    """
    counts = {one.values(seed).size for one in measured for seed in one.scores}
    bench = prepare(
        plan,
        measured,
        binary=binary,
        groups=groups,
        confidence=look_confidence(earlier, max([1, *counts])),
    )

    def case_of(looked_at: Bench) -> Case:
        return Case(
            bench=looked_at,
            demands=demands,
            comparisons=compare(looked_at, metric),
            constraints=_constraints(looked_at, demands, retention),
            savings=savings or {},
            retention=retention or {},
        )

    def finding_of(looked_at: Bench) -> Finding:
        return judge(case_of(looked_at)).finding

    case = case_of(bench)
    ruling = judge(case)
    chances = ()
    if draws and ruling.finding == "cannot_tell" and ruling.gain is not None:
        more = [*ROWS, *([unused_test] if unused_test else [])]
        chances = assurance(bench, finding_of, more=more, earlier=earlier, draws=draws)
    verdict = explain.verdict(case, ruling, chances, unused_test=unused_test, left_out=left_out)
    return replace(verdict, bases=judge_bases(case, sizes or {}))


def _constraints(
    bench: Bench, demands: Demands, retention: Mapping[str, Kept] | None
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
        if demands.minimum_quality is not None:
            floor, value = demands.minimum_quality, bench.shipped(name).value
            detail = f"{percent(value)} (at least {percent(floor)})"
            check("minimum_quality", name, value >= floor, detail)
        if demands.maximum_latency_ms is not None:
            met, detail = _fast_enough(bench.contenders[name], demands.maximum_latency_ms)
            check("maximum_latency_ms", name, met, detail)
        if retention is not None and name in retention:
            kept = retention[name]
            check("retention", name, kept.state != "broken", kept.detail)
    return tuple(checks)


def _fast_enough(one: Measured, ceiling: float) -> tuple[bool, str]:
    """Whether the interval of the median latency keeps to the ceiling, and the numbers."""
    median, high = one.latency_p50_ms, one.latency_high_ms
    asked = f"at most {setting(ceiling)} ms"
    if median is None:
        return False, f"not measured ({asked})"
    if high is None:
        return False, f"{milliseconds(median)}, not shown with so few requests ({asked})"
    shown = f"{milliseconds(median)}, perhaps {milliseconds(high)}"
    return high <= ceiling, f"{shown} ({asked})"
