"""What files, jobs, events and checkpoints are, between the tables and the wire."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Status = Literal[
    "validating_files", "queued", "running", "succeeded", "failed", "cancelled", "paused"
]
STATUSES: tuple[Status, ...] = get_args(Status)
OVER: tuple[Status, ...] = ("succeeded", "failed", "cancelled")
"""Nothing happens to such a job any more."""
Wish = Literal["cancel", "pause"]
Method = Literal["supervised", "dpo", "decide"]
TRAINING, RESULTS = "fine-tune", "fine-tune-results"
"""Purposes of files."""


def new_id(prefix: str) -> str:
    """`prefix` and 96 random bits: nobody guesses it, and it says nothing."""
    return f"{prefix}{secrets.token_hex(12)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredFile:
    """An uploaded file, or a result."""

    id: str
    created_at: int
    """Unix seconds, as all times here."""
    filename: str
    """As the client called it, without folders."""
    purpose: str
    bytes: int
    sha256: str
    """Hex, of its content."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobFault:
    """Why a job failed."""

    code: str
    message: str
    """What is wrong, where (`training.jsonl:12`), and what to do."""
    param: str | None = None
    """The field of the request that is to blame."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A row of the table of jobs."""

    id: str
    created_at: int
    model: str
    """As it was asked for: the name of a base model."""
    training_file: str
    """Id, as the next one."""
    validation_file: str | None
    suffix: str | None
    seed: int
    method: Mapping[str, Any]
    """`{"type": ..., TYPE: {"hyperparameters": {...}}}`."""
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    status: Status = "validating_files"
    validated: bool = False
    """Whether its data passed the checks."""
    finished_at: int | None = None
    error: JobFault | None = None
    fine_tuned_model: str | None = None
    result_file: str | None = None
    trained_tokens: int | None = None
    hyperparameters: Mapping[str, Any] | None = None
    """With what was `auto` filled in, as far as it is known."""
    verdict: Mapping[str, Any] | None = None
    """Its proof; None until it succeeded."""
    wanted: Wish | None = None
    """What was asked for while somebody works on it."""
    token: int = 0
    """Fencing token: how often it was taken up."""

    @property
    def kind(self) -> Method:
        """The type of its method."""
        return self.method["type"]

    @property
    def chosen(self) -> Mapping[str, Any]:
        """What the request says of its method, `auto` included."""
        return self.method.get(self.kind) or {}


@dataclass(frozen=True, kw_only=True, slots=True)
class NewEvent:
    """Something that a job tells."""

    key: str
    """What it is, so that it is told once: `step:12`."""
    message: str
    level: Literal["info", "warn", "error"] = "info"
    type: Literal["message", "metrics"] = "message"
    data: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """The same, as it stands in the table."""

    id: str
    created_at: int
    level: str
    type: str
    message: str
    data: Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class NewCheckpoint:
    """A model from the middle of a training."""

    step: int
    """Optimiser steps done."""
    model: str
    """The name under which it can be asked."""
    metrics: Mapping[str, float | int]
    """What was measured, and nothing else."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """The same, as it stands in the table."""

    id: str
    created_at: int
    step: int
    model: str
    metrics: Mapping[str, float | int]
