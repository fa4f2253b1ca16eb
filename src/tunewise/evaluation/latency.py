"""Measures how long one request takes when it comes alone, warm, as it would be served.

Throughput is another matter: batches answer many requests in the time of a few.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tunewise.evaluation.collect import Answering
from tunewise.runs.schema import Latency
from tunewise.statistics.order_statistics import median_range
from tunewise.types import Input

REQUESTS = 20
"""Test inputs asked one at a time."""
WARM_UP = 2
"""Requests before them that are not counted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServedLatency(Latency):
    """Latency on a warm model with a prefix cache, and what came from there."""

    cached_tokens: float
    """Mean prompt tokens taken from the prefix cache."""


def measure_latency(
    fitted: Answering,
    inputs: Sequence[Input],
    *,
    seed: int,
    advance: Callable[[int], None] = lambda units: None,
    clock: Callable[[], float] = time.perf_counter,
) -> ServedLatency:
    """Asks for answers one at a time; they are not kept.

    Args:
        fitted: asked with one input at a time; its engine must be `serving`.
        inputs: the first `REQUESTS` of them are timed, at least one.
        seed: which replica.
        advance: called with 1 after each request.
        clock: seconds.
    """
    for item in list(inputs[-WARM_UP:]):
        fitted.answer([item], seed=seed)
        advance(1)
    seconds: list[float] = []
    first: list[float] = []
    cached: list[int] = []
    for item in inputs[:REQUESTS]:
        began = clock()
        (answer,) = fitted.answer([item], seed=seed)
        seconds.append(clock() - began)
        cached.append(answer.usage.cached_tokens)
        if answer.seconds_to_first_token is not None:
            first.append(answer.seconds_to_first_token)
        advance(1)
    between = median_range(seconds)
    return ServedLatency(
        p50=1000 * float(np.median(seconds)),
        p50_low=None if between is None else 1000 * between.low,
        p50_high=None if between is None else 1000 * between.high,
        p95=1000 * float(np.quantile(seconds, 0.95)),
        n=len(seconds),
        first_token_p50=1000 * float(np.median(first)) if first else None,
        cached_tokens=float(np.mean(cached)),
    )
