"""What a training says of its steps: their numbers, losses that stand out, rows that broke one.

Everything goes out as events; which there are and what is in them: `Emit`.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
import torch

from tunewise.errors import UserError
from tunewise.training.objectives import Sft, totals_of
from tunewise.training.packing import micro_batches
from tunewise.training.rows import Row

SPIKE = 3.0
"""A loss above so many times the median of the steps before it is a spike."""
SPIKE_WINDOW = 20
"""Steps before, at most, that the median is taken over."""
MIN_BEFORE = 10
"""Steps before, at least: with fewer nothing is a spike."""
MAX_NAMED = 8
"""Rows that an error names."""


class Emit(Protocol):
    """Writes an event down, at the step that the training is at."""

    def __call__(self, event: str, **facts: Any) -> None:
        """Args: event, its name; facts, JSON values."""
        ...


def is_spike(loss: float, before: Sequence[float]) -> bool:
    """Whether a loss stands out from those of the steps before it.

    Args:
        loss: of a step.
        before: those of the steps before it, in the same unit; the last `SPIKE_WINDOW` count.
    """
    near = before[-SPIKE_WINDOW:]
    return len(near) >= MIN_BEFORE and loss > SPIKE * float(np.median(near))


def report_step(
    emit: Emit,
    rows: Sequence[Row],
    losses: Sequence[float],
    *,
    epoch: int,
    gradient_norm: float,
    learning_rate: float,
    seconds: float,
    share_of_peak: float,
) -> None:
    """Emits `step` with a step's numbers, and before it `spike` where its loss is one.

    Args:
        emit: where to.
        rows: of the step.
        losses: of the steps of this epoch so far, the step's own last.
        epoch: from 1.
        gradient_norm: L2, before clipping.
        learning_rate: of the step.
        seconds: wall time of the step.
        share_of_peak: see `Utilisation.share_of_peak`; 0: unknown.
    """
    *before, loss = losses
    if is_spike(loss, before):
        emit("spike", loss=loss, rows=[row.id for row in rows])
    tokens = sum(row.tokens for row in rows)
    emit(
        "step",
        epoch=epoch,
        loss=loss,
        gradient_norm=gradient_norm,
        learning_rate=learning_rate,
        tokens=tokens,
        tokens_per_second=round(tokens / seconds, 1),
        share_of_peak=round(share_of_peak, 3),
    )


def rows_not_finite(
    model: Any,
    rows: Sequence[Row],
    *,
    share: bool,
    device: str,
    autocast: Callable[[], AbstractContextManager[Any]],
) -> list[str]:
    """Ids of the rows whose own likelihood is no finite number; of all rows where none stands out.

    Args:
        model: with the weights from before the step that failed.
        rows: of that step.
        share: whether prefixes may be shared.
        device: of the model.
        autocast: makes the context that matrix products run in.
    """
    culprits: list[str] = []
    for row in rows:
        batch = micro_batches([row], micro_tokens=1, share=share)[0].to(device)
        with torch.no_grad(), autocast():
            alone = Sft().loss(model, batch, totals_of([batch])[row.replayed])
        if not math.isfinite(float(alone)):
            culprits.append(row.id)
    return culprits if 0 < len(culprits) < len(rows) else [row.id for row in rows]


def not_finite_error(
    loss: float, rows: Sequence[str], *, step: int, total_steps: int, learning_rate: float
) -> UserError:
    """What a person reads when a step's loss or gradient is no finite number.

    Args:
        loss: of the step.
        rows: ids of those to look at, at least one.
        step: from 1.
        total_steps: of the training.
        learning_rate: the recipe's peak.
    """
    named = f"{', '.join(rows[:MAX_NAMED])}{', ...' if len(rows) > MAX_NAMED else ''}"
    return UserError(
        f"training: the loss became {loss} in step {step} of {total_steps} (learning rate "
        f"{learning_rate:g}), rows {named}. The weights are still those of the step before. Look "
        "at these rows, or choose a lower learning rate."
    )
