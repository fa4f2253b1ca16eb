"""Whether a model may take the place of the last release: scores on the gate set in, yes or no out.

Pure. What a look tells is that one word, and nothing of the scores: who tunes until numbers look
good has tuned on the gate set.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tunewise.decision.plan import Measured
from tunewise.statistics import paired
from tunewise.statistics.intervals import Interval, NotComputed
from tunewise.statistics.noninferiority import no_worse_p
from tunewise.statistics.paired import Rows, Sample
from tunewise.statistics.power import chance_as_good_passes

ONLY = 0
"""The seed of what is judged here: each has one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GateDemands:
    """What a model has to show; at least one of the two."""

    margin: float | None
    """Quality, 0 to 1, by which it has to be shown not to be worse than the last release; None:
    there is none."""
    floor: float | None
    """Quality, 0 to 1, that it has to be shown to exceed; None: any will do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GateNumbers:
    """What was measured of a model, where the gate set is opened."""

    quality: Interval | NotComputed
    difference: Interval | NotComputed | None
    """Of the model, less the baseline; None without one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GateResult:
    """What is told of one model."""

    model: str
    passed: bool
    look: int
    """The how manieth look at these rows it was, 1 for the first."""
    error: float
    """The chance that this look may have to let a model through that it should not."""
    repeated: bool
    """Whether the very same answers were judged before: that is no further look."""
    chance: float | None
    """That a model exactly as good as the baseline passes at such a look, roughly; None without a
    baseline."""
    crashed: int
    """Answers that crashed; they count as wrong."""
    seconds: float
    """Wall time of asking."""
    numbers: GateNumbers | None = None
    """None: they stay sealed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GateReport:
    """One call of the gate."""

    metric: str
    rows: int
    units: int
    """Independent ones among the rows."""
    baseline: str | None
    demands: GateDemands
    results: tuple[GateResult, ...]
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every model did."""
        return all(one.passed for one in self.results)


@dataclass(frozen=True, kw_only=True)
class Gate:
    """Judges models on the same rows.

    Args:
        rows: what all samples have in common; enough for an interval.
        baseline: None: there is no last release.
        demands: what is to be shown.
    """

    rows: Rows
    baseline: Measured | None
    demands: GateDemands

    def passes(self, model: Measured, *, error: float) -> bool:
        """Whether the model is shown to meet every demand, each at this one-sided error rate.

        Meeting all of them takes each one to be shown, so none has to be corrected for the others
        (Berger 1982).
        """
        found = self._sample(model)
        shown: list[bool] = []
        if self.baseline is not None and self.demands.margin is not None:
            before = self._sample(self.baseline)
            p = no_worse_p(found, before, self.rows, margin=self.demands.margin)
            shown.append(p <= error)
        if self.demands.floor is not None:
            quality = paired.quality(found, self.rows, confidence=1.0 - 2.0 * error)
            shown.append(isinstance(quality, Interval) and quality.low > self.demands.floor)
        return bool(shown) and all(shown)

    def chance(self, error: float) -> float | None:
        """That a model exactly as good as the baseline passes; None without one."""
        if self.baseline is None or self.demands.margin is None:
            return None
        return chance_as_good_passes(self.rows.group_count, self.demands.margin, error)

    def numbers(self, model: Measured) -> GateNumbers:
        """Quality and difference with their 95% intervals: for a gate set that is given up."""
        found = self._sample(model)
        before = None if self.baseline is None else self._sample(self.baseline)
        return GateNumbers(
            quality=paired.quality(found, self.rows),
            difference=None if before is None else paired.difference(found, before, self.rows),
        )

    def _sample(self, one: Measured) -> Sample:
        return one.sample(ONLY, self.rows)


def gate_rows(n: int, *, binary: bool, units: Sequence[str | None]) -> Rows:
    """The rows of a gate set: see `paired.rows_of`."""
    return paired.rows_of(n, binary=binary, groups=units)
