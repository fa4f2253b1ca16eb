from collections.abc import Sequence

import numpy as np
import pytest

from tunewise.evaluation.latency import ServedLatency, measure_latencies, most_requests
from tunewise.types import Answer, Input, Message, Usage


def inputs(count: int) -> list[Input]:
    return [
        Input(id=f"e{n}", messages=(Message(role="user", content=str(n)),)) for n in range(count)
    ]


class Served:
    """Takes as many seconds as it is told, request after request."""

    def __init__(self, seconds: Sequence[float] = (), first: float | None = None) -> None:
        self.asked: list[str] = []
        self.seeds: set[int] = set()
        self.now = 0.0
        self._seconds, self._first = seconds, first

    def answer(self, inputs: Sequence[Input], *, seed: int) -> list[Answer]:
        assert len(inputs) == 1, "one request at a time"
        place = len(self.asked)
        self.asked.append(inputs[0].id)
        self.seeds.add(seed)
        self.now += self._seconds[place] if self._seconds else 0.1
        return [
            Answer(
                example_id=inputs[0].id,
                contender="c",
                seed=seed,
                text="x",
                usage=Usage(prompt_tokens=10, cached_tokens=place),
                seconds_to_first_token=self._first,
            )
        ]


def alone(served: Served, count: int = 40, seed: int = 0) -> ServedLatency:
    """The latency of a contender with no others beside it."""
    return measure_latencies(
        {"c": (served, seed)},
        inputs(count),
        rng=np.random.default_rng(0),
        clock=lambda: served.now,
    )["c"]


def test_a_steady_contender_is_asked_eight_times_one_at_a_time_after_two_that_are_not() -> None:
    served = Served()
    found = alone(served, seed=3)
    assert served.asked == ["e38", "e39", *(f"e{n}" for n in range(8))]
    assert served.seeds == {3}
    assert found.n == 8


def test_an_unsteady_one_is_asked_until_its_median_is_known_within_a_tenth() -> None:
    steadier = [9.0, 9.0, *[0.1, 0.2] * 2, *[0.15] * 26]
    found = alone(Served(steadier))
    assert found.n == 12
    assert found.p50_low is not None
    assert found.p50_high is not None
    assert max(found.p50_high - found.p50, found.p50 - found.p50_low) <= 0.1 * found.p50


def test_one_that_never_gets_steady_is_asked_thirty_times() -> None:
    found = alone(Served([9.0, 9.0, *(n / 100 for n in range(1, 31))]))
    assert found.n == 30
    assert found.p50 == pytest.approx(155)
    assert found.p95 == pytest.approx(285.5)
    assert (found.p50_low, found.p50_high) == pytest.approx((100, 210))  # the 10th and the 21st


def test_with_five_inputs_all_are_timed_and_the_median_has_no_interval() -> None:
    served = Served()
    found = alone(served, 5)
    assert found.n == 5
    assert served.asked == ["e3", "e4", "e0", "e1", "e2", "e3", "e4"]
    assert (found.p50_low, found.p50_high) == (None, None)


def test_cached_tokens_are_the_mean_over_the_timed_requests() -> None:
    assert alone(Served()).cached_tokens == sum(range(2, 10)) / 8


def test_time_to_the_first_token_is_told_where_the_engine_can_tell() -> None:
    assert alone(Served(first=0.02)).first_token_p50 == pytest.approx(20)
    assert alone(Served()).first_token_p50 is None


# Several contenders


class Machine:
    """A machine that answers half as fast after a while; contenders share its clock."""

    def __init__(self, slow_after: int) -> None:
        self.now = 0.0
        self.requests = list[str]()
        self._slow_after = slow_after

    def contender(self, name: str, seconds: float) -> "On":
        return On(self, name, seconds)

    def took(self, name: str, seconds: float) -> None:
        self.requests.append(name)
        self.now += seconds * (2 if len(self.requests) > self._slow_after else 1)


class On:
    def __init__(self, machine: Machine, name: str, seconds: float) -> None:
        self.asked = list[str]()
        self._machine, self._name, self._seconds = machine, name, seconds

    def answer(self, inputs: Sequence[Input], *, seed: int) -> list[Answer]:
        (item,) = inputs
        self.asked.append(item.id)
        self._machine.took(self._name, self._seconds)
        return [Answer(example_id=item.id, contender=self._name, seed=seed, text="x")]


def measured(machine: Machine, *names: str, seed: int = 0) -> dict[str, ServedLatency]:
    return measure_latencies(
        {name: (machine.contender(name, 0.1 * place), 0) for place, name in enumerate(names, 1)},
        inputs(100),
        rng=np.random.default_rng(seed),
        clock=lambda: machine.now,
    )


def test_everybody_is_asked_once_a_round_in_an_order_that_changes_and_can_be_repeated() -> None:
    machine = Machine(slow_after=10**9)
    measured(machine, "a", "b", "c")
    timed = machine.requests[6:]
    rounds = [tuple(timed[n : n + 3]) for n in range(0, len(timed), 3)]
    assert all(sorted(one) == ["a", "b", "c"] for one in rounds)
    assert len(set(rounds)) > 1
    again, other = Machine(10**9), Machine(10**9)
    measured(again, "a", "b", "c")
    measured(other, "a", "b", "c", seed=1)
    assert again.requests == machine.requests != other.requests


def test_a_machine_that_slows_down_half_way_does_so_for_all_alike() -> None:
    found = measured(Machine(slow_after=4 + 8), "a", "b")  # after the warm-up and 4 rounds
    assert found["a"].n == found["b"].n > 8
    assert found["b"].p50 / found["a"].p50 == pytest.approx(2.0)


def test_each_begins_with_inputs_of_its_own() -> None:
    machine = Machine(10**9)
    contenders = {name: machine.contender(name, 0.1) for name in ("a", "b", "c")}
    measure_latencies(
        {name: (one, 0) for name, one in contenders.items()},
        inputs(100),
        rng=np.random.default_rng(0),
        clock=lambda: machine.now,
    )
    a, b, c = (set(one.asked[2:]) for one in contenders.values())
    assert not a & b
    assert not b & c
    assert not a & c


def test_progress_is_told_of_every_request() -> None:
    done, machine = list[int](), Machine(10**9)
    measure_latencies(
        {"a": (machine.contender("a", 0.1), 0), "b": (machine.contender("b", 0.1), 0)},
        inputs(40),
        rng=np.random.default_rng(0),
        advance=done.append,
        clock=lambda: machine.now,
    )
    assert sum(done) == len(machine.requests) <= most_requests(2, 40) == 64
