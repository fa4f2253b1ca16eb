"""What a job's child leaves for its worker: one file, written last."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from tunewise.serving.jobs.places import OUTCOME
from tunewise.serving.jobs.records import JobFault
from tunewise.storage import write_json


@dataclass(frozen=True, kw_only=True, slots=True)
class SavedEpoch:
    """What was trained up to one epoch."""

    step: int
    adapter: str
    """Folder, relative to the run's."""
    metrics: Mapping[str, float | int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How it ended."""

    fault: JobFault | None = None
    """Why it failed; None: it did not."""
    told: Sequence[str] = ()
    """Lines for people, in the order in which they are to be told."""
    adapter: str | None = None
    """Folder of what was trained, relative to the run's."""
    contender: str | None = None
    """What a verdict recommends."""
    hyperparameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    trained_tokens: int | None = None
    verdict: Mapping[str, Any] = field(default_factory=dict[str, Any])
    held_out: str | None = None
    epochs: Sequence[SavedEpoch] = ()


_OUTCOME = TypeAdapter(Outcome)


def write_outcome(folder: Path, outcome: Outcome) -> None:
    """Replaces the file as a whole. Raises OSError."""
    write_json(folder / OUTCOME, asdict(outcome))


def read_outcome(folder: Path) -> Outcome | None:
    """None: the child has not come to its end."""
    try:
        return _OUTCOME.validate_json((folder / OUTCOME).read_bytes())
    except FileNotFoundError:
        return None
