"""What more rows to learn from would bring, as verdict.json holds it: records only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tunewise.statistics.learning_curve import Says

Judges = Literal["folds", "dev"]
"""Who judged: folds of train and dev in turn, or dev."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CurvePoint:
    """A value where a contender learned from so many rows."""

    n: int
    """Rows that it learned from."""
    value: float
    """Of a point the quality, 0 to 1; of a difference that of two qualities."""
    low: float | None = None
    high: float | None = None
    """The 90% interval; None where there is none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """What the curve says of so many rows."""

    n: int
    value: float
    """Quality, 0 to 1."""
    low: float
    high: float
    """The 90% band of the curve."""
    gain: float
    """What so many rows would be seen to add to the quality with all there are."""
    gain_low: float
    gain_high: float
    """Its 90% band, which holds the chance of which rows are drawn, too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Doubled:
    """Quality with all rows, less quality with half of them."""

    value: float
    low: float | None = None
    high: float | None = None
    """The 90% interval; None where there is none."""
    method: str = ""
    """The procedure, or why there is no interval."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldAgainst:
    """The difference to a contender that takes nothing from more rows, on dev rows, paired."""

    contender: str
    points: tuple[CurvePoint, ...]
    """As measured, the smallest part first."""
    forecast: tuple[CurvePoint, ...] = ()
    """At 1.5 times and at twice the rows; empty where no curve could be drawn."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ContenderCurve:
    """What one contender makes of more and more rows; test has no part in it."""

    contender: str
    scored: Judges
    judged: int
    """Rows that judged."""
    points: tuple[CurvePoint, ...]
    """The smallest part first; the last one is all rows. Intervals are those of the shape: they
    leave out what all sizes share, the rows that judged."""
    doubled: Doubled | None = None
    """None where only one size could be learned from."""
    says: Says | None = None
    """Of that doubling; None where too few rows judged."""
    forecast: tuple[Expected, ...] = ()
    """At 1.5 times and at twice the rows; empty where no curve could be drawn."""
    band: tuple[Expected, ...] = ()
    """The curve from the smallest part to twice the rows."""
    against: HeldAgainst | None = None

    @property
    def rows(self) -> int:
        """All that it learned from."""
        return self.points[-1].n


@dataclass(frozen=True, kw_only=True, slots=True)
class LearningCurves:
    """The curves that `[decision] curves` asks for."""

    curves: tuple[ContenderCurve, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict[str, str])
    """Contender -> why it has none: the end of a sentence."""

    def of(self, contender: str | None) -> ContenderCurve | None:
        """The curve of a contender, if it has one."""
        return next((one for one in self.curves if one.contender == contender), None)
