"""Commands of `tunewise` in processes of their own, struck by a signal at a chosen moment.

Run as a script: torch and OpenVINO are imported once, and every command is a fork of that process,
made before either started a thread. Writes a line of JSON for each.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import tunewise.pipelines.train
import tunewise.report.html
import tunewise.report.trained
from tunewise import cli
from tunewise.pipelines import decide

IMPORTED = (tunewise.report.html, tunewise.report.trained, tunewise.pipelines.train, decide)
MAX_COUNT = 120.0
"""Seconds that one command may take."""


def main() -> None:
    """Strikes each command that is asked for."""
    for asked in json.loads(sys.argv[1]):
        sys.stdout.write(json.dumps(_struck(asked)) + "\n")
        sys.stdout.flush()


def _struck(asked: dict[str, Any]) -> dict[str, Any]:
    log, folder = Path(asked["log"]), Path(asked["folder"])
    child = os.fork()
    if child == 0:
        _command(asked["words"], log)
    end, struck, code = time.monotonic() + MAX_COUNT, None, None
    while code is None:
        if struck is None and _is_time(asked["when"], folder, log):
            time.sleep(asked["after"])
            struck = time.monotonic()
            os.kill(child, getattr(signal, asked["signal"]))
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
        over, status = os.waitpid(child, os.WNOHANG)
        code = os.waitstatus_to_exitcode(status) if over else None
        time.sleep(0.002)
    return {
        "code": code,
        "struck": struck is not None,
        "seconds": 0.0 if struck is None else time.monotonic() - struck,
        "said": log.read_text(errors="replace"),
    }


def _command(words: list[str], log: Path) -> None:
    """Never returns."""
    to = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(to, 1)
    os.dup2(to, 2)
    sys.argv = ["tunewise", *words]
    try:
        cli.main()
    except SystemExit as ended:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(ended.code or 0))
    os._exit(0)


def _is_time(when: list[Any], folder: Path, log: Path) -> bool:
    """["said", text, times], ["steps", number] or ["answers", contender, number]."""
    match when:
        case ["said", str(text), int(times)]:
            return log.exists() and log.read_text(errors="replace").count(text) >= times
        case ["steps", int(number)]:
            files = folder.glob("**/events.jsonl")
            return sum(f.read_bytes().count(b'"event": "step"') for f in files) >= number
        case ["answers", str(contender), int(number)]:
            file, mark = folder / "answers.jsonl", f'"contender": "{contender}"'.encode()
            return file.exists() and file.read_bytes().count(mark) >= number
        case _:
            raise ValueError(f"no such moment: {when}")


if __name__ == "__main__":
    main()
