"""Real processes of `tunewise decide`, ended at chosen moments."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

COMMAND = [sys.executable, "-c", "from tunewise.cli import main; main()", "decide"]
MAX_COUNT = 900.0
"""Seconds that one process may take."""

Moment = Callable[[Path], bool]
"""A look at the run folder: whether the time has come."""


@dataclass(frozen=True)
class Ended:
    """A process that is over."""

    code: int
    err: str
    struck: bool
    """Whether the signal was sent before it was over by itself."""


def run_decide(
    project: Path,
    run: Path,
    *,
    cache: Path | None,
    options: Sequence[str] = (),
    resume: bool = False,
    strike: int = signal.SIGKILL,
    when: Moment = lambda run: False,
) -> Ended:
    """Runs decide in a process of its own, and sends it a signal when the moment has come.

    Args:
        project: its folder.
        run: where the run lies or is to lie.
        cache: where prepared models lie; None: where the person has them.
        options: more words of the command.
        resume: whether to go on.
        strike: the signal.
        when: the moment.
    """
    words = [*COMMAND, str(project), "--out", str(run), *options]
    home = {} if cache is None else {"TUNEWISE_CACHE": str(cache)}
    log = run.with_name(f"{run.name}.err")
    with log.open("w") as err:
        process = subprocess.Popen(
            [*words, "--resume"] if resume else words,
            env={**os.environ, **home, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
            stdout=subprocess.DEVNULL,
            stderr=err,
        )
        struck = False
        end = time.monotonic() + MAX_COUNT
        try:
            while process.poll() is None and time.monotonic() < end:
                if not struck and when(run):
                    process.send_signal(strike)
                    struck = True
                time.sleep(0.003)
        finally:
            process.kill()
            process.wait()
    return Ended(code=process.returncode, err=log.read_text(), struck=struck)


def run_to_the_end(
    project: Path, run: Path, moments: Sequence[Moment], **settings: object
) -> list[Ended]:
    """Kills a run at each of these moments in turn, resuming it each time, and lets it finish."""
    ended: list[Ended] = []
    for when in (*moments, lambda run: False):
        resume = (run / "splits.json").exists()
        ended.append(run_decide(project, run, resume=resume, when=when, **settings))  # type: ignore[arg-type]
    return ended


def answers_of(contender: str, at_least: int = 1) -> Moment:
    """The moment when so many answers of a contender lie in answers.jsonl."""

    def _look(run: Path) -> bool:
        file = run / "answers.jsonl"
        mark = f'"contender": "{contender}"'.encode()
        return file.exists() and file.read_bytes().count(mark) >= at_least

    return _look


def trained(pattern: str, epochs: int = 1) -> Moment:
    """The moment when a training has its checkpoint after so many epochs."""
    seen: set[Path] = set()

    def _look(run: Path) -> bool:
        seen.update(run.glob(f"training/{pattern}/checkpoints/step-*/manifest.json"))
        return len(seen) >= epochs

    return _look


def after(seconds: float) -> Moment:
    """The moment so long after the process was started, wherever it is."""
    began: list[float] = []

    def _look(run: Path) -> bool:
        began[:] = began or [time.monotonic()]
        return time.monotonic() - began[0] >= seconds

    return _look


def at_work_for(seconds: float) -> Moment:
    """The moment so long after the process began to work in the run folder."""
    before: list[int] = []
    began: list[float] = []

    def _look(run: Path) -> bool:
        file = run / "events.jsonl"
        starts = file.read_bytes().count(b'"event": "start"') if file.exists() else 0
        before[:] = before or [starts]
        if starts > before[0]:
            began[:] = began or [time.monotonic()]
        return bool(began) and time.monotonic() - began[0] >= seconds

    return _look
