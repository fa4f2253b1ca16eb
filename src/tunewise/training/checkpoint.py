"""Writes and reads the state of a training between epochs, so that a kill loses one epoch at most.

A checkpoint is written beside its place, synced and renamed; the one file holds everything and is
read with torch's weights-only reader. Knows nothing of what is in the state.
"""

import os
import pickle
from pathlib import Path
from typing import Any, cast

import torch

State = dict[str, Any]


def write_state(state: State, file: Path) -> None:
    """Replaces `file` atomically."""
    beside = file.with_name(f".{file.name}.new")
    with beside.open("wb") as handle:
        torch.save(state, handle)
        handle.flush()
        os.fsync(handle.fileno())
    beside.rename(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_state(file: Path) -> State | None:
    """The state in `file`; None when there is none, or when it is not whole."""
    if not file.exists():
        return None
    try:
        return cast("State", torch.load(file, map_location="cpu", weights_only=True))
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError):  # by where it is cut off
        return None
