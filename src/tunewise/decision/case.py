"""What the rules look at: the bench, the demands, and what is known beside the scores."""

from collections.abc import Mapping
from dataclasses import dataclass

from tunewise.decision.comparisons import Bench
from tunewise.decision.retention import Kept
from tunewise.statistics.intervals import Interval, NotComputed
from tunewise.types import Comparison, Constraint
from tunewise.wording import Wording


@dataclass(frozen=True, kw_only=True, slots=True)
class Demands:
    """The [decision] table of a project, as far as the rule needs it."""

    minimum_gain: float
    """Smaller differences in quality are not worth a training."""
    minimum_quality: float | None = None
    """Floor of the quality, by point estimate."""
    maximum_latency_ms: float | None = None
    """Ceiling of the median latency, which its interval must keep to."""
    maximum_loss: float | None = None
    """Quality that may be lost where a training saves money; None: half of `minimum_gain`."""

    @property
    def tolerated_loss(self) -> float:
        """The margin of non-inferiority of a contender that is cheaper."""
        return self.minimum_gain / 2.0 if self.maximum_loss is None else self.maximum_loss

    @property
    def tolerated_regret(self) -> float:
        """Expected regret below which more labels would not pay: a fifth of `minimum_gain`."""
        return self.minimum_gain / 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Saving:
    """What the challenger saves over the horizon, training and retraining included."""

    value: float
    low: float
    high: float
    unit: str
    """Currency and horizon, for a person: `USD in 12 months`."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Case:
    """What the rules look at, and what every verdict carries."""

    bench: Bench
    demands: Demands
    comparisons: tuple[Comparison, ...]
    constraints: tuple[Constraint, ...]
    savings: Mapping[str, Saving]
    """Contender without training -> what the challenger saves against it; empty: not known."""
    retention: Mapping[str, Kept]
    """What became of general ability per trained contender; empty when not measured."""

    @property
    def wording(self) -> Wording:
        """How this project's qualities are put into words."""
        return Wording(binary=self.bench.rows.binary, n=self.bench.rows.n)

    def beats_constant(self, name: str) -> bool:
        """Whether a contender is shown to be better than the answer that ignores the input."""
        return name in self.bench.candidates and any(
            one.met
            for one in self.constraints
            if one.name == "beats_constant" and one.contender == name
        )

    def broken(self, name: str) -> list[Constraint]:
        """The demands that a contender does not meet, apart from beating `constant`."""
        return [
            one
            for one in self.constraints
            if one.contender == name and not one.met and one.name != "beats_constant"
        ]

    def compared(self, a: str, b: str) -> Comparison | None:
        """The comparison of two contenders as it was recorded, whichever stands first."""
        return next((one for one in self.comparisons if {one.a, one.b} == {a, b}), None)

    def shown_better(self, a: str, b: str) -> bool:
        """Whether a is better than b after Holm: for what was noticed once test was open."""
        one = self.compared(a, b)
        alpha = 1.0 - self.bench.confidence
        return one is not None and self.bench.beats(a, b) and one.p_adjusted <= alpha

    def quality(self, name: str) -> str:
        """`answers 90.8% of 120 test examples right (84.2–95.3)`."""
        one = self.bench.contenders[name]
        seeds = {seed: one.quality(seed) for seed in one.scores}
        return self.wording.quality(self.bench.quality(name), seeds)

    def difference(self, a: str, b: str) -> Interval | NotComputed:
        """Quality of a minus quality of b."""
        return self.bench.difference(a, b)

    def advantage(self, a: str, b: str) -> str:
        """`17.5 points more than few_shot (+8.1 to +26.9)`."""
        return self.wording.advantage(self.difference(a, b), b)
