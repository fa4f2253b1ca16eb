"""The sentences of a verdict, and the one place where a quality is rounded: numbers in, words out.

Qualities are percent and their differences points, hundredths of the scale, both with one decimal
everywhere: in a sentence, in a table and on a plot. Decides nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from tunewise.statistics.intervals import Interval, NotComputed
from tunewise.types import Comparison

MINUS = "\u2212"
SAME = 5e-4
"""Qualities nearer to each other than this are called the same: 0.05 points."""


def percent(share: float) -> str:
    """A score from 0 to 1 as percent: `91.0%`."""
    return f"{100 * share:.1f}%"


def percent_span(low: float, high: float) -> str:
    """An interval of scores as percent: `84.6–95.1`."""
    return f"{100 * low:.1f}–{100 * high:.1f}"


def points(difference: float) -> str:
    """A difference of two scores in signed points: `+17.0`, near 0 with two decimals: `−0.04`."""
    size = amount(difference)
    if not float(size):
        return "0.0"
    return f"{'+' if difference > 0 else MINUS}{size}"


def points_span(low: float, high: float) -> str:
    """An interval of differences in points: `+9.2 to +25.1`."""
    return f"{points(low)} to {points(high)}"


def amount(difference: float) -> str:
    """The size of a difference in points without its sign: `17.0`.

    A second decimal where one would say 0.0: on which side of 0 it is may decide a verdict.
    """
    size = abs(100 * difference)
    return f"{size:.1f}" if size >= 0.05 or size < 0.005 else f"{size:.2f}"


def in_points(size: float) -> str:
    """A size with its unit: `17.0 points`, `5 points` where it is a whole number of them."""
    text = amount(size).removesuffix(".0")
    return f"{text} point" if text == "1" else f"{text} points"


def difference(item: Comparison) -> str:
    """A comparison in a few words: `+17.0 points (+9.2 to +25.1)`."""
    return f"{points(item.delta)} points ({points_span(item.low, item.high)})"


def by_seed(qualities: Mapping[int, float]) -> str:
    """The quality of every seed and their mean: `seeds 95.9%, 93.9%, 89.8%, mean 93.2%`."""
    each = ", ".join(percent(qualities[seed]) for seed in sorted(qualities))
    return f"seeds {each}, mean {percent(fmean(qualities.values()))}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Wording:
    """How the qualities of one project are put into words."""

    binary: bool
    """Whether a quality is the share of right answers; otherwise it is a mean score."""
    n: int
    """Test examples."""

    def quality(
        self, estimate: Interval | NotComputed, seeds: Mapping[int, float] | None = None
    ) -> str:
        """`answers 90.8% of 120 test examples right (84.2–95.3)`; then every seed, if several."""
        if self.binary:
            text = f"answers {percent(estimate.value)} of {self.n} test examples right"
        else:
            text = f"scores {percent(estimate.value)} on {self.n} test examples"
        beside: list[str] = []
        if isinstance(estimate, Interval):
            beside.append(percent_span(estimate.low, estimate.high))
        if seeds and len(seeds) > 1:
            beside.append(by_seed(seeds))
        return f"{text} ({'; '.join(beside)})" if beside else text

    def advantage(self, estimate: Interval | NotComputed, other: str) -> str:
        """`17.5 points more than few_shot (+8.1 to +26.9)`."""
        value = estimate.value
        if abs(value) < SAME:
            text = f"the same as {other}"
        else:
            size = amount(value)
            unit = "point" if size == "1.0" else "points"
            text = f"{size} {unit} {'more' if value > 0 else 'less'} than {other}"
        if isinstance(estimate, NotComputed):
            return text
        return f"{text} ({points_span(estimate.low, estimate.high)})"


def about(count: int) -> int:
    """A number of examples rounded up to two digits: 143 -> 150."""
    step = 10 ** max(0, len(str(count)) - 2)
    return -(-count // step) * step


def joined(parts: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
