"""The real command line, called in this process: exit code, stdout and stderr."""

import io
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch


@dataclass(frozen=True)
class Done:
    """What a command left on the screen."""

    code: int
    out: str
    err: str


def tunewise(*words: str | Path) -> Done:
    """Runs `tunewise WORDS`. An exception that is no exit would be a traceback: it goes on."""
    from tunewise.cli import main

    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    command = ["tunewise", *map(str, words)]
    with (
        _handlers_kept(),
        patch.object(sys, "argv", command),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as stop:
            code = stop.code or 0
    assert isinstance(code, int), f"exit with {code!r}"
    return Done(code=code, out=out.getvalue(), err=err.getvalue())


@contextmanager
def _handlers_kept() -> Iterator[None]:
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
