"""Whether a trained model kept its general ability: a change and a margin in, a judgement out.

Non-inferiority with its margin fixed before the run, at one-sided 5%: *retained* where even the
lower end of the change is above -margin, *broken* where even its upper end is below, else *not
shown*. A small suite shows little: the point estimate warns by itself beyond twice the margin.
"""

from dataclasses import dataclass
from typing import Literal

from tunewise.statistics.intervals import Interval, NotComputed
from tunewise.wording import in_points, percent, points_span

Retention = Literal["retained", "broken", "not shown"]

NEAR_FLOOR = 0.10
"""A base that is less than this above what guessing gets has little to forget."""
WARNS = 2.0
"""Margins lost by point estimate beyond which the first line warns."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """What became of the general ability of one trained contender."""

    state: Retention
    change: float
    """Right answers, after minus before, as a share of the items."""
    low: float | None
    high: float | None
    """Of the 90% interval; None where there is none."""
    margin: float
    """What may be lost."""
    base: float
    """Share of items that the base gets right."""
    floor: float
    """Share that guessing gets right."""

    @property
    def warns(self) -> bool:
        """Whether the loss is more than twice what may be lost, by point estimate."""
        return self.change < -WARNS * self.margin

    @property
    def little_to_forget(self) -> bool:
        """Whether the base is near what guessing gets."""
        return near_floor(self.base, self.floor)

    @property
    def loss(self) -> str:
        """`8.1 points of general ability lost`."""
        if abs(self.change) < 1e-9:
            return "no general ability lost"
        went = "lost" if self.change < 0 else "won"
        return f"{in_points(abs(self.change))} of general ability {went}"

    @property
    def detail(self) -> str:
        """`8.1 points of general ability lost (−11.0 to −5.2; 3 points may be)`."""
        span = ""
        if self.low is not None and self.high is not None:
            span = f"{points_span(self.low, self.high)}; "
        return f"{self.loss} ({span}{in_points(self.margin)} may be)"

    @property
    def sentence(self) -> str:
        """What was found, for a person; the numbers are in `detail`."""
        about = {
            "retained": "General ability was kept",
            "broken": "General ability was broken",
            "not shown": "That general ability was kept is not shown",
        }[self.state]
        text = f"{about}: {self.detail}."
        if self.little_to_forget:
            text += (
                f" This base has little to forget: it gets {percent(self.base)} of the general "
                f"items right, where guessing gets {percent(self.floor)}."
            )
        return text


def near_floor(base: float, floor: float) -> bool:
    """Whether a share of right answers is near what guessing gets: nothing shows there."""
    return base - floor < NEAR_FLOOR


def judge_kept(change: Interval | NotComputed, *, margin: float, base: float, floor: float) -> Kept:
    """Judges one change of general ability.

    Args:
        change: share of right answers after minus before, with its 90% interval.
        margin: what may be lost, as a share.
        base: share of right answers before.
        floor: what guessing gets.
    """
    state: Retention = "not shown"
    if isinstance(change, Interval):
        if change.high < -margin:
            state = "broken"
        elif change.low > -margin and not near_floor(base, floor):
            state = "retained"
    known = change if isinstance(change, Interval) else None
    return Kept(
        state=state,
        change=change.value,
        low=known.low if known else None,
        high=known.high if known else None,
        margin=margin,
        base=base,
        floor=floor,
    )
