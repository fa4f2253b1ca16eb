"""What the files of a training hold: training.json, and the steps among its events."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter

from tunewise.errors import UserError
from tunewise.runs.events import EVENTS
from tunewise.runs.folder import TRAINED
from tunewise.runs.records import (
    Record,
    damaged,
    dump,
    parse_json,
    read_records,
    validate,
    visible_value,
)
from tunewise.runs.schema import Json
from tunewise.storage import write_json

_ANEW = "`tunewise train PROJECT` writes a new one."


@dataclass(frozen=True, kw_only=True, slots=True)
class Lead:
    """How far one model is ahead of another on the same rows, with its 95% interval."""

    delta: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Baseline:
    """What a training has to beat."""

    name: str
    value: float
    lead: Lead | None
    """Of the epoch that is kept over it; None where rows give no interval."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EpochOnDev:
    """One epoch of the training."""

    epoch: int
    value: float
    """The metric on dev."""
    loss: float
    """Mean over the epoch's tokens of answers, in nats."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DevResult:
    """What dev says of all epochs."""

    metric: str
    higher_is_better: bool
    rows: int
    unit: str
    """What one of `rows` is, in the singular."""
    baselines: tuple[Baseline, ...]
    points: Annotated[tuple[EpochOnDev, ...], Field(min_length=1)]
    best_epoch: int

    @property
    def best(self) -> EpochOnDev:
        """The epoch that is kept."""
        return next(one for one in self.points if one.epoch == self.best_epoch)

    def __post_init__(self) -> None:
        """Raises ValueError where the best epoch is none of the epochs."""
        if all(one.epoch != self.best_epoch for one in self.points):
            raise ValueError(f"epoch {self.best_epoch} is the best and none of `points`")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingResult:
    """training.json; its keys are these fields, in this order."""

    schema: int = 1
    method: str
    base: str
    model: str
    """Folder of the adapter or the whole model, relative to the training's."""
    rows: int
    replayed: int
    tokens: int
    steps: int
    seconds: float
    """Of all sittings."""
    precision: str
    recipe: Json
    dev: DevResult


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingStep:
    """A step among the events, as far as it is shown."""

    step: int
    loss: float
    tokens_per_second: float


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingEvent:
    """A line of events.jsonl, as far as every line has it."""

    time: float
    """Seconds since 1970."""
    event: str


_TRAINING = TypeAdapter(TrainingResult)
_STEP = TypeAdapter(TrainingStep)
_EVENT = TypeAdapter(TrainingEvent)
_OBJECT = TypeAdapter(Json)


def write_training(folder: Path, result: TrainingResult) -> None:
    """Writes training.json, which says that all is done."""
    write_json(folder / TRAINED, dump(_TRAINING, result))


def read_training(folder: Path) -> TrainingResult:
    """What a finished training came to.

    Raises:
        UserError: no training.json there, or one that cannot be read; all faults together.
    """
    path, faults = folder / TRAINED, list[str]()
    if not path.is_file():
        raise UserError(
            f"{folder} holds no {TRAINED}, so it is no finished training. Go on with it: "
            "tunewise train PROJECT --resume."
        )
    try:
        value = visible_value(parse_json(path.read_bytes()))
    except ValueError as fault:
        raise damaged(folder, [f"{TRAINED}: not JSON ({fault})."], _ANEW) from None
    result = validate(_TRAINING, value, TRAINED, faults)
    if result is None:
        raise damaged(folder, faults, _ANEW)
    return result


def read_steps(folder: Path) -> list[TrainingStep]:
    """The newest event of each step: what was done again after a kill counts once.

    Raises:
        UserError: lines that are no events; all faults together.
    """
    found: dict[int, TrainingStep] = {}
    faults: list[str] = []
    for number, event in enumerate(_lines(folder, _OBJECT), 1):
        if event.get("event") == "step":
            step = validate(_STEP, event, f"{EVENTS}:{number}", faults)
            if step is not None:
                found[step.step] = step
    if faults:
        raise damaged(folder, faults, _ANEW)
    return [found[number] for number in sorted(found)]


def read_events(folder: Path) -> tuple[TrainingEvent, ...]:
    """Every event with its time, in order.

    Raises:
        UserError: lines that are no events; all faults together.
    """
    return _lines(folder, _EVENT)


def _lines(folder: Path, record: TypeAdapter[Record]) -> tuple[Record, ...]:
    faults: list[str] = []
    found = read_records(folder / EVENTS, record, faults)
    if faults:
        raise damaged(folder, faults, _ANEW)
    return found
