from collections.abc import Sequence

import pytest

from tunewise.evaluation.latency import measure_latency
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


def test_twenty_requests_are_timed_one_at_a_time_after_two_that_are_not() -> None:
    served, done = Served(), list[int]()
    found = measure_latency(
        served, inputs(30), seed=3, advance=done.append, clock=lambda: served.now
    )
    assert served.asked == ["e28", "e29", *(f"e{n}" for n in range(20))]
    assert served.seeds == {3}
    assert found.n == 20
    assert sum(done) == 22


def test_median_and_95th_percentile_are_in_milliseconds() -> None:
    seconds = [9.0, 9.0, *(n / 100 for n in range(1, 21))]  # warm-up, then 10 to 200 ms
    served = Served(seconds)
    found = measure_latency(served, inputs(30), seed=0, clock=lambda: served.now)
    assert found.p50 == pytest.approx(105)
    assert found.p95 == pytest.approx(190.5)


def test_the_median_has_the_interval_of_its_order_statistics() -> None:
    seconds = [9.0, 9.0, *(n / 100 for n in range(20, 0, -1))]
    served = Served(seconds)
    found = measure_latency(served, inputs(30), seed=0, clock=lambda: served.now)
    assert (found.p50_low, found.p50_high) == pytest.approx((60, 150))  # the 6th and the 15th


def test_with_five_requests_the_median_has_no_interval() -> None:
    served = Served()
    found = measure_latency(served, inputs(5), seed=0, clock=lambda: served.now)
    assert (found.p50_low, found.p50_high) == (None, None)


def test_with_few_inputs_all_are_timed() -> None:
    served = Served()
    found = measure_latency(served, inputs(5), seed=0, clock=lambda: served.now)
    assert found.n == 5
    assert served.asked == ["e3", "e4", "e0", "e1", "e2", "e3", "e4"]


def test_cached_tokens_are_the_mean_over_the_timed_requests() -> None:
    served = Served()
    found = measure_latency(served, inputs(30), seed=0, clock=lambda: served.now)
    assert found.cached_tokens == sum(range(2, 22)) / 20


def test_time_to_the_first_token_is_told_where_the_engine_can_tell() -> None:
    served = Served(first=0.02)
    assert measure_latency(
        served, inputs(5), seed=0, clock=lambda: served.now
    ).first_token_p50 == pytest.approx(20)
    unknown = Served()
    assert (
        measure_latency(unknown, inputs(5), seed=0, clock=lambda: unknown.now).first_token_p50
        is None
    )
