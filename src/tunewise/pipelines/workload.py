"""How much a run of `decide` has to read, write and train, counted from the rows in tokens.

It needs no model and no measurement, so that it can be told before anything runs.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import Literal, get_args

from tunewise.chat.tokenize import answer_tokens
from tunewise.contenders import optimiser, teaching
from tunewise.contenders.few_shot import COUNTS
from tunewise.contenders.search import most_answers
from tunewise.contenders.teaching import TEACHERS
from tunewise.data.prepare import Prepared
from tunewise.errors import UserError
from tunewise.evaluation.dependability import ASKED
from tunewise.evaluation.latency import MIN_REQUESTS, WARM_UP
from tunewise.evaluation.learning_curve import PARTS
from tunewise.evaluation.load import AT_ONCE, ROUNDS
from tunewise.evaluation.suite.items import suite_of, tokens_of
from tunewise.models.tokenizers import FoundTokenizer
from tunewise.project.contenders import BUILT_IN, INTERNALISED, built_in, on_base, way_of
from tunewise.project.derived import budget_tokens
from tunewise.project.settings import AUTO, Project
from tunewise.retrieval.chunk import SIZES
from tunewise.training.epochs import (
    EMBEDDING_EPOCHS,
    EPOCHS,
    MAX_EPOCHS,
    MIN_BATCH,
    MIN_STEPS,
    STEPS_PER_EPOCH,
    dev_points,
)
from tunewise.types import Example

CHARACTERS = 4.0
"""A token's, where there is no tokenizer to count with."""
SAMPLE = 100
"""Rows whose tokens are counted."""
SHOWN = fmean(COUNTS[1:4])
"""Examples in a prompt of few_shot: its search begins in the middle and mostly ends near it."""
PASSAGES = 330.0
"""Tokens of the passages in a prompt of `fine_tune_rag`."""

EMBEDDING_ROW, EMBEDDING_LOOK = 0.2, 5.0
"""Seconds that an embedding model takes for a row in an epoch, and for a look at all documents."""
CURVE_SECONDS, CURVE_ROW = 4.0, 0.02
"""What a classifier's learning curve takes, and more for each row of train and dev."""

Stage = Literal["fit", "seeds", "test", "latency"]
"""Of a contender's part of a run; `seeds` are skipped where they cannot change the verdict."""
STAGES: tuple[Stage, ...] = get_args(Stage)


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """Tokens of one part of a run, and what no speed of the model shortens."""

    read: float = 0.0
    """Of prompts; those that a prefix cache would save are among them."""
    written: float = 0.0
    """Generated in batches."""
    alone: float = 0.0
    """Generated one request at a time."""
    trained: float = 0.0
    opened: int = 0
    """How often a model is opened."""
    seconds: float = 0.0
    """Of what uses no language model."""

    def __add__(self, other: "Work") -> "Work":
        return Work(
            read=self.read + other.read,
            written=self.written + other.written,
            alone=self.alone + other.alone,
            trained=self.trained + other.trained,
            opened=self.opened + other.opened,
            seconds=self.seconds + other.seconds,
        )

    @property
    def tokens(self) -> dict[str, int]:
        """Whole tokens by kind: `read`, `written`, `trained`."""
        return {
            "read": round(self.read),
            "written": round(self.written + self.alone),
            "trained": round(self.trained),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Workload:
    """All parts of a run."""

    contenders: Mapping[str, Mapping[Stage, Work]]
    parts: Mapping[str, Work] = field(default_factory=dict[str, Work])
    """What `[decision] measure` asks for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lengths:
    """Mean tokens of a row."""

    asked: float
    """The prompt: instruction and input."""
    answered: float
    bare: float
    """The input alone, as a trained model is asked."""


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


def workload(
    prepared: Prepared,
    size: Lengths,
    further: Mapping[str, Lengths] | None = None,
    *,
    quick: bool = False,
) -> Workload:
    """The tokens of every contender that takes part, and of what is measured beside.

    Args:
        prepared: the rows and the project.
        size: their tokens, as the first base counts them.
        further: short name of each other base -> the same.
        quick: for a first opinion, which tries one few-shot setting and asks dev once.
    """
    project, splits = prepared.project, prepared.splits
    rows = (len(splits.train), len(splits.dev), len(splits.test))
    work: dict[str, Mapping[Stage, Work]] = {}
    for label, of_base in {"": size, **(further or {})}.items():
        for name in _taking_part(project):
            if BUILT_IN[name].runs_on_base or not label:
                work[on_base(name, label)] = _stages(name, project, rows, of_base, quick=quick)
    for endpoint in project.contenders.endpoints:
        work[endpoint.name] = _asking("prompt", project, rows[1], rows[2], size, quick=quick)
    parts = _parts(project, list(work), rows[2], size)
    drawn = [name for name in project.decision.curves if name in work]
    if drawn and "learning_curve" in project.decision.measure:
        curves = (_curve(name, project, rows, size) for name in drawn)
        parts["learning_curve"] = sum(curves, Work())
    return Workload(contenders=work, parts=parts)


def _taking_part(project: Project) -> list[str]:
    """The built-in contenders that will not be skipped."""
    use = project.contenders.use
    return [
        name
        for name in use
        if not (BUILT_IN[name].needs_documents and project.data.documents is None)
        and not (BUILT_IN[name].needs_preferences and project.data.preferences is None)
        and not (name == INTERNALISED and not set(TEACHERS) & set(use))
    ]


def _stages(
    name: str, project: Project, rows: tuple[int, int, int], size: Lengths, *, quick: bool
) -> Mapping[Stage, Work]:
    """Of one contender; `rows` of train, dev and test."""
    train, dev, test = rows
    one = BUILT_IN[name]
    if one.ranks and one.trained:
        return _embedding(project, train, dev)
    if one.asks:
        return _asking(name, project, dev, test, size, quick=quick)
    if one.trained:
        return _training(name, project, rows, size, quick=quick)
    fit = one.fit + (0.02 * (train + dev) if one.learns else 0.0)
    return {
        "fit": Work(seconds=fit),
        "test": Work(seconds=one.test),
        "latency": Work(seconds=1.0),
    }


def _parts(project: Project, names: list[str], test: int, size: Lengths) -> dict[str, Work]:
    """Of the contender with the longest prompt and of a trained one, the dearest finalists."""
    parts: dict[str, Work] = {}
    if "dependability" in project.decision.measure:
        asked = ASKED * min(project.decision.dependability_inputs, test)
        known = {way_of(name): built_in(name) for name in names}
        ways = [name for name, one in known.items() if one is None or one.asks]
        longest = max((_prompt(name, size) for name in ways), default=0.0)
        trained = any(one.trained and one.runs_on_base for one in known.values() if one)
        prompts = [prompt for prompt, there in ((longest, ways), (size.bare, trained)) if there]
        parts["dependability"] = Work(
            read=asked * sum(prompts), written=asked * size.answered * len(prompts), opened=2
        )
    if "retention" in project.decision.measure and any(
        one.trained and one.runs_on_base for name in names if (one := BUILT_IN.get(name))
    ):
        general = tokens_of(suite_of(project))
        # Of the base, too: what the cache holds of it shows only once the model is opened.
        parts["retention"] = Work(read=2 * general.read, written=2 * general.written, opened=3)
    return parts


def _curve(name: str, project: Project, rows: tuple[int, int, int], size: Lengths) -> Work:
    """Learning from parts of the rows; from all of them was learned already."""
    train, dev, test = rows
    if name == "classifier":
        return Work(seconds=CURVE_SECONDS + CURVE_ROW * (train + dev))
    if name == "few_shot":
        asked = (len(PARTS) - 1) * dev
        prompt = _prompt(name, size)
        return Work(read=prompt * asked, written=size.answered * asked, opened=1)
    return _training(name, project, (train // 2, dev, test), size, quick=False)["fit"]


def _prompt(name: str, size: Lengths) -> float:
    """Tokens of a prompt of a contender that asks the model as it is."""
    row = size.bare + size.answered
    shown = {"few_shot": SHOWN * row, "rag": 1.4 * fmean(w * k for w, k in SIZES)}
    return size.asked + shown.get(name, 0.0)


def _asking(
    name: str, project: Project, dev: int, test: int, size: Lengths, *, quick: bool
) -> Mapping[Stage, Work]:
    prompt = _prompt(name, size)
    wordings = {"zero_shot": 1, "prompt": 9, "rag": 3 * len(SIZES)}
    if name == "few_shot":
        # About four settings on half of dev; a first opinion tries one number in two ways.
        answers = (1.5 if quick else 2.5) * dev
    else:
        answers = most_answers(wordings[name], dev)
    affordable = budget_tokens(project) / max(1.0, prompt + size.answered)
    if name == "prompt" and project.contenders.optimiser:
        answers += min(optimiser.BUDGET_SHARE * affordable, optimiser.MOST_ANSWERS)
    asked = min(answers, affordable + dev)
    return {
        "fit": Work(read=prompt * asked, written=size.answered * asked, opened=1),
        "test": Work(read=prompt * test, written=size.answered * test),
        "latency": _latency(prompt, size.answered, test) + _load(project, prompt, size, test),
    }


def _training(
    name: str, project: Project, rows: tuple[int, int, int], size: Lengths, *, quick: bool
) -> Mapping[Stage, Work]:
    train, dev, test = rows
    prompt = size.bare + (PASSAGES if name == "fine_tune_rag" else 0.0)
    tokens = train * (prompt + size.answered)
    taught = Work()
    if name == INTERNALISED:
        longest = max(_prompt(one, size) for one in TEACHERS if one in project.contenders.use)
        share = teaching.BUDGET_SHARE * budget_tokens(project)
        rows_taught = min(train, share / (longest + size.answered))
        taught = Work(read=rows_taught * longest, written=rows_taught * size.answered)
        tokens = rows_taught * (size.bare + longest + 2 * size.answered)
    settings = project.training
    epochs = settings.epochs
    if epochs == AUTO:
        batch = max(MIN_BATCH, tokens / STEPS_PER_EPOCH)
        epochs = min(MAX_EPOCHS, max(EPOCHS, round(MIN_STEPS * batch / max(tokens, 1.0))))
        affordable = budget_tokens(project) / max(1.0, settings.seeds * tokens)
        epochs = max(1, min(epochs, math.floor(affordable)))

    def answers(times: float, opened: int = 1) -> Work:
        return Work(read=prompt * times, written=size.answered * times, opened=opened)

    points = 1 if quick else len(dev_points(epochs))
    further = settings.seeds - 1
    return {
        "fit": taught + Work(trained=epochs * tokens) + answers(points * dev, points),
        "seeds": Work(trained=further * epochs * tokens)
        + answers(further * (dev + test), 2 * further),
        "test": answers(test),
        "latency": _latency(prompt, size.answered, test) + _load(project, prompt, size, test),
    }


def _embedding(project: Project, train: int, dev: int) -> Mapping[Stage, Work]:
    """Of a tuned embedding model, in seconds as they were measured on two cores."""
    epochs = project.training.epochs
    epochs = EMBEDDING_EPOCHS if epochs == AUTO else epochs
    seconds = epochs * (EMBEDDING_ROW * train + EMBEDDING_LOOK)
    return {
        "fit": Work(seconds=seconds),
        "seeds": Work(seconds=(project.training.seeds - 1) * seconds),
        "test": Work(seconds=1.0),
        "latency": Work(seconds=1.0),
    }


def _latency(prompt: float, answered: float, test: int) -> Work:
    requests = min(2 * MIN_REQUESTS, test) + min(WARM_UP, test)
    return Work(read=requests * prompt, alone=requests * answered, opened=1)


def _load(project: Project, prompt: float, size: Lengths, test: int) -> Work:
    """The requests that come many at once, where hours have a price."""
    if project.prices.hosting_hour is None:
        return Work()
    requests = min(AT_ONCE * ROUNDS, test)
    return Work(read=requests * prompt, written=requests * size.answered, opened=1)
