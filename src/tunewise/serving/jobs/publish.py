"""The seam to whatever keeps models: what a finished job hands over to be served under its name."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainedModel:
    """An adapter that a job trained."""

    name: str
    """`ft:BASE:tunewise:SUFFIX:ID`, or that with `:ckpt-step-N` behind it."""
    job: str
    base: str
    """What its base opens as: a catalog name, hub id, folder or GGUF file."""
    adapter: Path
    """Folder in PEFT format, or of a whole model. It stays where it is."""
    project: Path
    """Folder of the job's project, with its data and tunewise.toml."""
    run: Path
    """Folder of the training: training.json, events.jsonl."""
    verdict: Mapping[str, Any]
    """Its proof; that of the finished model, for a checkpoint."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DecidedModel:
    """The contender that a job's verdict recommends."""

    name: str
    job: str
    contender: str
    project: Path
    run: Path
    """The run folder of `decide`, with verdict.json."""


class Publisher(Protocol):
    """Makes models servable. Called by a worker that holds the job, and again after a kill."""

    def publish(self, model: TrainedModel | DecidedModel) -> None:
        """Has the model served under its name from now on.

        A model of that name that is there already is the same one: nothing happens then.

        Raises:
            UserError: it cannot be published; the job fails with that.
            OSError: the disk is full; the job fails with that.
        """
        ...
