"""Turns what a job's child writes while it works into events: its notes, the training's steps."""

import json
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

from tunewise.runs.events import EVENTS
from tunewise.serving.jobs.places import MESSAGES, TRAINING
from tunewise.serving.jobs.records import NewEvent


class Follower:
    """What was not told yet of one run folder.

    Whoever takes a job over begins at the start again: events have keys, and those that were told
    are not told twice.

    Args:
        run: the holder's folder.
    """

    def __init__(self, run: Path) -> None:
        self._messages = _Lines(run / MESSAGES)
        self._events = _Lines(run / TRAINING / EVENTS)
        self._total: int | None = None

    def new(self) -> list[NewEvent]:
        """The events since the last call."""
        told = [message_event(str(line["message"])) for line in self._messages.new()]
        for line in self._events.new():
            told += self._of_training(line)
        return told

    def _of_training(self, line: Mapping[str, Any]) -> Sequence[NewEvent]:
        match line.get("event"):
            case "start" | "resumed":
                self._total = line.get("total_steps")
            case "step":
                step, loss = line["step"], line["loss"]
                of = f"/{self._total}" if self._total else ""
                return [
                    NewEvent(
                        key=f"step:{step}",
                        type="metrics",
                        message=f"Step {step}{of}: training loss={loss:.2f}",
                        data={"step": step, "train_loss": loss, "total_steps": self._total},
                    )
                ]
            case _:
                pass
        return []


def message_event(text: str) -> NewEvent:
    """A line for people; the same line of one job is told once."""
    said = blake2b(text.encode("utf-8", errors="replace"), digest_size=16).hexdigest()
    return NewEvent(key=f"message:{said}", message=text)


def losses(run: Path) -> list[tuple[int, float]]:
    """(step, loss) of each step of a run, what was done again after a kill once."""
    found = {
        int(line["step"]): float(line["loss"])
        for line in _Lines(run / TRAINING / EVENTS).new()
        if line.get("event") == "step"
    }
    return sorted(found.items())


def progress_of(run: Path) -> int:
    """A number that grows with what is done for good: steps, and answers of `decide`."""
    steps = losses(run)
    try:
        answers = (run / TRAINING / "answers.jsonl").read_bytes().count(b"\n")
    except FileNotFoundError:
        answers = 0
    return answers + (steps[-1][0] if steps else 0)


class _Lines:
    """The whole lines of a file of JSON that grows."""

    def __init__(self, file: Path) -> None:
        self._file, self._at = file, 0

    def new(self) -> Iterator[dict[str, Any]]:
        """Those since the last call; none while there is no file."""
        try:
            with self._file.open("rb") as handle:
                handle.seek(self._at)
                raw = handle.read()
        except FileNotFoundError:
            return
        whole = raw[: raw.rfind(b"\n") + 1]
        self._at += len(whole)
        for line in whole.splitlines():
            if line:
                yield json.loads(line)
