"""Starts a worker as a process of its own that ends with the one that starts it."""

import sys
from collections.abc import Sequence
from pathlib import Path

from tunewise.serving.jobs.children import Child

COMMAND: Sequence[str] = (sys.executable, "-m", "tunewise")


def start_worker(
    *, home: Path, database: str, device: str | None = None, log: Path | None = None
) -> Child:
    """Starts `tunewise worker`. Call it from the main thread: the worker ends when that does.

    A worker that has ended by itself (`Child.code`) may be started again at any time; its jobs
    wait for it, or for another one.

    Args:
        home: where the files of jobs lie.
        database: URL of their tables.
        device: on which it trains; None: `default_device`.
        log: what it writes goes here; None: `home`/worker.log.
    """
    words = ["worker", "--home", str(home)]
    if device is not None:
        words += ["--device", device]
    return Child.start(
        [*words, "--end-with"],
        command=COMMAND,
        log=log or home / "worker.log",
        environment={"TUNEWISE_DATABASE": database},  # where no list of processes shows it
    )
