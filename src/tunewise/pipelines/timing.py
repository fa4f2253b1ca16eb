"""Times requests as they would be served: alone, and many at once. One base model at a time."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack

import numpy as np

from tunewise.contenders.protocol import Fitted
from tunewise.evaluation.latency import ServedLatency, measure_latencies, most_requests
from tunewise.evaluation.load import measure_loads
from tunewise.models.engines.protocol import Engine
from tunewise.pipelines.costs import tariff_of
from tunewise.pipelines.fitting import Fits, Job


def time_requests(
    job: Job, fits: Fits, engines: Mapping[str, Engine], others: Sequence[Engine]
) -> dict[str, ServedLatency]:
    """Latency of the seed that ships of every contender on test, asked one request at a time.

    Args:
        job: of the run.
        fits: who is asked on test.
        engines: short name of each base -> what runs it.
        others: endpoints.
    """
    inputs = [example.input for example in job.prepared.splits.test]
    asked = {name: (fitted, fits.plan.ships[name]) for name, fitted in fits.fitted.items()}
    found: dict[str, ServedLatency] = {}
    total, done = most_requests(len(asked), len(inputs)), 0
    with job.progress.task("latency, one request at a time", total=total) as advance:

        def tell(requests: int) -> None:
            nonlocal done
            done += requests
            advance(requests)

        seed = job.prepared.project.data.seed
        for serving, some in _served_together(job, asked, engines, others):
            with serving:
                rng = np.random.default_rng(seed)
                found |= measure_latencies(some, inputs, rng=rng, advance=tell)
        advance(total - done)
    for name in asked:
        job.remaining.did(name, "latency")
    return found


def time_loads(
    job: Job, fits: Fits, engines: Mapping[str, Engine], others: Sequence[Engine]
) -> dict[str, tuple[float, ...]]:
    """What requests take of machines that are paid by the hour, on caches that start empty."""
    project = job.prepared.project
    asked = {
        name: (fitted, fits.plan.ships[name])
        for name, fitted in fits.fitted.items()
        if tariff_of(name, project).hour is not None
    }
    if not asked:
        return {}
    inputs = [example.input for example in job.prepared.splits.test]
    found: dict[str, tuple[float, ...]] = {}
    with job.progress.task("many requests at once", total=1) as advance:
        for serving, some in _served_together(job, asked, engines, others):
            with serving:
                rng = np.random.default_rng(project.data.seed)
                found |= measure_loads(some, inputs, rng=rng)
        advance(1)
    return found


def _served_together(
    job: Job,
    asked: Mapping[str, tuple[Fitted, int]],
    engines: Mapping[str, Engine],
    others: Sequence[Engine],
) -> Iterator[tuple[ExitStack, dict[str, tuple[Fitted, int]]]]:
    """The contenders of each base, with what has its engine serve: one base at a time.

    What runs on no base comes with the first.
    """
    first = next(iter(engines))
    for base, engine in engines.items():
        some = {n: one for n, one in asked.items() if job.field.base_of.get(n, first) == base}
        if not some:
            continue
        with ExitStack() as stack:
            for one in (engine, *(others if base == first else ())):
                stack.enter_context(one.prefix_caching())
            yield stack.pop_all(), some
