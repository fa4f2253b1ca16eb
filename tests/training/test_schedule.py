from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers

from tunewise.training.recipe import Recipe, Schedule
from tunewise.training.schedule import learning_rate

PEAK = 2e-4


def rates(schedule: Schedule, *, steps: int, warmup_share: float = 0.1) -> list[float]:
    recipe = Recipe(
        learning_rate=PEAK,
        epochs=1,
        batch_tokens=512,
        seed=0,
        schedule=schedule,
        warmup_share=warmup_share,
    )
    return [learning_rate(recipe, step, steps) for step in range(steps)]


def theirs(make: Callable[..., Any], *, steps: int, **named: int) -> list[float]:
    """What one of transformers' schedulers gives before each step, and after the last."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    scheduler = make(optimizer, **named)
    found: list[float] = []
    for _ in range(steps + 1):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


SCHEDULERS = {
    "linear": transformers.get_linear_schedule_with_warmup,
    "cosine": transformers.get_cosine_schedule_with_warmup,
}


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
def test_the_rate_rises_in_equal_parts_to_its_peak(schedule: Schedule) -> None:
    assert rates(schedule, steps=50)[:5] == pytest.approx([PEAK * n / 5 for n in (1, 2, 3, 4, 5)])


def test_no_step_is_lost_on_a_rate_of_zero() -> None:
    """transformers' warm-up begins at zero, ours one step further on."""
    their = theirs(
        transformers.get_linear_schedule_with_warmup,
        steps=50,
        num_warmup_steps=5,
        num_training_steps=50,
    )
    assert their[0] == 0
    assert rates("linear", steps=50)[:5] == pytest.approx(their[1:6])


@pytest.mark.parametrize(("steps", "warmup"), [(50, 5), (7, 1), (200, 20)])
@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_after_its_warm_up_the_rate_is_that_of_transformers(
    schedule: Schedule, steps: int, warmup: int
) -> None:
    their = theirs(
        SCHEDULERS[schedule],
        steps=steps,
        num_warmup_steps=warmup,
        num_training_steps=steps,
    )
    assert rates(schedule, steps=steps)[warmup:] == pytest.approx(their[warmup:steps])
    assert their[steps] == pytest.approx(0, abs=1e-12)


def test_linear_falls_in_equal_parts_and_would_reach_zero_after_the_last_step() -> None:
    found = rates("linear", steps=50)[5:]
    assert found == pytest.approx([PEAK * (45 - n) / 45 for n in range(45)])


def test_cosine_is_at_half_its_peak_halfway() -> None:
    found = rates("cosine", steps=44)
    assert found[4] == pytest.approx(PEAK)
    assert found[24] == pytest.approx(PEAK / 2)
    assert found[-1] == pytest.approx(PEAK * 0.0015413, rel=1e-3)


def test_constant_stays_at_its_peak() -> None:
    assert set(rates("constant", steps=50)[5:]) == {PEAK}


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_after_the_peak_every_step_is_smaller_but_none_is_zero(schedule: Schedule) -> None:
    found = rates(schedule, steps=60)[6:]
    assert found == sorted(found, reverse=True)
    assert len(set(found)) == len(found)
    assert min(found) > 0


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
def test_a_training_of_one_step_takes_it_at_the_peak(schedule: Schedule) -> None:
    assert rates(schedule, steps=1) == [PEAK]


def test_a_training_without_warm_up_begins_at_its_peak() -> None:
    assert rates("linear", steps=10, warmup_share=0)[:2] == [PEAK, PEAK]


def test_the_peak_is_the_recipes() -> None:
    for share in (0.03, 0.06, 0.5, 1.0):
        assert max(rates("cosine", steps=33, warmup_share=share)) == pytest.approx(PEAK)
