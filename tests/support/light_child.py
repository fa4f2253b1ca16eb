"""A job's child that trains nothing, and behaves like one that does.

It takes steps, keeps them, goes on after a kill from what it kept, saves on SIGTERM, holds the
device as a training does, and notes what no two of it may do at once.
"""

import fcntl
import json
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from tunewise.interrupts import end_with_parent
from tunewise.models.stored import ADAPTER_SETTINGS, ADAPTER_WEIGHTS
from tunewise.serving.jobs.outcome import Outcome, read_outcome, write_outcome
from tunewise.storage import append_lines, read_lines

STEPS, STEP_SECONDS = 12, float(os.environ.get("LIGHT_STEP_SECONDS", "0.03"))
ALONE, OVERLAPS, PROCESSES = "alone.lock", "overlaps.txt", "processes.txt"
"""In the home of jobs: locked while a training runs; what found it locked; who ran."""


def main() -> None:
    what, project, run, parent = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
    end_with_parent(parent)
    home = project.parents[2]
    with (home / PROCESSES).open("a") as file:
        file.write(f"{os.getpid()}\n")
    run.mkdir(parents=True, exist_ok=True)
    if read_outcome(run) is not None:
        return
    if what == "validate":
        write_outcome(run, Outcome(told=["The data are sound."]))
        return
    signal.signal(signal.SIGTERM, _stop)
    alone = os.open(home / ALONE, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        with (home / OVERLAPS).open("a") as file:
            file.write(f"{run}\n")
    training = run / "training"
    (training / "adapter").mkdir(parents=True, exist_ok=True)
    for name in (ADAPTER_SETTINGS, ADAPTER_WEIGHTS):
        (training / "adapter" / name).write_text("{}")
    events = training / "events.jsonl"
    done = len(read_lines(events)) if events.exists() else 0
    for step in range(done + 1, STEPS + 1):
        time.sleep(STEP_SECONDS)
        append_lines(events, [{"event": "step", "step": step, "loss": 1.0 / step}])
    write_outcome(
        run,
        Outcome(
            told=["It is better."],
            adapter="training/adapter",
            trained_tokens=STEPS,
            verdict={
                "finding": "better",
                "sentence": "It is better.",
                "metric": "accuracy",
                "n_test": 40,
                "comparison": {"delta": 0.5, "low": 0.4, "high": 0.6},
            },
            held_out=json.dumps(run.parent.name),
        ),
    )


def _stop(signum: int, frame: FrameType | None) -> None:
    sys.exit(143)


if __name__ == "__main__":
    main()
