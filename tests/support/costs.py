"""Simulated logs of requests with the shapes of real ones: lengths and volumes with heavy tails.

Lengths are log-normal. In the traces of two services of Azure that Patel et al. (2024, Splitwise,
arXiv:2311.18677) describe, the median answer has 129 and 13 tokens and the median prompt 1,020 and
1,500, with tails of many times that; a log-scale of 1 to 1.3 is at the heavy end. How many requests
a unit (a customer, a document) sends follows a Pareto law: most send one, a few send dozens.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunewise.statistics import paired
from tunewise.statistics.amounts import break_even, scaled
from tunewise.statistics.distributions import student_quantile
from tunewise.statistics.heavy_tails import heavy_tailed_mean

Tokens = NDArray[np.float64]
Lengths = Callable[[float], Tokens]
"""Median -> the lengths of all rows, drawn anew."""
PROMPT, COMPLETION = 1.0, 4.0
"""Prices of a token, in no currency."""
CEILING = 60.0
"""Times the median: where a context ends."""
TRAINING = 5e4


@dataclass(frozen=True, kw_only=True)
class Log:
    """How requests to a trained contender and to its rival are drawn."""

    trained: Callable[[Lengths, Tokens], tuple[Tokens, Tokens]]
    """Lengths, inputs -> prompt and completion tokens of each row."""
    rival: Callable[[Lengths, Tokens], tuple[Tokens, Tokens]]
    log_scale: float = 1.0
    requests_a_unit: float | None = None
    """Exponent of the Pareto law; None: each row is a unit of its own."""
    alike: float = 0.3
    """Correlation of log-lengths within a unit."""


def short(lengths: Lengths, inputs: Tokens) -> tuple[Tokens, Tokens]:
    return inputs, np.full(inputs.size, 12.0)


def talks(lengths: Lengths, inputs: Tokens) -> tuple[Tokens, Tokens]:
    return inputs, lengths(60.0)


def instructed(lengths: Lengths, inputs: Tokens) -> tuple[Tokens, Tokens]:
    return inputs + 400.0, np.full(inputs.size, 12.0)


def instructed_talks(lengths: Lengths, inputs: Tokens) -> tuple[Tokens, Tokens]:
    return inputs + 200.0, lengths(60.0)


def nearest(lengths: Lengths, inputs: Tokens) -> tuple[Tokens, Tokens]:
    examples = np.sum([lengths(40.0) + 12.0 for _ in range(8)], axis=0)
    return inputs + examples, np.full(inputs.size, 12.0)


LOGS = {
    "eight examples in the prompt": Log(trained=short, rival=nearest),
    "eight examples, long tail": Log(trained=short, rival=nearest, log_scale=1.3),
    "the rival talks": Log(trained=short, rival=instructed_talks),
    "the rival talks, long tail": Log(trained=short, rival=instructed_talks, log_scale=1.3),
    "the trained one talks": Log(trained=talks, rival=instructed),
    "both talk": Log(trained=talks, rival=instructed_talks),
    "the rival talks, a few customers send most": Log(
        trained=short, rival=instructed_talks, requests_a_unit=1.3
    ),
    "the trained one talks, a few customers send most": Log(
        trained=talks, rival=instructed, requests_a_unit=1.3
    ),
}


@dataclass(frozen=True, kw_only=True)
class Drawn:
    trained: Tokens
    """(rows,) cost of each request."""
    rival: Tokens
    groups: list[str]


def draw_requests(log: Log, units: int, rng: np.random.Generator) -> Drawn:
    """The requests of so many units."""
    sizes = np.ones(units, dtype=np.int64)
    if log.requests_a_unit is not None:
        sizes = np.clip(np.ceil(rng.pareto(log.requests_a_unit, units)), 1, 60).astype(np.int64)
    codes = np.repeat(np.arange(units), sizes)
    alike = log.alike if log.requests_a_unit is not None else 0.0

    def lengths(median: float) -> Tokens:
        of_unit = rng.standard_normal(units)[codes]
        own = rng.standard_normal(codes.size)
        normal = np.sqrt(alike) * of_unit + np.sqrt(1.0 - alike) * own
        return median * np.minimum(np.exp(log.log_scale * normal), CEILING)

    inputs = lengths(40.0)
    trained, rival = (
        PROMPT * prompt + COMPLETION * completion
        for prompt, completion in (log.trained(lengths, inputs), log.rival(lengths, inputs))
    )
    return Drawn(trained=trained, rival=rival, groups=[str(code) for code in codes])


def true_saving(log: Log, *, seed: int = 99) -> float:
    """The mean saving of a request, over a million units."""
    rng = np.random.default_rng(seed)
    parts = [draw_requests(log, 200_000, rng) for _ in range(5)]
    saved = sum(float((one.rival - one.trained).sum()) for one in parts)
    return saved / sum(one.rival.size for one in parts)


@dataclass(frozen=True, kw_only=True)
class Covered:
    """How often an interval held the truth."""

    saving: float
    break_even: float
    student: float
    """Of Student's interval, which knows neither skewness nor units."""


def cost_coverage(log: Log, *, units: int, draws: int, seed: int) -> Covered:
    """Over so many samples of so many units."""
    rng = np.random.default_rng(seed)
    truth = true_saving(log)
    even = TRAINING / truth if truth > 0 else None
    held = np.zeros(3)
    for _ in range(draws):
        one = draw_requests(log, units, rng)
        saved = one.rival - one.trained
        rows = paired.rows_of(saved.size, binary=False, groups=one.groups)
        largest = float(max(one.rival.max(), one.trained.max()))
        found = heavy_tailed_mean(saved, rows, largest=largest)
        point = break_even(TRAINING, scaled(found, 1.0))
        reach = student_quantile(0.975, saved.size - 1.0) * saved.std(ddof=1) / saved.size**0.5
        above = even is not None and point.low is not None and point.low <= even
        held += (
            found.low <= truth <= found.high,
            point.low is None if even is None
            else above and (point.high is None or even <= point.high),
            abs(saved.mean() - truth) <= reach,
        )  # fmt: skip
    saving, recovered, student = held / draws
    return Covered(saving=saving, break_even=recovered, student=student)
