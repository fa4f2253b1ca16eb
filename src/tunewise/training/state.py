"""Where a training stands, and how that is saved and restored without a bit changed.

`TrainingState` holds the counts of a training and moves them, its weights and its optimiser into
checkpoints and back. How a checkpoint lies on disk is `checkpoint`'s affair.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tunewise.errors import UserError
from tunewise.training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from tunewise.training.distributed import Processes, spread, whole
from tunewise.training.hardware import Precision, fastest_precision
from tunewise.training.recipe import Recipe, learning_rate

CHECKPOINTS = "checkpoints"
"""Folder of the checkpoints, in that of the training."""
MICRO_TOKENS = {"cpu": 1024, "cuda": 16_384}
"""Tokens that go through the model at once, by kind of device."""
_MOMENTS = ("exp_avg", "exp_avg_sq", "step")
"""What AdamW keeps of each weight."""

Weights = Mapping[str, torch.nn.Parameter]
"""Name -> each weight that is trained."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Epoch:
    """What one epoch did."""

    number: int
    """From 1."""
    loss: float
    """Mean of its steps' losses, in the unit of the method's objective."""
    tokens: int
    """Tokens of the rows seen, each with its own prefix."""
    steps: int
    """Optimiser steps."""


@dataclass(kw_only=True, slots=True)
class Cursor:
    """Where a training stands: what a checkpoint counts."""

    epochs: list[Epoch]
    """Those that are over."""
    losses: list[float]
    """Of each step done in the epoch at hand."""
    tokens: int = 0
    """Tokens seen in the epoch at hand, each row with its own prefix."""

    @property
    def steps(self) -> int:
        """Optimiser steps done in all."""
        return sum(epoch.steps for epoch in self.epochs) + len(self.losses)

    @property
    def epoch(self) -> int:
        """Number of the epoch at hand, from 1."""
        return len(self.epochs) + 1

    def end_epoch(self) -> Epoch:
        """Closes the epoch at hand, which has at least one step."""
        ended = Epoch(
            number=self.epoch,
            loss=float(np.mean(self.losses)),
            tokens=self.tokens,
            steps=len(self.losses),
        )
        self.epochs.append(ended)
        self.losses, self.tokens = [], 0
        return ended


@dataclass(frozen=True, kw_only=True, slots=True)
class Numerics:
    """How a step is computed. A resumed training keeps it, whatever machine it is on by then."""

    precision: Precision
    """Number format of matrix products."""
    micro_tokens: int
    """Tokens that go through the model at once."""


class TrainingState:
    """Where one training stands, as its newest checkpoint says; at the start without one.

    Args:
        folder: of the training; checkpoints lie in `CHECKPOINTS` there.
        identity: what makes it this training, JSON values. A checkpoint of another is not used.
        recipe: of the training.
        total_steps: optimiser steps of the whole training.
        processes: all that take part; the first one writes.
        device: torch device, which numerics are chosen for where no checkpoint says them.
        warn: called with a line for each checkpoint that is damaged.
    """

    def __init__(
        self,
        folder: Path,
        *,
        identity: Mapping[str, Any],
        recipe: Recipe,
        total_steps: int,
        processes: Processes,
        device: str,
        warn: Callable[[str], None],
    ) -> None:
        self._folder, self._identity, self._warn = folder, identity, warn
        self._recipe, self._total_steps, self._processes = recipe, total_steps, processes
        found = self._newest()
        self.cursor = _cursor_from(found)
        self.numerics = _numerics_from(found) or _chosen_numerics(recipe, device)
        self.saved_step = found.step if found else 0
        """Optimiser steps that the newest checkpoint holds; 0 without one."""
        self._saved_at = 0.0

    @property
    def is_ahead(self) -> bool:
        """Whether steps were done that no checkpoint holds."""
        return self.cursor.steps > self.saved_step

    @property
    def seconds_since_save(self) -> float:
        """Seconds since a checkpoint was written or restored."""
        return time.monotonic() - self._saved_at

    def restore(self, weights: Weights, optimizer: torch.optim.Optimizer) -> int:
        """Puts the newest checkpoint into a freshly built model and its optimiser.

        Args:
            weights: those that are trained; overwritten in place.
            optimizer: AdamW over them, without any step.

        Returns:
            Optimiser steps that it holds; 0 without one: nothing is changed then.

        Raises:
            UserError: steps were done, and their checkpoint is gone.
        """
        found = self._newest()
        step = found.step if found else 0
        if step < self.cursor.steps:
            raise UserError(
                f"{self._folder}: the checkpoint of step {self.cursor.steps} disappeared while "
                "training. Run again with --resume."
            )
        if found is not None:
            _restore(found, weights, optimizer)
        self._saved_at = time.monotonic()
        return step

    def save(self, weights: Weights, optimizer: torch.optim.Optimizer) -> None:
        """Writes a checkpoint of the steps done. Every process has to call this.

        Args:
            weights: those that are trained.
            optimizer: AdamW over them.

        Raises:
            UserError: it cannot be written; earlier checkpoints stay.
        """
        moments = {
            f"{kind}.{name}": whole(tensor)
            for name, weight in weights.items()
            for kind, tensor in optimizer.state[weight].items()
        }
        tensors = {"weights": {n: whole(w) for n, w in weights.items()}, "optimizer": moments}
        if self._processes.is_first:
            step = self.cursor.steps
            state = {
                "identity": self._identity,
                **asdict(self.cursor),
                **asdict(self.numerics),
                "next_learning_rate": learning_rate(self._recipe, step, self._total_steps),
                "next_dropout_seed": dropout_seed(self._recipe, step),
            }
            write_checkpoint(
                self._folder / CHECKPOINTS, Checkpoint(step=step, state=state, tensors=tensors)
            )
        self._processes.wait()
        self.saved_step, self._saved_at = self.cursor.steps, time.monotonic()

    def _newest(self) -> Checkpoint | None:
        return read_checkpoint(
            self._folder / CHECKPOINTS,
            usable=lambda state: state.get("identity") == self._identity,
            warn=self._warn,
        )


def dropout_seed(recipe: Recipe, step: int) -> int:
    """Seed of a step's dropout, before processes are told apart: a function of recipe and step."""
    return 1_000_003 * recipe.seed + step


def _cursor_from(found: Checkpoint | None) -> Cursor:
    if found is None:
        return Cursor(epochs=[], losses=[])
    return Cursor(
        epochs=[Epoch(**epoch) for epoch in found.state["epochs"]],
        losses=list(found.state["losses"]),
        tokens=found.state["tokens"],
    )


def _numerics_from(found: Checkpoint | None) -> Numerics | None:
    if found is None:
        return None
    return Numerics(precision=found.state["precision"], micro_tokens=found.state["micro_tokens"])


def _chosen_numerics(recipe: Recipe, device: str) -> Numerics:
    """The recipe's, or what suits the machine."""
    return Numerics(
        precision=recipe.precision or fastest_precision(device),
        micro_tokens=recipe.micro_tokens or MICRO_TOKENS[device.split(":")[0]],
    )


def _restore(found: Checkpoint, weights: Weights, optimizer: torch.optim.Optimizer) -> None:
    for name, weight in weights.items():
        with torch.no_grad():
            weight.copy_(spread(found.tensors["weights"][name], weight))
        moments = {kind: found.tensors["optimizer"].get(f"{kind}.{name}") for kind in _MOMENTS}
        if moments["step"] is not None:
            optimizer.state[weight] = {
                kind: spread(tensor, weight) if kind != "step" else tensor.clone()
                for kind, tensor in moments.items()
                if tensor is not None
            }
