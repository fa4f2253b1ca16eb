"""Every pairwise comparison of one test split: scores in, `Comparison` records out.

Knows the plan, so as to put the primary comparison first, but decides nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tunewise.decision.plan import Measured, Plan
from tunewise.project.contenders import CONSTANT
from tunewise.statistics import paired
from tunewise.statistics.intervals import Interval, NotComputed
from tunewise.statistics.tests import holm
from tunewise.types import Comparison
from tunewise.wording import significant


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Bench:
    """The contenders' answers on one test split, ready to be compared in pairs."""

    plan: Plan
    rows: paired.Rows
    contenders: Mapping[str, Measured]
    seeds: Mapping[str, Mapping[int, paired.Sample]]
    """contender -> seed -> its scores."""
    confidence: float
    """Of every comparison."""
    samples: dict[str, paired.Sample] = field(init=False)
    """contender -> its scores, averaged over its seeds row by row: what is compared."""
    _known: dict[tuple[str, str], Interval | NotComputed] = field(
        default_factory=dict[tuple[str, str], Interval | NotComputed], init=False
    )

    def __post_init__(self) -> None:
        means = {name: paired.mean_sample(list(of.values())) for name, of in self.seeds.items()}
        object.__setattr__(self, "samples", means)

    def difference(self, a: str, b: str) -> Interval | NotComputed:
        """Quality of a minus quality of b, each averaged over its seeds."""
        if (a, b) not in self._known:
            self._known[a, b] = paired.difference(
                self.samples[a], self.samples[b], self.rows, confidence=self.confidence
            )
        return self._known[a, b]

    def quality(self, name: str) -> Interval | NotComputed:
        """Quality of the seed that ships, with its 95% interval."""
        return paired.quality(self.shipped(name), self.rows)

    def shipped(self, name: str) -> paired.Sample:
        """The scores of the seed that ships."""
        seeds = self.seeds[name]
        return seeds[self.plan.ships.get(name, min(seeds))]

    def beats(self, a: str, b: str) -> bool:
        """Whether a is shown to be better than b: the lower bound of the difference is above 0."""
        found = self.difference(a, b)
        return isinstance(found, Interval) and found.low > 0.0

    @property
    def candidates(self) -> list[str]:
        """The contenders that may be recommended; `constant` is the bar, not a candidate."""
        return [
            name for name, one in self.contenders.items() if not one.ceiling and name != CONSTANT
        ]

    @property
    def untrained(self) -> list[str]:
        """The candidates that need no training of the language model."""
        return [name for name in self.candidates if not self.contenders[name].trained]


def prepare(
    plan: Plan,
    measured: Sequence[Measured],
    *,
    binary: bool,
    groups: Sequence[str | None] | None,
    confidence: float,
) -> Bench:
    """Checks that the scores belong together and jackknifes them where the metric is no rate.

    Raises:
        ValueError: a contender of the plan is missing, or row counts differ.
    """
    contenders = {one.name: one for one in measured}
    for name in (plan.incumbent, plan.challenger):
        if name is not None and name not in contenders:
            raise ValueError(f"{name} is in the plan but has no test scores")
    counts = {one.values(seed).size for one in measured for seed in one.scores}
    if len(counts) != 1 or counts == {0}:
        raise ValueError(f"all contenders answer the same test examples, not {sorted(counts)}")
    rows = paired.rows_of(counts.pop(), binary=binary, groups=groups)
    seeds = {
        name: {seed: one.sample(seed, rows) for seed in sorted(one.scores)}
        for name, one in contenders.items()
    }
    return Bench(plan=plan, rows=rows, contenders=contenders, seeds=seeds, confidence=confidence)


def compare(bench: Bench, metric: str) -> tuple[Comparison, ...]:
    """The primary comparison, then every secondary one with Holm's correction.

    Secondary: every contender with the incumbent, the challenger with every contender, every
    contender with `constant`. Where no interval can be computed the range is −1 to 1, and
    `method` says what is missing.

    Args:
        bench: the prepared scores.
        metric: name of the primary metric.
    """
    incumbent, challenger = bench.plan.incumbent, bench.plan.challenger
    names = list(bench.contenders)
    wanted = [(challenger, incumbent)]
    wanted += [(name, incumbent) for name in names]
    wanted += [(challenger, name) for name in names]
    wanted += [(name, CONSTANT) for name in names if CONSTANT in bench.contenders]
    pairs: list[tuple[str, str]] = []
    for a, b in wanted:
        if a is None or b is None or a == b or (a, b) in pairs or (b, a) in pairs:
            continue
        pairs.append((a, b))
    found = [bench.difference(a, b) for a, b in pairs]
    raw = [_p(one) for one in found]
    primary = 1 if incumbent is not None and challenger is not None else 0
    adjusted = raw[:primary] + holm(raw[primary:])
    return tuple(
        _record(a, b, metric, bench, one, p, corrected)
        for (a, b), one, p, corrected in zip(pairs, found, raw, adjusted, strict=True)
    )


def _p(found: Interval | NotComputed) -> float:
    return 1.0 if isinstance(found, NotComputed) or found.p is None else found.p


def _record(
    a: str,
    b: str,
    metric: str,
    bench: Bench,
    found: Interval | NotComputed,
    p: float,
    adjusted: float,
) -> Comparison:
    if isinstance(found, NotComputed):
        low, high, method = -1.0, 1.0, f"not computed: {found.reason}"
    else:
        low, high = found.low, found.high
        method = f"{found.method}, {significant(100 * bench.confidence)}%"
    return Comparison(
        a=a,
        b=b,
        metric=metric,
        n=bench.rows.n,
        groups=bench.rows.group_count,
        delta=found.value,
        low=low,
        high=high,
        p=p,
        p_adjusted=adjusted,
        method=method,
        computed=isinstance(found, Interval),
    )
