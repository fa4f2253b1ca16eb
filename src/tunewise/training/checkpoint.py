"""Writes and reads checkpoints so that a kill at any moment leaves a whole one.

A checkpoint is a folder of safetensors and JSON, made beside its place: every file synced, the
manifest with their sha256 last, then renamed, then the folder around it synced. Nothing in it is
ever unpickled. What is in them: `state`.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors import torch as safetensors_torch

from tunewise.errors import UserError
from tunewise.storage import file_sha256, replaced_folder

KEPT = 2
"""Checkpoints kept: should the newest not verify, the one before it does."""
MANIFEST = "manifest.json"
_STATE = "state.json"
_FORMAT = 1
_SAFETENSORS = cast("Any", safetensors_torch)  # its functions carry no types

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The state after some step."""

    step: int
    """Optimiser steps done."""
    state: Mapping[str, Any]
    """JSON values."""
    tensors: Mapping[str, Tensors]
    """Name of the file -> name -> tensor."""


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Adds `step-…` to `folder`, and removes all but the newest `KEPT`.

    Raises:
        UserError: it cannot be written; the earlier ones stay as they are.
    """
    place = folder / f"step-{checkpoint.step:08d}"
    try:
        with replaced_folder(place) as new:  # one that did not verify may stand there
            for name, tensors in checkpoint.tensors.items():
                _SAFETENSORS.save_file(tensors, new / f"{name}.safetensors")
            (new / _STATE).write_text(json.dumps(checkpoint.state, sort_keys=True), "utf-8")
            sums = {file.name: file_sha256(file) for file in sorted(new.iterdir())}
            manifest = {"format": _FORMAT, "files": sums}
            (new / MANIFEST).write_text(json.dumps(manifest, indent=1), "utf-8")
        for old in _places(folder)[KEPT:]:
            shutil.rmtree(old, ignore_errors=True)
    except (OSError, SafetensorError) as error:
        kept = [place.name for place in _places(folder)]
        stays = f"The checkpoint {kept[0]} stays." if kept else "There is no earlier one."
        why = error.strerror if isinstance(error, OSError) else _without_prefix(str(error))
        raise UserError(
            f"{place}: the checkpoint cannot be written: {why or error}. {stays} Free "
            "some space or name another folder with --out, then go on with --resume."
        ) from error
    return place


def _without_prefix(said: str) -> str:
    """`Error while serializing: I/O error: No space left on device (os error 28)`, shortened."""
    return said.rpartition("I/O error: ")[2].partition(" (os error")[0]


def read_checkpoint(
    folder: Path, *, usable: Callable[[Mapping[str, Any]], bool], warn: Callable[[str], None]
) -> Checkpoint | None:
    """The newest checkpoint that verifies; None when there is none.

    Args:
        folder: where they lie.
        usable: whether a checkpoint of this state belongs to the training; if not it is skipped.
        warn: called with a line for each that is damaged.
    """
    for place in _places(folder):
        fault = _fault_of(place)
        if fault is None:
            state = cast("dict[str, Any]", json.loads((place / _STATE).read_text("utf-8")))
            if usable(state):
                files = place.glob("*.safetensors")
                tensors = {file.stem: _SAFETENSORS.load_file(file) for file in files}
                return Checkpoint(step=_step(place), state=state, tensors=tensors)
        else:
            warn(f"{place}: this checkpoint is passed over: {fault}.")
    return None


def _places(folder: Path) -> list[Path]:
    """The newest first. What a kill left half-made begins with a dot."""
    return sorted(folder.glob("step-*"), key=_step, reverse=True)


def _step(place: Path) -> int:
    number = place.name.removeprefix("step-")
    return int(number) if number.isdigit() else -1


def _fault_of(place: Path) -> str | None:
    """Why a checkpoint is not whole."""
    try:
        manifest = cast("object", json.loads((place / MANIFEST).read_text("utf-8")))
        files = cast("dict[str, str]", cast("dict[str, Any]", manifest)["files"])
        if _STATE not in files:
            return "its manifest is empty"
        for name, sha256 in files.items():
            if file_sha256(place / name) != sha256:
                return f"{name} is not what was written"
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"its manifest cannot be read ({type(error).__name__})"
    return None
