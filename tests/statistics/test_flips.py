"""Flips are counted, and their intervals know that the items of a kind fall together."""

import numpy as np
import pytest

from tunewise.statistics.flips import flips, mean_change, mean_interval, share
from tunewise.statistics.intervals import FloatArray, Interval, NotComputed


def alone(n: int) -> list[str]:
    return [str(item) for item in range(n)]


def answers(right: int, wrong: int) -> FloatArray:
    return np.array([1.0] * right + [0.0] * wrong)


def test_flips_are_told_apart_by_their_direction() -> None:
    before = np.array([1.0, 1.0, 1.0, 0.0, 0.0] * 20)
    after = np.array([1.0, 0.0, 0.0, 1.0, 0.0] * 20)
    found = flips(before, after, alone(100))
    assert (found.items, found.lost, found.won) == (100, 40, 20)
    assert (found.before, found.after) == (0.6, 0.4)
    assert found.change.value == pytest.approx(-0.2)
    assert found.lost_share is not None
    assert found.lost_share.value == pytest.approx(40 / 60)


def test_the_change_has_the_interval_of_paired_answers_at_90_percent() -> None:
    found = flips(answers(80, 20), answers(60, 40), alone(100))
    assert isinstance(found.change, Interval)
    # Bonett and Price (2012) by hand: 0 and 20 discordant of 100, Student's t with 99 degrees.
    reach = 1.6604 * np.sqrt(((1 + 21) / 102 - (20 / 102) ** 2) / 102)
    assert found.change.low == pytest.approx(-20 / 102 - reach, abs=1e-4)
    assert found.change.high == pytest.approx(-20 / 102 + reach, abs=1e-4)


def test_kinds_that_fall_as_a_whole_widen_the_interval() -> None:
    before = answers(200, 0)
    after = np.array(([0.0] * 10 + [1.0] * 90) * 2)
    kinds = [str(item // 10) for item in range(200)]
    apart, together = (flips(before, after, clusters).change for clusters in (alone(200), kinds))
    assert isinstance(apart, Interval)
    assert isinstance(together, Interval)
    assert together.value == pytest.approx(apart.value)
    assert together.low < apart.low
    assert apart.high < together.high


def test_few_kinds_give_no_interval_and_no_right_answer_no_share() -> None:
    found = flips(answers(0, 40), answers(10, 30), [str(n % 4) for n in range(40)])
    assert isinstance(found.change, NotComputed)
    assert found.lost_share is None
    with pytest.raises(ValueError, match="no items"):
        flips(answers(0, 0), answers(0, 0), [])


def test_a_mean_change_of_probabilities_has_their_sign() -> None:
    before = np.linspace(0.2, 0.9, 60)
    found = mean_change(before, before - 0.1, alone(60))
    assert isinstance(found, Interval)
    assert found.value == pytest.approx(-0.1)
    assert found.high < 0


def test_a_share_and_a_mean_have_intervals_around_them() -> None:
    found = share(answers(30, 30), alone(60))
    assert isinstance(found, Interval)
    assert found.low < 0.5 < found.high
    mean = mean_interval(np.array([0.1, 0.2, 0.3]))
    assert mean.value == pytest.approx(0.2)
    assert mean.high - mean.value == pytest.approx(2.92 * 0.1 / np.sqrt(3), abs=1e-3)


def test_a_true_loss_is_covered_and_a_lossless_training_is_rarely_called_broken() -> None:
    """300 suites of 640 items in 60 kinds whose losses differ; nominal 5% at each end."""
    rng = np.random.default_rng(17)
    kinds = [str(item % 60) for item in range(640)]
    missed = broken = 0
    for _ in range(300):
        lost = rng.beta(1.0, 19.0, size=60)[[int(kind) for kind in kinds]]
        won = 0.05
        right = rng.random(640) < 0.6
        before = right.astype(float)
        turned = rng.random(640)
        after = np.where(right, turned >= lost, turned < 0.6 / 0.4 * won).astype(float)
        change = flips(before, after, kinds).change
        assert isinstance(change, Interval)
        missed += not change.low <= 0.0 <= change.high
        broken += change.high < -0.03
    assert missed / 300 <= 0.13
    assert broken / 300 <= 0.02
