"""Starts the processes of jobs, and stops them."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

COMMAND = (sys.executable, "-m", "tunewise.serving.jobs.child")


@dataclass(frozen=True, kw_only=True, slots=True)
class Child:
    """A process of a job. It ends with this one (`end_with_parent`)."""

    process: "subprocess.Popen[bytes]"

    @classmethod
    def start(
        cls,
        words: Sequence[str],
        *,
        command: Sequence[str] = COMMAND,
        log: Path,
        environment: Mapping[str, str],
        keep: Sequence[int] = (),
    ) -> "Child":
        """Starts one. Call it from the main thread: the child ends when the calling thread does.

        Args:
            words: what to do, its folders.
            command: that does it; gets the words, and this process's id behind them.
            log: what it writes goes here.
            environment: variables beside those of this process.
            keep: handles that it inherits.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as out:
            process = subprocess.Popen(  # noqa: S603 - our own module, and folders that we named
                [*command, *words, str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={**os.environ, **environment},
                pass_fds=keep,
            )
        return cls(process=process)

    @property
    def code(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self.process.poll()

    def stop(self) -> None:
        """Has it save its steps and end, within seconds."""
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it at once, and waits for that."""
        with suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()


def how_it_died(code: int) -> str:
    """Half a sentence for people."""
    if code < 0:
        return f"the training was ended by signal {signal.Signals(-code).name}"
    return f"the training ended with exit code {code}"
