"""Of several base models, the smallest that is good enough: the case in, one record a base out.

A base is good enough where its best contender, as chosen on dev, is shown to be no more than
`minimum_gain` worse than every other contender: an intersection-union test (Berger 1982) of
one-sided, paired tests of non-inferiority, by unit. Several bases are tried, so that the error is
divided among all that may be inferior (Bonferroni): all, or all but one where every contender runs
on one of them, since one of these is the best.
"""

from collections.abc import Mapping, Sequence

from tunewise.decision.case import Case
from tunewise.statistics import paired
from tunewise.statistics.intervals import Interval
from tunewise.types import BaseJudged
from tunewise.wording import amount, in_points, joined, whole_percent


def judge_bases(case: Case, sizes: Mapping[str, int]) -> tuple[BaseJudged, ...]:
    """Every base, the smallest first.

    Args:
        case: with the plan, which names the best contender of each base.
        sizes: short name of each base -> its weights; fewer than two: nothing is judged.
    """
    if len(sizes) < 2:
        return ()
    tried = len(sizes) if _runs_without(case) else len(sizes) - 1
    # The intervals of the case are two-sided: each side has half of what this look may spend.
    confidence = 1.0 - (1.0 - case.bench.confidence) / tried
    found = [_judged(case, base, size, confidence) for base, size in sizes.items()]
    return tuple(sorted(found, key=lambda one: one.parameters))


def smallest(judged: Sequence[BaseJudged]) -> BaseJudged | None:
    """The smallest base that is good enough."""
    return next((one for one in judged if one.good_enough), None)


def bases_sentence(judged: Sequence[BaseJudged], *, minimum_gain: float) -> str:
    """Which base is the smallest that is good enough, and how sure that is; empty for one base.

    Args:
        judged: from `judge_bases`.
        minimum_gain: what may be missing, 0 to 1.
    """
    if not judged:
        return ""
    named = smallest(judged)
    if named is None:
        return (
            f"No base is shown to be good enough, within {in_points(minimum_gain)} of every other "
            f"contender: {joined([f'{one.base} ({one.why})' for one in judged])}."
        )
    text = f"The smallest base that is good enough is {named.base}, with {named.contender}"
    if named.low is None or named.rival is None:
        return f"{text}."
    worst = (
        f"at most {amount(named.low)} points worse than {named.rival}"
        if named.low < 0.0
        else f"better than {named.rival}"
    )
    return (
        f"{text}: it is {worst}, the nearest of the others, with {whole_percent(named.confidence)} "
        f"confidence, and {in_points(minimum_gain)} are what matters to you."
    )


def _runs_without(case: Case) -> bool:
    """Whether a contender that may be recommended runs on none of the bases."""
    return any(not case.bench.contenders[name].base for name in case.bench.candidates)


def _judged(case: Case, base: str, size: int, confidence: float) -> BaseJudged:
    bench, margin = case.bench, case.demands.minimum_gain
    name = bench.plan.best_of_base.get(base)

    def record(why: str, *, good: bool = False, rival: str | None = None,
               found: Interval | None = None) -> BaseJudged:  # fmt: skip
        return BaseJudged(
            base=base,
            parameters=size,
            contender=name,
            good_enough=good,
            why=why,
            rival=rival,
            delta=found and found.value,
            low=found and found.low,
            confidence=(1.0 + confidence) / 2.0,
        )

    if name is None:
        return record("none of its contenders was judged on test")
    if bench.rows.shortage is not None:
        return record(bench.rows.shortage)
    nearest: Interval | None = None
    rival: str | None = None
    for other in bench.candidates:
        if other == name:
            continue
        found = paired.difference(
            bench.samples[name], bench.samples[other], bench.rows, confidence=confidence
        )
        if not isinstance(found, Interval):
            return record(found.reason)
        if nearest is None or found.low < nearest.low:
            nearest, rival = found, other
    if nearest is not None and nearest.low <= -margin:
        why = f"{name} may be {amount(nearest.low)} points worse than {rival}"
    elif not case.beats_constant(name):
        why = f"{name} is not shown to beat constant"
    elif broken := case.broken(name):
        why = f"{name} breaks {broken[0].name}: {broken[0].detail}"
    else:
        return record("", good=True, rival=rival, found=nearest)
    return record(why, rival=rival, found=nearest)
