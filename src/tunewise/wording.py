"""The sentences of a verdict: numbers in, plain English out. Decides nothing."""

from dataclasses import dataclass

from tunewise.statistics.intervals import Interval, NotComputed


@dataclass(frozen=True, kw_only=True, slots=True)
class Wording:
    """How the qualities of one project are put into words."""

    binary: bool
    """Shares of right answers in per cent and points; otherwise scores with two decimals."""
    n: int
    """Test examples."""

    def quality(self, estimate: Interval | NotComputed) -> str:
        """`answers 91% of 120 test examples right (85–95)`."""
        if self.binary:
            text = f"answers {100 * estimate.value:.0f}% of {self.n} test examples right"
        else:
            text = f"scores {estimate.value:.2f} on {self.n} test examples"
        return text if isinstance(estimate, NotComputed) else f"{text} ({self._span(estimate)})"

    def advantage(self, estimate: Interval | NotComputed, other: str) -> str:
        """`17 points more than few_shot (9–25)`."""
        value = estimate.value
        if abs(value) < 5e-4:
            text = f"the same as {other}"
        else:
            text = f"{self.size(abs(value))} {'more' if value > 0 else 'less'} than {other}"
        return text if isinstance(estimate, NotComputed) else f"{text} ({self._span(estimate)})"

    def size(self, value: float) -> str:
        """`17 points`, `1 point`, or `0.17` for scores that are no shares of right answers."""
        if not self.binary:
            return f"{value:.2f}"
        text = _points(value)
        return f"{text} point" if text == "1" else f"{text} points"

    def _span(self, estimate: Interval) -> str:
        if self.binary:
            low, high = _points(estimate.low), _points(estimate.high)
        else:
            low, high = (f"{end:.2f}".replace("-", "−") for end in (estimate.low, estimate.high))
        return f"{low} to {high}" if "−" in low + high else f"{low}–{high}"


def _points(value: float) -> str:
    """Percentage points, with a decimal where rounding would hide which side of 0 they are on."""
    points = 100.0 * value
    text = f"{points:.1f}" if 0.05 <= abs(points) < 0.95 else f"{points:.0f}"
    return text.replace("-", "−").replace("−0.0", "0").removesuffix("−0") or "0"


def about(count: int) -> int:
    """A number of examples rounded up to two digits: 143 -> 150."""
    step = 10 ** max(0, len(str(count)) - 2)
    return -(-count // step) * step


def joined(parts: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
