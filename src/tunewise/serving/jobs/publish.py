"""Hands what a job trained to the registry, under the name that the job's client will ask for.

A worker publishes while it holds the job, and again after a kill: the registry knows what it holds
by the job's id, so that nothing becomes two versions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tunewise import __version__
from tunewise.models.sources import licence_of
from tunewise.progress import Silent
from tunewise.runs.made_from import base_of
from tunewise.runs.model_file import BaseUsed, Origin, Said
from tunewise.runs.model_names import safe_model_name
from tunewise.runs.registry import Registry
from tunewise.types import Finding

MODEL = "fine_tune"
_FINDINGS: Mapping[str, Finding] = {
    "better": "fine_tune",
    "worse": "do_not",
    "no_difference_shown": "cannot_tell",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainedModel:
    """An adapter that a job trained: asked with a client's messages alone."""

    name: str
    """`ft:BASE:tunewise:SUFFIX:ID`, or that with `:ckpt-step-N` behind it."""
    title: str
    """What a person would call it: the suffix, or the base."""
    step: int | None
    """Of a checkpoint; None: the finished model."""
    job: str
    base: str
    """What its base opens as: a catalog name, hub id, folder or GGUF file."""
    adapter: Path
    """Folder in PEFT format, or of a whole model."""
    training: Path
    """Folder of the training: training.json, events.jsonl."""
    verdict: Mapping[str, Any]
    """The proof of the finished model."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DecidedModel:
    """The contender that a job's verdict recommends."""

    name: str
    title: str
    job: str
    contender: str
    run: Path
    """The run folder of `decide`, with verdict.json."""


class Publisher(Protocol):
    """Makes models servable."""

    def publish(self, model: TrainedModel | DecidedModel) -> None:
        """Has the model served under its name from now on; one that is there already is the same.

        Raises:
            UserError: it cannot be published.
            OSError: the disk is full.
        """
        ...


class RegistryPublisher:
    """Makes versions of the registry.

    Args:
        registry: of this machine, or of the folder that all machines share.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def publish(self, model: TrainedModel | DecidedModel) -> None:
        """See `Publisher.publish`. Checkpoints are versions of a model of their own name."""
        from tunewise.pipelines.publish import (  # noqa: PLC0415 - a worker that waits stays small
            publish,
            publish_adapter,
        )

        title = safe_model_name(model.title)
        if isinstance(model, DecidedModel):
            publish(
                model.run,
                name=title,
                contender=model.contender,
                known_as=model.name,
                registry=self._registry,
                progress=Silent(),
            )
            return
        final = model.step is None
        publish_adapter(
            model.adapter,
            name=title if final else safe_model_name(f"{title}-checkpoints"),
            base=BaseUsed(
                name=model.base,
                sha256=base_of(model.training),
                licence=licence_of(model.base),
            ),
            origin=Origin(
                project=model.title,
                run=model.job,
                token=model.job,
                tunewise=__version__,
            ),
            contender=MODEL if final else f"ckpt-step-{model.step}",
            verdict=_said(model.verdict) if final else None,
            known_as=model.name,
            registry=self._registry,
        )


def _said(verdict: Mapping[str, Any]) -> Said:
    """A job's proof in the words of a verdict."""
    finding = _FINDINGS[verdict["finding"]]
    advised = MODEL if finding == "fine_tune" else None
    return Said(
        outcome=advised or "undecided",
        recommended=advised,
        finding=finding,
        reason=verdict["sentence"],
        metric=verdict["metric"],
        n_test=verdict["n_test"],
    )
