"""The rules themselves: a case in, what was found out. Sentences are in `explain`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import exp, pi, sqrt
from typing import Literal

from tunewise.decision.case import Case
from tunewise.project.contenders import CONSTANT
from tunewise.statistics.distributions import normal_cdf, normal_quantile
from tunewise.statistics.intervals import Interval
from tunewise.types import Finding, Rule
from tunewise.wording import joined

EQUIVALENCE = 0.05
"""One-sided error of each of the two tests that show two contenders to be practically the same."""
_ROUNDING = 1e-12


@dataclass(frozen=True, kw_only=True, slots=True)
class Shortfall:
    """A condition of fine-tuning that the challenger misses."""

    kind: Literal["unclear", "too_little", "seeds_left_out", "seeds_behind", "constant", "demand"]
    """`unclear`: not shown better than a contender without training; `too_little`: ahead by less
    than was asked for."""
    text: str
    """For a person, as a part of a sentence: `it is not shown to beat constant`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ruling:
    """What the rules say of one case."""

    finding: Finding
    rule: Rule
    untrained: str | None
    """The contender without training to use instead; None when none ran."""
    gain: Interval | None = None
    """Of the challenger over it; None where none can be computed."""
    regret: float | None = None
    """Expected, of acting now."""
    shortfalls: Sequence[Shortfall] = field(default_factory=tuple[Shortfall, ...])

    def misses(self, *kinds: str) -> bool:
        """Whether a condition of one of these kinds is missed."""
        return any(one.kind in kinds for one in self.shortfalls)


def judge(case: Case) -> Ruling:
    """Applies the rules in their order; docs/method.md explains each."""
    bench, challenger = case.bench, case.bench.plan.challenger
    untrained = best_untrained(case)
    if bench.rows.shortage is not None or challenger is None or untrained is None:
        return Ruling(finding="cannot_tell", rule="cannot_tell", untrained=untrained)
    gain = bench.difference(challenger, untrained)
    if not isinstance(gain, Interval):
        return Ruling(finding="cannot_tell", rule="cannot_tell", untrained=untrained)
    shortfalls = tuple(_shortfalls(case, challenger, untrained, gain))
    regret = expected_regret(gain, case.demands.minimum_gain, bench.confidence)

    def found(finding: Finding, rule: Rule, instead: str = untrained) -> Ruling:
        return Ruling(
            finding=finding, rule=rule, untrained=instead, gain=gain, regret=regret,
            shortfalls=shortfalls,
        )  # fmt: skip

    if not shortfalls:
        return found("fine_tune", "worth_more")
    if not _anything_beats_constant(case):
        return found("nothing_learned", "nothing_learned")
    if _cheaper(case, challenger, untrained):
        return found("fine_tune", "cheaper")
    if {one.kind for one in shortfalls} == {"too_little"}:
        decided = gain.high < case.demands.minimum_gain and case.beats_constant(untrained)
        return found("better_by_less", "not_worth_it" if decided else "cannot_tell")
    better = _shown_better_without_training(case, challenger, untrained)
    if better is not None:
        return found("do_not", "not_worth_it", better)
    if case.beats_constant(untrained):
        if _equivalent(gain, case.demands.minimum_gain, bench.confidence):
            return found("practically_the_same", "not_worth_it")
        if gain.high < case.demands.minimum_gain:
            return found("do_not", "not_worth_it")
        pays = gain.value >= case.demands.minimum_gain
        if not pays and regret < case.demands.tolerated_regret:
            return found("stay", "not_worth_it")
    return found("cannot_tell", "cannot_tell")


def best_untrained(case: Case) -> str | None:
    """The contender without training that training is measured against.

    Dev's incumbent, unless another one is shown to be better than it on test, after Holm; of
    several, the one with the highest quality.
    """
    incumbent, bench = case.bench.plan.incumbent, case.bench
    if incumbent is None or bench.rows.shortage is not None:
        return incumbent
    better = [
        name
        for name in bench.untrained
        if name != incumbent
        and case.shown_better(name, incumbent)
        and case.beats_constant(name)
        and not case.broken(name)
    ]
    return max(better, key=lambda name: bench.samples[name].value, default=incumbent)


def expected_regret(gain: Interval, minimum_gain: float, confidence: float) -> float:
    """What acting on the estimate is expected to cost against knowing the truth, 0 to 1.

    With the truth normal around the estimate d with its standard error s and z = |d − m| / s:
    s (φ(z) − z (1 − Φ(z))), the expected opportunity loss (Raiffa and Schlaifer 1961).
    """
    error = standard_error(gain, confidence)
    z = abs(gain.value - minimum_gain) / error
    density = exp(-z * z / 2.0) / sqrt(2.0 * pi)
    return error * (density - z * normal_cdf(-z))


def standard_error(gain: Interval, confidence: float) -> float:
    """The error that an interval stands for, whatever method made it."""
    return (gain.high - gain.low) / (2.0 * normal_quantile((1.0 + confidence) / 2.0))


def _equivalent(gain: Interval, margin: float, confidence: float) -> bool:
    """Two one-sided tests (Schuirmann 1987): the 90% interval lies within ±margin."""
    reach = normal_quantile(1.0 - EQUIVALENCE) * standard_error(gain, confidence)
    middle = (gain.low + gain.high) / 2.0
    return -margin < middle - reach and middle + reach < margin


def _shortfalls(case: Case, challenger: str, untrained: str, gain: Interval) -> list[Shortfall]:
    """Which conditions of fine-tuning the challenger misses; empty when it meets all."""
    bench = case.bench
    missing: list[Shortfall] = []
    # Shown better than every one of them: this keeps the promise whichever of them dev had named,
    # and needs no correction (an intersection-union test, Berger 1982).
    unclear = [name for name in bench.untrained if not bench.beats(challenger, name)]
    if unclear:
        text = f"it is not shown to beat {joined(unclear)}"
        missing.append(Shortfall(kind="unclear", text=text))
    if gain.value < case.demands.minimum_gain - _ROUNDING:
        text = f"{challenger} is not ahead by enough"
        missing.append(Shortfall(kind="too_little", text=text))
    seeds = bench.seeds[challenger]
    if len(seeds) < bench.plan.seeds_wanted:
        text = (
            f"only {len(seeds)} of {bench.plan.seeds_wanted} seeds was trained, since dev showed "
            "more to be futile"
        )
        missing.append(Shortfall(kind="seeds_left_out", text=text))
    bar = bench.samples[untrained].value
    behind = [seed for seed, one in seeds.items() if one.value <= bar]
    if behind:
        which = joined([str(seed) for seed in behind])
        subject = f"seed {which} is" if len(behind) == 1 else f"seeds {which} are"
        text = f"{subject} not ahead of {untrained}"
        missing.append(Shortfall(kind="seeds_behind", text=text))
    if not case.beats_constant(challenger):
        took_part = CONSTANT in bench.contenders
        text = (
            "it is not shown to beat constant"
            if took_part
            else "constant, which it has to beat, took no part (contenders.use)"
        )
        missing.append(Shortfall(kind="constant", text=text))
    missing += [
        Shortfall(kind="demand", text=f"it breaks {broken.name}: {broken.detail}")
        for broken in case.broken(challenger)
    ]
    return missing


def _anything_beats_constant(case: Case) -> bool:
    """The two contenders of the plan by their interval, all others after Holm."""
    bench = case.bench
    if CONSTANT not in bench.contenders:
        return True
    planned = (bench.plan.incumbent, bench.plan.challenger)
    return any(
        bench.beats(name, CONSTANT) and (name in planned or case.shown_better(name, CONSTANT))
        for name in bench.candidates
    )


def _shown_better_without_training(case: Case, challenger: str, untrained: str) -> str | None:
    """A contender without training that is shown better than the challenger.

    `untrained` by its interval; one that dev had not named, found after test was opened, after
    Holm. Of several, the one with the highest quality.
    """
    bench = case.bench
    shown = [
        name
        for name in bench.untrained
        if (bench.beats(name, challenger) if name == untrained
            else case.shown_better(name, challenger) and not case.broken(name))
        and case.beats_constant(name)
    ]  # fmt: skip
    return max(shown, key=lambda name: bench.samples[name].value, default=None)


def _cheaper(case: Case, challenger: str, untrained: str) -> bool:
    """Cheaper than `untrained`, and than every other one that is not shown to be so much worse that
    it is no alternative; and shown not inferior to any of these.

    Worse: the challenger's advantage is shown, and at least `minimum_gain`. Non-inferior: the lower
    bound is above −`maximum_loss`, and so is every seed's estimate.
    """
    bench, loss = case.bench, case.demands.tolerated_loss
    if not bench.untrained or not case.beats_constant(challenger) or case.broken(challenger):
        return False
    worst = min(one.value for one in bench.seeds[challenger].values())
    for name in bench.untrained:
        found, saving = bench.difference(challenger, name), case.savings.get(name)
        ahead = found.value >= case.demands.minimum_gain and bench.beats(challenger, name)
        if ahead and name != untrained:
            continue
        if saving is None or saving.low <= 0.0:
            return False
        if not isinstance(found, Interval) or found.low <= -loss:
            return False
        if worst <= bench.samples[name].value - loss:
            return False
    return True
