"""Roughly how long a run of `decide` will take here, from counts of tokens and a measured speed.

Tokens to prefill, generate and train are counted from the rows; a matrix product of a second says
how fast this machine is. What is in between are the shares of that speed which engine and training
reach (docs/results.md). It is good for "about 15 to 30 minutes", and for no more.
"""

import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import fmean, median
from typing import Literal

import numpy as np

from tunewise.chat.tokenize import answer_tokens
from tunewise.contenders.few_shot import COUNTS
from tunewise.contenders.search import most_answers
from tunewise.data.prepare import Prepared
from tunewise.errors import UserError
from tunewise.evaluation.latency import MIN_REQUESTS, WARM_UP
from tunewise.evaluation.load import AT_ONCE, ROUNDS
from tunewise.models.tokenizers import FoundTokenizer, find_tokenizer
from tunewise.project.contenders import BUILT_IN
from tunewise.project.derived import budget_tokens
from tunewise.project.settings import AUTO, Project
from tunewise.retrieval.chunk import SIZES
from tunewise.training.chip import bfloat16_gain, has_gpu
from tunewise.training.epochs import (
    EPOCHS,
    MAX_EPOCHS,
    MIN_BATCH,
    MIN_STEPS,
    STEPS_PER_EPOCH,
    dev_points,
)
from tunewise.types import Example

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
CHARACTERS = 4.0
"""A token's, where there is no tokenizer to count with."""
NOT_ESTIMATED = (
    "not estimated: only a model on this machine's processor, whose name tells its size, can be."
)
SAMPLE = 100
"""Rows whose tokens are counted."""
_SIZE = re.compile(r"(?<![a-z0-9.])(\d+(?:\.\d+)?) ?([mb])(?![a-z0-9])", re.IGNORECASE)
_SEEDS = 40.0
"""What further seeds take, beside `BuiltIn.fit`."""


Stage = Literal["fit", "seeds", "test", "latency"]
"""Of a contender's part of a run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Speed:
    """Tokens a second on this machine."""

    prefill: float
    generate: float
    """Of a batch of requests."""
    alone: float
    """Generated, one request at a time."""
    train: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Lengths:
    """Mean tokens of a row."""

    asked: float
    """The prompt: instruction and input."""
    answered: float
    bare: float
    """The input alone, as a trained model is asked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Counted:
    """The seconds of one contender's stages, further seeds of a training apart."""

    fit: float
    seeds: float
    """What further seeds take; they are skipped where they cannot change the verdict."""
    test: float
    latency: float

    @property
    def least(self) -> float:
        """Without further seeds."""
        return self.fit + self.test + self.latency


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """Seconds by contender."""

    contenders: Mapping[str, Counted]

    @property
    def low(self) -> float:
        """Seconds of a run in which no further seed is trained."""
        return LOW * sum(one.least for one in self.contenders.values())

    @property
    def high(self) -> float:
        """Seconds with one contender's further seeds, on a busy machine."""
        seeds = max((one.seeds for one in self.contenders.values()), default=0.0)
        return HIGH * (sum(one.least for one in self.contenders.values()) + seeds)

    @property
    def total(self) -> int:
        """What all stages weigh, with one contender's further seeds."""
        seeds = [self.share(name, "seeds") for name, one in self.contenders.items() if one.seeds]
        stages: tuple[Stage, ...] = ("fit", "test", "latency")
        return max(seeds, default=0) + sum(
            self.share(name, stage) for name in self.contenders for stage in stages
        )

    def share(self, name: str, stage: Stage) -> int:
        """What a stage of a contender weighs among all, at least 1."""
        one = self.contenders.get(name)
        return max(1, round(getattr(one, stage))) if one else 1

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
    prepared: Prepared, *, clock: Callable[[], float] = time.perf_counter
) -> Forecast | None:
    """How long a run will take; None where that cannot be told before it begins.

    That is the case for models behind an endpoint, on a GPU, and for those whose number of weights
    their name does not tell.
    """
    project = prepared.project
    weights = weights_of(project.model.base)
    elsewhere = project.model.engine in ("openai", "scripted") or has_gpu()
    if elsewhere or weights is None or project.contenders.endpoints:
        return None
    found = find_tokenizer(project.model)
    rate = speed(weights, slow=project.model.engine == "transformers", clock=clock)
    return counted(prepared, rate, lengths(prepared, found))


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


def multiply_speed(clock: Callable[[], float]) -> float:
    """Operations a second in products of float32: the median of as many as `PROBE_SECONDS` hold."""
    size = 1024
    left = np.ones((size, size), dtype=np.float32)
    seconds: list[float] = []
    started = clock()
    while len(seconds) < 3 or (len(seconds) < 20 and clock() - started < PROBE_SECONDS):
        began = clock()
        _ = left @ left
        seconds.append(max(clock() - began, 1e-9))
    return 2.0 * size**3 / median(seconds[1:])


def lengths(prepared: Prepared, found: FoundTokenizer) -> Lengths:
    """Mean tokens of the rows, of a sample of them."""
    splits = prepared.splits
    rows = [*splits.train, *splits.dev, *splits.test]
    sample = rows[:: max(1, len(rows) // SAMPLE)][:SAMPLE]
    pairs = [_tokens(row, found) for row in sample]
    bare, answered = (fmean(column) for column in zip(*pairs, strict=True))
    instruction = len(prepared.project.task.instruction) / CHARACTERS
    return Lengths(asked=bare + instruction, answered=answered, bare=bare)


def _tokens(row: Example, found: FoundTokenizer) -> tuple[float, float]:
    if found.tokenizer is not None:
        try:
            made = answer_tokens(found.tokenizer, row.messages, row.target, row.tools)
            answer = made.loss_tokens
            return float(len(made.token_ids) - answer), float(answer)
        except UserError:
            pass  # `check` names such rows; here their characters will do
    asked = sum(len(turn.content) for turn in row.messages)
    return asked / CHARACTERS, len(row.target) / CHARACTERS


def counted(prepared: Prepared, rate: Speed, size: Lengths) -> Forecast:
    """The seconds of every contender that takes part."""
    project, splits = prepared.project, prepared.splits
    train, dev, test = (len(part) for part in (splits.train, splits.dev, splits.test))
    use = project.contenders.use
    documents = project.data.documents is not None
    seconds: dict[str, Counted] = {}
    for name in use:
        one = BUILT_IN[name]
        if one.needs_documents and not documents:
            continue
        if one.needs_preferences and project.data.preferences is None:
            continue
        if one.asks:
            seconds[name] = _asking(name, project, dev, test, rate, size)
        elif one.trained:
            seconds[name] = _training(name, project, (train, dev, test), rate, size)
        else:
            fit = one.fit + (0.02 * (train + dev) if one.learns else 0.0)
            seconds[name] = Counted(fit=fit, seeds=0.0, test=one.test, latency=1.0)
    return Forecast(contenders=seconds)


def _asking(
    name: str, project: Project, dev: int, test: int, rate: Speed, size: Lengths
) -> Counted:
    row = size.bare + size.answered
    shown = {"few_shot": fmean(COUNTS[-3:]) * row, "rag": 1.4 * fmean(w * k for w, k in SIZES)}
    prompt = size.asked + shown.get(name, 0.0)
    tried = size.asked + fmean(COUNTS) * row if name == "few_shot" else prompt
    wordings = {"zero_shot": 1, "prompt": 9, "rag": 3 * len(SIZES)}
    # few_shot compares about four settings on half of dev.
    answers = 2.5 * dev if name == "few_shot" else most_answers(wordings[name], dev)
    request = _batched(prompt, size.answered, rate)
    affordable = budget_tokens(project) / max(1.0, tried + size.answered)
    return Counted(
        fit=OPENING + _batched(tried, size.answered, rate) * min(answers, affordable + dev),
        seeds=0.0,
        test=request * test,
        latency=_latency(prompt, size.answered, test, rate) + _load(project, request, test),
    )


def _training(
    name: str, project: Project, rows: tuple[int, int, int], rate: Speed, size: Lengths
) -> Counted:
    train, dev, test = rows
    shown = 330.0 if name == "fine_tune_rag" else 0.0
    prompt = size.bare + shown
    tokens = train * (prompt + size.answered)
    settings = project.training
    epochs = settings.epochs
    if epochs == AUTO:
        batch = max(MIN_BATCH, tokens / STEPS_PER_EPOCH)
        epochs = min(MAX_EPOCHS, max(EPOCHS, round(MIN_STEPS * batch / max(tokens, 1.0))))
        affordable = budget_tokens(project) / max(1.0, settings.seeds * tokens)
        epochs = max(1, min(epochs, math.floor(affordable)))
    an_answer = _batched(prompt, size.answered, rate)
    asking = OPENING + an_answer * dev
    one = epochs * tokens / rate.train
    further = settings.seeds - 1
    return Counted(
        fit=one + len(dev_points(epochs)) * asking,
        seeds=further * (one + asking + OPENING + an_answer * test),
        test=OPENING + an_answer * test,
        latency=_latency(prompt, size.answered, test, rate) + _load(project, an_answer, test),
    )


def _batched(prompt: float, answered: float, rate: Speed) -> float:
    """Seconds of one request among many."""
    return prompt / rate.prefill + answered / rate.generate


def _latency(prompt: float, answered: float, test: int, rate: Speed) -> float:
    requests = min(2 * MIN_REQUESTS, test) + min(WARM_UP, test)
    return OPENING + requests * (prompt / rate.prefill + answered / rate.alone)


def _load(project: Project, request: float, test: int) -> float:
    """Seconds of the requests that come many at once, where hours have a price."""
    if project.prices.hosting_hour is None:
        return 0.0
    return OPENING + request * min(AT_ONCE * ROUNDS, test)


def usual(project: Project) -> Forecast:
    """Where nothing can be estimated: what contenders take beside each other, in no unit."""
    taking_part = {name: BUILT_IN[name] for name in project.contenders.use}
    taking_part |= {one.name: BUILT_IN["prompt"] for one in project.contenders.endpoints}
    return Forecast(
        contenders={
            name: Counted(
                fit=one.fit, seeds=_SEEDS if one.trained else 0.0, test=one.test, latency=1.0
            )
            for name, one in taking_part.items()
        }
    )
