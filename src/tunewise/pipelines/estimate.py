"""Roughly how long a run of `decide` will take here, from counts of tokens and a measured speed.

Tokens to prefill, generate and train are counted from the rows (`workload`); a matrix product of a
second says how fast this machine is. What is in between are the shares of that speed which engine
and training reach (docs/results.md). It is good for "about 15 to 30 minutes", and for no more.
"""

import functools
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from statistics import median

import numpy as np

from tunewise.data.prepare import Prepared
from tunewise.models.tokenizers import find_tokenizer
from tunewise.pipelines.workload import STAGES, Stage, Work, Workload, lengths, workload
from tunewise.project.contenders import BUILT_IN, label_of, on_base
from tunewise.project.derived import labelled_bases
from tunewise.project.settings import Project
from tunewise.training.chip import bfloat16_gain, has_gpu

PROBE_SECONDS = 1.5
"""What measuring the speed may take, once the first product is done."""
PREFILL, GENERATE, ALONE, TRAIN = 0.7, 0.26, 0.045, 0.42
"""Of a machine's matrix-multiply peak, what the engine reaches reading prompts, answering in
batches and one at a time (of the peak in float32), and training (of the fastest format's): those of
the starter model on two quiet cores, of 2 operations a weight and token, in training 4."""
TRANSFORMERS = 0.25
"""Of that on a CPU, what the engine transformers reaches."""
OPENING = 5.0
"""Seconds to open a model for the engine, before each contender's test and latency."""
LOW, HIGH = 0.7, 1.5
"""Around the counted seconds: what other programs and the lengths of answers make of it."""
NOT_ESTIMATED = (
    "not estimated: only a model on this machine's processor, whose name tells its size, can be."
)
_SIZE = re.compile(r"(?<![a-z0-9.])(\d+(?:\.\d+)?) ?([mb])(?![a-z0-9])", re.IGNORECASE)
_SEEDS = 40.0
"""What further seeds take, beside `BuiltIn.fit`."""
_PART = 12.0
"""What a part of `[decision] measure` takes, beside it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Speed:
    """Tokens a second on this machine."""

    prefill: float
    generate: float
    """Of a batch of requests."""
    alone: float
    """Generated, one request at a time."""
    train: float

    def times(self, factor: float) -> "Speed":
        """That of a model which is so many times as fast."""
        return Speed(
            prefill=factor * self.prefill,
            generate=factor * self.generate,
            alone=factor * self.alone,
            train=factor * self.train,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """What the parts of a run take, in seconds."""

    contenders: Mapping[str, Mapping[Stage, float]]
    parts: Mapping[str, float] = field(default_factory=dict[str, float])
    """What `[decision] measure` asks for."""

    @property
    def least(self) -> float:
        """Seconds as counted, without further seeds."""
        return sum(self.parts.values()) + sum(
            seconds
            for stages in self.contenders.values()
            for stage, seconds in stages.items()
            if stage != "seeds"
        )

    @property
    def low(self) -> float:
        """Seconds of a run in which no further seed is trained."""
        return LOW * self.least

    @property
    def high(self) -> float:
        """Seconds with one contender's further seeds, on a busy machine."""
        seeds = [stages.get("seeds", 0.0) for stages in self.contenders.values()]
        return HIGH * (self.least + max(seeds, default=0.0))

    @property
    def total(self) -> int:
        """What all stages weigh, with one contender's further seeds."""
        return (
            self.most_seeds
            + sum(map(self.part, self.parts))
            + sum(
                self.share(name, stage)
                for name in self.contenders
                for stage in STAGES
                if stage != "seeds"
            )
        )

    @property
    def most_seeds(self) -> int:
        """What the further seeds of one contender weigh at most."""
        seeds = [self.share(n, "seeds") for n, one in self.contenders.items() if one.get("seeds")]
        return max(seeds, default=0)

    def share(self, name: str, stage: Stage) -> int:
        """What a stage of a contender weighs among all, at least 1."""
        return max(1, round(self.contenders.get(name, {}).get(stage, 0.0)))

    def part(self, name: str) -> int:
        """What a part that is measured beside weighs, at least 1."""
        return max(1, round(self.parts.get(name, 0.0)))

    @property
    def of_the_whole(self) -> str:
        """Of the run that follows a first opinion."""
        return f"The whole run would take {between(self.low, self.high)} on this machine."

    @property
    def sentence(self) -> str:
        """`This will take about 15 to 30 minutes on this machine, begun now until between ...`."""
        return (
            f"This will take {between(self.low, self.high)} on this machine, begun now "
            f"{until(time.time() + self.low, time.time() + self.high)}: a rough estimate from its "
            "speed, measured just now, and the number of tokens to read, write and train."
        )


def between(low: float, high: float) -> str:
    """Two times as one reads them: `about 15 to 30 minutes`, `about 2 to 4 hours`."""
    unit, size = ("hours", 3600.0) if low >= 5400 else ("minutes", 60.0)
    ends = [_rounded(seconds / size) for seconds in (low, high)]
    if ends[1] <= 1:
        return "about a minute"
    if ends[0] == ends[1]:
        return f"about {ends[0]} {unit}"
    return f"about {ends[0]} to {ends[1]} {unit}"


def until(first: float, last: float) -> str:
    """`until between 14:20 and 14:35`, `until 14:20`: local time, of seconds since 1970."""
    shown = [time.strftime("%H:%M", time.localtime(at)) for at in (first, last)]
    return f"until {shown[0]}" if shown[0] == shown[1] else f"until between {' and '.join(shown)}"


def _rounded(number: float) -> int:
    step = 1 if number < 10 else 5 if number < 60 else 10
    return max(1, step * round(number / step))


def forecast(
    prepared: Prepared,
    *,
    quick: bool = False,
    work: Workload | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Forecast | None:
    """How long a run will take; None where that cannot be told before it begins.

    That is the case for models behind an endpoint, on a GPU, and for those whose number of weights
    their name does not tell.

    Args:
        prepared: rows and project.
        quick: whether it is a first opinion.
        work: its tokens, where they are counted already (`work_of`).
        clock: seconds.
    """
    project = prepared.project
    first, *others = (weights_of(base) for base in project.model.bases)
    elsewhere = project.model.engine in ("openai", "scripted") or has_gpu()
    if elsewhere or first is None or None in others or project.contenders.asked:
        return None
    rate = speed(first, slow=project.model.engine == "transformers", clock=clock)
    further = {
        label: rate.times(first / weights)
        for label, weights in zip(list(labelled_bases(project.model))[1:], others, strict=True)
        if weights is not None
    }
    return counted(work or work_of(prepared, quick=quick), rate, further)


def work_of(prepared: Prepared, *, quick: bool = False) -> Workload:
    """The tokens of a run, as the tokenizer of each base counts them where it is found."""
    model = prepared.project.model
    first, *others = (
        lengths(prepared, find_tokenizer(replace(model, base=base))) for base in model.bases
    )
    further = dict(zip(list(labelled_bases(model))[1:], others, strict=True))
    return workload(prepared, first, further, quick=quick)


def weights_of(base: str) -> float | None:
    """How many weights a model's name says that it has: `smollm2-135m-instruct` -> 135e6."""
    found = _SIZE.findall(base.rpartition("/")[2].replace("_", "-"))
    if not found:
        return None
    number, unit = found[-1]
    return float(number) * (1e9 if unit.lower() == "b" else 1e6)


def speed(weights: float, *, slow: bool, clock: Callable[[], float] = time.perf_counter) -> Speed:
    """Tokens a second, from matrix products measured now."""
    peak = multiply_speed(clock)
    a_token = 2.0 * weights / (TRANSFORMERS if slow else 1.0)
    return Speed(
        prefill=PREFILL * peak / a_token,
        generate=GENERATE * peak / a_token,
        alone=ALONE * peak / a_token,
        train=TRAIN * bfloat16_gain() * peak / (4.0 * weights),
    )


@functools.cache
def multiply_speed(clock: Callable[[], float]) -> float:
    """Operations a second in products of float32: the median of as many as `PROBE_SECONDS` hold.

    Measured once in a process, however often a run estimates itself.
    """
    size = 1024
    left = np.ones((size, size), dtype=np.float32)
    seconds: list[float] = []
    started = clock()
    while len(seconds) < 3 or (len(seconds) < 20 and clock() - started < PROBE_SECONDS):
        began = clock()
        _ = left @ left
        seconds.append(max(clock() - began, 1e-9))
    return 2.0 * size**3 / median(seconds[1:])


def counted(work: Workload, rate: Speed, further: Mapping[str, Speed] | None = None) -> Forecast:
    """The seconds of a workload at a speed.

    Args:
        work: of all parts.
        rate: of the first base.
        further: short name of each other base -> its speed. Whose contenders are measured further
            is not known beforehand: those of the slowest are counted.
    """
    rates = {"": rate, **(further or {})}
    return Forecast(
        contenders={
            name: {stage: _seconds(one, rates[label_of(name)]) for stage, one in stages.items()}
            for name, stages in work.contenders.items()
        },
        parts={
            name: max(_seconds(one, each) for each in rates.values())
            for name, one in work.parts.items()
        },
    )


def _seconds(work: Work, rate: Speed) -> float:
    return (
        work.seconds
        + OPENING * work.opened
        + work.read / rate.prefill
        + work.written / rate.generate
        + work.alone / rate.alone
        + work.trained / rate.train
    )


def usual(project: Project) -> Forecast:
    """Where nothing can be estimated: what contenders take beside each other, in no unit."""
    labels = ["", *list(labelled_bases(project.model))[1:]]
    taking_part = {
        on_base(name, label): BUILT_IN[name]
        for label in labels
        for name in project.contenders.use
        if BUILT_IN[name].runs_on_base or not label
    }
    taking_part |= {one.name: BUILT_IN["prompt"] for one in project.contenders.endpoints}
    return Forecast(
        contenders={
            name: {
                "fit": one.fit,
                **({"seeds": _SEEDS} if one.trained else {}),
                "test": one.test,
                "latency": 1.0,
            }
            for name, one in taking_part.items()
        },
        parts=dict.fromkeys(project.decision.measure, _PART),
    )
