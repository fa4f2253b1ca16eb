from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from tunewise.evaluation.load import measure_loads
from tunewise.types import Answer, Input, Message


def inputs(count: int) -> list[Input]:
    return [
        Input(id=f"e{n}", messages=(Message(role="user", content=str(n)),)) for n in range(count)
    ]


class Clock:
    now = 0.0


class Served:
    """Takes the same time for a batch, however large."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self.batches: list[list[str]] = []
        self._clock, self._seconds = clock, seconds

    def answer(self, inputs: Sequence[Input], *, seed: int) -> list[Answer]:
        self.batches.append([item.id for item in inputs])
        self._clock.now += self._seconds
        return [Answer(example_id=item.id, contender="c", seed=seed, text="x") for item in inputs]


def measured(count: int, *seconds: float):
    clock = Clock()
    served = {f"c{n}": Served(clock, took) for n, took in enumerate(seconds)}
    found = measure_loads(
        {name: (one, 0) for name, one in served.items()},
        inputs(count),
        rng=np.random.default_rng(0),
        clock=lambda: clock.now,
    )
    return found, served


def test_sixteen_come_at_once_and_each_takes_its_share() -> None:
    found, served = measured(200, 3.2)
    assert found["c0"] == pytest.approx((0.2,) * 6)
    assert [len(batch) for batch in served["c0"].batches] == [2, *[16] * 6]


def test_all_contenders_get_the_same_inputs_and_none_twice() -> None:
    _, served = measured(120, 1.0, 2.0, 3.0)
    rounds = [one.batches[1:] for one in served.values()]
    assert rounds[0] == rounds[1] == rounds[2]
    assert set(Counter(item for batch in rounds[0] for item in batch).values()) == {1}


def test_what_a_contender_takes_is_not_put_on_the_others() -> None:
    found, _ = measured(120, 1.0, 4.0)
    assert sum(found["c1"]) == pytest.approx(4 * sum(found["c0"]))


@pytest.mark.parametrize(("count", "rounds", "size"), [(40, 4, 10), (7, 6, 1), (64, 4, 16)])
def test_few_inputs_come_fewer_at_a_time(count: int, rounds: int, size: int) -> None:
    found, served = measured(count, 1.0)
    assert len(found["c0"]) == rounds
    assert len(served["c0"].batches[1]) == size


def test_three_inputs_are_too_few_to_be_measured() -> None:
    found, served = measured(3, 1.0)
    assert found == {"c0": ()}
    assert served["c0"].batches == []
