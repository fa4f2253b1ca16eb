"""How good a training of `tunewise train` is on dev, and how good what needs no training is.

Examples are scored by the task's metric on generated answers, pairs and documents by likelihood.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tunewise.chat.prompts import Prompt
from tunewise.contenders.answering import PromptStrategy, answer_limit
from tunewise.contenders.constant import Constant
from tunewise.contenders.race import Race
from tunewise.data.prepare import Prepared
from tunewise.metrics.by_name import Metric, metric_of, quality
from tunewise.models.engines.open import open_engine
from tunewise.models.engines.protocol import Engine
from tunewise.progress import Progress
from tunewise.project.settings import Project
from tunewise.runs.trained import Lead
from tunewise.statistics import paired
from tunewise.statistics.intervals import Interval
from tunewise.training.datasets import TrainingData
from tunewise.training.loop import Training
from tunewise.training.reference import with_references

UNTRAINED = "the untrained model"
CONSTANT = "always the same answer"
CHANCE = "chance"


@dataclass(frozen=True, kw_only=True, slots=True)
class Validation:
    """What dev says of one model, in the unit of its metric."""

    value: float
    scores: tuple[float, ...] = ()
    """Of each row of dev, where the value is their mean."""


@dataclass(frozen=True, kw_only=True)
class Validator:
    """How trainings of one project are validated on dev."""

    metric: str
    """Name of what `Validation.value` is."""
    higher_is_better: bool
    rows: int
    """Rows of dev."""
    unit: str
    """What the rows are: `row`, `pair` or `passage`."""
    binary: bool
    """Whether every score is 0 or 1."""
    groups: Sequence[str | None]
    """(rows,) the independent unit of each row, None for a row on its own."""
    baselines: Callable[[Training], dict[str, Validation]]
    """By name: what has to be beaten."""
    validate: Callable[[Training, Path], Validation]
    """(training, what it saved) -> how good it is now."""

    def better(self, one: float, other: float) -> bool:
        """Whether the first of two values is the better one."""
        return one > other if self.higher_is_better else one < other

    def lead(self, one: Validation, other: Validation) -> Lead | None:
        """None where no interval can be computed: the value is no mean, or rows are too few."""
        rows = paired.rows_of(self.rows, binary=self.binary, groups=self.groups)
        first, second = (
            paired.sample(np.array(s.scores), rows) if s.scores else None for s in (one, other)
        )
        if first is None:
            return None
        if second is not None:
            found, than = paired.difference(first, second, rows), 0.0
        else:  # a fixed number, such as chance
            found, than = paired.quality(first, rows), other.value
        if not isinstance(found, Interval):
            return None
        delta = one.value - other.value
        return Lead(delta=delta, low=found.low - than, high=found.high - than)


def validator_for(
    project: Project,
    training_data: TrainingData,
    training: Training,
    progress: Progress,
    stack: ExitStack,
) -> Validator:
    """The validator that goes with the method of a training.

    Args:
        project: its model generates the answers, where answers are scored.
        training_data: with the rows of dev.
        training: before its first step: what preferences are measured against.
        progress: shows how many rows are done.
        stack: closes the engine.

    Raises:
        UserError: the engine cannot be opened.
    """
    if training_data.prepared is not None:
        opened = stack.enter_context(
            open_engine(training_data.prepared.project.model, progress=progress)
        )
        return _by_answers(training_data.prepared, opened.engine, project.training.start, progress)
    return (
        _by_perplexity(training_data)
        if training_data.method == "cpt"
        else _by_preference(training_data, training)
    )


def _by_answers(
    prepared: Prepared, engine: Engine, start: Path | None, progress: Progress
) -> Validator:
    splits, metric = prepared.splits, metric_of(prepared.project)
    dev = Race(splits.dev, metric=metric, margin=prepared.project.decision.minimum_gain)
    targets = [example.target for example in splits.dev]

    def answered(adapter: Path | None) -> Validation:
        strategy = PromptStrategy(
            prompts=lambda inputs: [Prompt(messages=i.messages, tools=i.tools) for i in inputs],
            max_tokens=answer_limit(engine, splits.train),
            adapters={1: adapter},
        )
        inputs = [example.input for example in splits.dev]
        with progress.task("dev", total=len(inputs)) as advance:
            answers = strategy.ask(engine, "train", inputs, seed=1, advance=advance)
        engine.unload()
        return scored([answer.text for answer in answers])

    def scored(answers: Sequence[str | None]) -> Validation:
        value = quality(metric, answers, targets)
        return Validation(value=value, scores=_scores(metric, answers, targets))

    def baselines(training: Training) -> dict[str, Validation]:
        text = Constant(metric=metric).fit(splits.train, dev).text
        return {CONSTANT: scored([text] * len(targets)), UNTRAINED: answered(start)}

    def validate(training: Training, saved: Path) -> Validation:
        training.close()
        return answered(saved)

    return Validator(
        metric=metric.name,
        higher_is_better=True,
        rows=len(targets),
        unit="row",
        binary=metric.binary and metric.aggregate is None,
        groups=splits.units_of(splits.dev),
        baselines=baselines,
        validate=validate,
    )


def _scores(
    metric: Metric, answers: Sequence[str | None], targets: Sequence[str]
) -> tuple[float, ...]:
    if metric.aggregate is not None:
        return ()
    return tuple(
        0.0 if answer is None else metric.score(answer, target).value
        for answer, target in zip(answers, targets, strict=True)
    )


def _by_perplexity(training_data: TrainingData) -> Validator:
    tokens = sum(row.loss_tokens for row in training_data.dev)

    def perplexity(training: Training) -> Validation:
        total = sum(values[0] for values in training.log_probabilities(training_data.dev))
        return Validation(value=math.exp(-total / tokens))

    return Validator(
        metric="perplexity",
        higher_is_better=False,
        rows=len(training_data.dev),
        unit="passage",
        binary=False,
        groups=[None] * len(training_data.dev),
        baselines=lambda training: {UNTRAINED: perplexity(training)},
        validate=lambda training, saved: perplexity(training),
    )


def _by_preference(training_data: TrainingData, training: Training) -> Validator:
    held = with_references(
        training_data.dev,
        training.folder / "dev",
        identity={"rows": [row.id for row in training_data.dev], **training.start_identity},
        ask=training.log_probabilities,
    )

    def share(training: Training, saved: Path) -> Validation:
        now = training.log_probabilities(held)
        ahead = tuple(
            float(chosen - row.reference[0] > rejected - row.reference[1])
            for (chosen, rejected), row in zip(now, held, strict=True)
        )
        return Validation(value=sum(ahead) / len(ahead), scores=ahead)

    return Validator(
        metric="pairs told apart",
        higher_is_better=True,
        rows=len(held),
        unit="pair",
        binary=True,
        groups=training_data.dev_units,
        baselines=lambda training: {CHANCE: Validation(value=0.5)},
        validate=share,
    )
