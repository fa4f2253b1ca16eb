"""Reports what a training does: as lines of events.jsonl, and to whoever watches."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tunewise.errors import UserError
from tunewise.progress import Progress
from tunewise.storage import append_lines

EVENTS = "events.jsonl"
SPIKE_ROWS, MAX_SPIKES = 3, 3
"""Rows of a spike that are named, and spikes of a training that are told on the screen."""

Watcher = Callable[[Mapping[str, Any]], None]
"""Told every event: its name under `event`, `step`, and what was measured."""


class Events:
    """The events of one training.

    Args:
        folder: where events.jsonl lies; made if missing.
        watchers: informed of every event, too.
        warn: informed when a line cannot be written.

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

    def emit(self, event: str, step: int, **facts: Any) -> None:
        """Adds a line."""
        line = {"time": round(time.time(), 3), "event": event, "step": step, **facts}
        try:
            append_lines(self._file, [line])
        except OSError as error:  # the training is worth more than its log
            self._warn(f"{self._file}: {error.strerror or error}.")
        for watcher in self._watchers:
            watcher(line)


def show_steps(progress: Progress, places: Mapping[str, str] | None = None) -> Watcher:
    """A watcher that shows loss and pace beside the bar, and tells of spikes.

    Args:
        progress: informed of them.
        places: example id -> `file:line`, for the rows of a spike.
    """
    known = places or {}
    spikes = 0

    def show(event: Mapping[str, Any]) -> None:
        nonlocal spikes
        if event["event"] == "step":
            progress.status(
                f"loss {event['loss']:.3f} (lower is better), "
                f"{event['tokens_per_second']:,.0f} tokens a second"
            )
        elif event["event"] == "spike" and spikes < MAX_SPIKES:
            spikes += 1
            more = len(event["rows"]) - SPIKE_ROWS
            rows = ", ".join(known.get(row, f"row {row}") for row in event["rows"][:SPIKE_ROWS])
            rows += f" and {more} more" if more > 0 else ""
            progress.note(
                f"Step {event['step']}: the answers of {rows} were far harder for the model than "
                f"those before (loss {event['loss']:.2f}). Read these rows once: an answer that is "
                "wrong or cut off shows like this. If they are right, nothing has to be done."
            )
            if spikes == MAX_SPIKES:
                progress.note(f"Further steps like this are only noted in {EVENTS}.")

    return show
