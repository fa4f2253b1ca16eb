"""Tells what a training does: as lines of events.jsonl, and to whoever watches.

Knows nothing of models.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tunewise.errors import UserError
from tunewise.files import append_lines
from tunewise.progress import Progress

EVENTS = "events.jsonl"
SPIKE = 3.0
"""A loss of so many times the median of the steps before it is told as an event."""
FEWEST_BEFORE = 10
"""Steps before, without which nothing is a spike."""

Watcher = Callable[[Mapping[str, Any]], None]
"""Told every event: its name under `event`, `step`, and what was measured."""


class Events:
    """The events of one training.

    Args:
        folder: where events.jsonl lies; made if missing.
        watchers: told every event, too.
        warn: told when a line cannot be written.

    Raises:
        UserError: the folder cannot be written to.
    """

    def __init__(
        self, folder: Path, *, watchers: Sequence[Watcher], warn: Callable[[str], None]
    ) -> None:
        self._file, self._watchers, self._warn = folder / EVENTS, watchers, warn
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file.touch()
        except OSError as error:
            raise UserError(
                f"{folder}: the training cannot write here: {error.strerror or error}. Name "
                "another folder with --out."
            ) from error

    def tell(self, event: str, step: int, **facts: Any) -> None:
        """Adds a line."""
        told = {"time": round(time.time(), 3), "event": event, "step": step, **facts}
        try:
            append_lines(self._file, [told])
        except OSError as error:  # the training is worth more than its log
            self._warn(f"{self._file}: {error.strerror or error}.")
        for watcher in self._watchers:
            watcher(told)


def is_spike(loss: float, before: Sequence[float]) -> bool:
    """Whether a loss stands out from those of the steps before it."""
    return len(before) >= FEWEST_BEFORE and loss > SPIKE * float(np.median(before))


def show_steps(progress: Progress) -> Watcher:
    """A watcher that shows loss, pace and share of the peak beside the bar, and tells of spikes."""

    def show(event: Mapping[str, Any]) -> None:
        if event["event"] == "step":
            progress.status(
                f"loss {event['loss']:.3f}, {event['tokens_per_second']:,.0f} tokens/s, "
                f"{event['share_of_peak']:.0%} of peak"
            )
        elif event["event"] == "spike":
            rows = ", ".join(event["rows"][:3])
            progress.note(f"step {event['step']}: the loss jumped to {event['loss']:.2f} ({rows})")

    return show
