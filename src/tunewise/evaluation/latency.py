"""Measures how long one request takes when it comes alone, warm, as it would be served.

All contenders are asked in turn, in an order that changes with every round, so that a machine that
slows down meanwhile does so for all alike. Throughput is another matter: batches answer many
requests in the time of a few.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tunewise.evaluation.collect import Answering
from tunewise.runs.schema import Latency
from tunewise.statistics.order_statistics import median_range
from tunewise.types import Input

MIN_REQUESTS, MAX_REQUESTS = 8, 30
"""Timed requests of a contender at least, as far as there are inputs, and at most."""
STEADY = 0.1
"""The median is known well enough once its interval lies within this share of it."""
WARM_UP = 2
"""Requests before them that are not counted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServedLatency(Latency):
    """Latency on a warm model with a prefix cache, and what came from there."""

    cached_tokens: float
    """Mean prompt tokens taken from the prefix cache."""


@dataclass(kw_only=True)
class _Timed:
    """What one contender took so far."""

    fitted: Answering
    seed: int
    inputs: Sequence[Input]
    seconds: list[float] = field(default_factory=list[float])
    first: list[float] = field(default_factory=list[float])
    cached: list[int] = field(default_factory=list[int])

    def ask(self, clock: Callable[[], float]) -> None:
        """Times one more request."""
        item = self.inputs[len(self.seconds)]
        began = clock()
        (answer,) = self.fitted.answer([item], seed=self.seed)
        self.seconds.append(clock() - began)
        self.cached.append(answer.usage.cached_tokens)
        if answer.seconds_to_first_token is not None:
            self.first.append(answer.seconds_to_first_token)

    @property
    def done(self) -> bool:
        """Whether the median is known well enough, or there is nothing more to ask."""
        asked = len(self.seconds)
        if asked >= min(MAX_REQUESTS, len(self.inputs)):
            return True
        between = median_range(self.seconds) if asked >= MIN_REQUESTS else None
        if between is None:
            return False
        median = float(np.median(self.seconds))
        return max(between.high - median, median - between.low) <= STEADY * median

    def found(self) -> ServedLatency:
        """In milliseconds."""
        between = median_range(self.seconds)
        return ServedLatency(
            p50=1000 * float(np.median(self.seconds)),
            p50_low=None if between is None else 1000 * between.low,
            p50_high=None if between is None else 1000 * between.high,
            p95=1000 * float(np.quantile(self.seconds, 0.95)),
            n=len(self.seconds),
            first_token_p50=1000 * float(np.median(self.first)) if self.first else None,
            cached_tokens=float(np.mean(self.cached)),
        )


def measure_latencies(
    contenders: Mapping[str, tuple[Answering, int]],
    inputs: Sequence[Input],
    *,
    rng: np.random.Generator,
    advance: Callable[[int], None] = lambda units: None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, ServedLatency]:
    """Asks for answers one at a time; they are not kept.

    Every contender is asked once a round, until the 95% interval of its median lies within
    `STEADY` of it. Each begins with inputs of its own: where two ask the same prompts, neither
    finds them in the cache because of the other.

    Args:
        contenders: name -> (asked with one input at a time, which replica); engines must be
            within `prefix_caching`.
        inputs: at least one.
        rng: the order within each round.
        advance: called with 1 after each request.
        clock: seconds.
    """
    count = len(contenders)
    under_way = {
        name: _Timed(fitted=fitted, seed=seed, inputs=_own_first(inputs, place, count))
        for place, (name, (fitted, seed)) in enumerate(contenders.items())
    }
    for one in under_way.values():
        for item in list(one.inputs[-WARM_UP:]):
            one.fitted.answer([item], seed=one.seed)
            advance(1)
    while waiting := [one for one in under_way.values() if not one.done]:
        for place in rng.permutation(len(waiting)):
            waiting[int(place)].ask(clock)
            advance(1)
    return {name: one.found() for name, one in under_way.items()}


def most_requests(contenders: int, inputs: int) -> int:
    """Requests that so many contenders are asked at most, those of the warm-up included."""
    return contenders * (min(MAX_REQUESTS, inputs) + min(WARM_UP, inputs))


def _own_first(inputs: Sequence[Input], place: int, count: int) -> list[Input]:
    """All inputs, every `count`-th from `place` on first."""
    return [item for start in range(count) for item in inputs[(place + start) % count :: count]]
