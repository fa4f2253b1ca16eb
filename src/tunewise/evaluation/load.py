"""Measures what a request takes of a machine when many come at once, as it would be served.

What a machine that is paid by the hour costs follows from this, not from requests that come alone:
batches answer many in the time of a few.
"""

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tunewise.evaluation.collect import Answering
from tunewise.types import Input

AT_ONCE = 16
"""Requests that come at once, as far as there are inputs."""
ROUNDS = 6
"""Times that so many come."""
MIN_ROUNDS = 4
"""Fewer are not measured: their mean would have no interval."""
WARM_UP = 2
"""Requests before them that are not counted."""


def measure_loads(
    contenders: Mapping[str, tuple[Answering, int]],
    inputs: Sequence[Input],
    *,
    rng: np.random.Generator,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, tuple[float, ...]]:
    """Asks for answers many at a time; they are not kept.

    In every round all contenders get the same inputs, in an order that changes, so that a slow
    moment and a long input are the same for all. No input comes twice, which a cache would answer.

    Args:
        contenders: name -> (asked, which replica); engines must be within `prefix_caching`, with
            empty caches.
        inputs: of the test split.
        rng: the order within each round.
        clock: seconds.

    Returns:
        name -> (rounds,) seconds a request; empty where there are too few inputs.
    """
    size = min(AT_ONCE, len(inputs) // MIN_ROUNDS)
    if not contenders or size == 0:
        return dict.fromkeys(contenders, ())
    rounds = min(ROUNDS, len(inputs) // size)
    for fitted, seed in contenders.values():
        fitted.answer(inputs[-WARM_UP:], seed=seed)
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        asked = inputs[number * size : (number + 1) * size]
        for place in rng.permutation(len(contenders)):
            name = list(contenders)[int(place)]
            fitted, seed = contenders[name]
            began = clock()
            fitted.answer(asked, seed=seed)
            seconds[name].append((clock() - began) / size)
    return {name: tuple(some) for name, some in seconds.items()}
