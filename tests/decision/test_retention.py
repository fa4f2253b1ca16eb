"""A change of general ability is judged against its margin; a base that knows nothing is told."""

import pytest

from tunewise.decision.retention import Kept, judge_kept
from tunewise.statistics.intervals import Interval, NotComputed


def change(value: float, reach: float = 0.02) -> Interval:
    return Interval(value=value, low=value - reach, high=value + reach, p=None, method="m")


def judged(found: Interval | NotComputed, *, base: float = 0.6, floor: float = 0.25) -> Kept:
    return judge_kept(found, margin=0.03, base=base, floor=floor)


@pytest.mark.parametrize(
    ("value", "reach", "state"),
    [
        (0.0, 0.02, "retained"),
        (-0.02, 0.005, "retained"),
        (-0.02, 0.02, "not shown"),
        (-0.04, 0.02, "not shown"),
        (-0.06, 0.02, "broken"),
        (0.05, 0.02, "retained"),
    ],
)
def test_the_interval_is_held_against_the_margin(value: float, reach: float, state: str) -> None:
    assert judged(change(value, reach)).state == state


def test_a_large_loss_warns_even_where_nothing_is_shown() -> None:
    found = judged(change(-0.07, 0.06))
    assert (found.state, found.warns) == ("not shown", True)
    assert not judged(change(-0.06, 0.06)).warns


def test_without_an_interval_nothing_is_shown_but_a_large_loss_still_warns() -> None:
    found = judged(NotComputed(value=-0.2, reason="few"))
    assert (found.state, found.warns, found.low) == ("not shown", True, None)
    assert found.detail == "20 points of general ability lost (3 points may be)"


def test_a_base_near_what_guessing_gets_cannot_be_shown_to_have_kept_anything() -> None:
    found = judged(change(0.0), base=0.30)
    assert (found.state, found.little_to_forget) == ("not shown", True)
    assert found.sentence.endswith(
        "This base has little to forget: it gets 30.0% of the general items right, where guessing "
        "gets 25.0%."
    )
    assert judged(change(-0.08), base=0.30).state == "broken"


def test_the_loss_is_told_in_points_with_its_interval() -> None:
    assert judged(change(-0.081, 0.03)).detail == (
        "8.1 points of general ability lost (−11.1 to −5.1; 3 points may be)"
    )
    assert judged(change(0.011)).detail.startswith("1.1 points of general ability won")
    assert judged(change(0.0)).detail.startswith("no general ability lost (−2.0 to +2.0")
