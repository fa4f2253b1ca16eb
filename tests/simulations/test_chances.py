"""The chances that are said before a run, beside what the shipped rule does."""

import pytest

from projects import World, share_fine_tuned
from tunewise.statistics.power import chance_to_tell


def told(rows: int, gain: float, *, group_rows: int = 1) -> float:
    """The share of 400 simulated projects whose first look ends in the advice to fine-tune."""
    world = World(
        rates={"constant": 0.3, "few_shot": 0.6, "fine_tune": 0.6 + gain},
        discordant=max(0.2, gain + 0.1),
        test_rows=(rows,),
        dev_rows=rows // 2,
        group_rows=group_rows,
        correlation=0.2 if group_rows > 1 else 0.0,
    )
    return share_fine_tuned(world, 400, seed=5)


@pytest.mark.parametrize("gain", [0.05, 0.1])
@pytest.mark.parametrize(
    "rows",
    [112, pytest.param(200, marks=pytest.mark.slow), pytest.param(630, marks=pytest.mark.slow)],
)
def test_a_gain_is_told_as_often_as_is_said_before_the_run(rows: int, gain: float) -> None:
    assert told(rows, gain) == pytest.approx(chance_to_tell(rows, gain, 0.05), abs=0.07)
