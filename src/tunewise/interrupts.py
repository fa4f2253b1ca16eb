"""Ends the process in time after a signal, however long a library takes to notice."""

import os
import signal
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import NoReturn

INTERRUPTED, TERMINATED = 130, 143
"""Exit codes."""
PATIENCE = 7.0
"""Seconds between a signal and the end at the latest."""


@contextmanager
def ends_in_time() -> Generator[None]:
    """Ends the process when a signal was not answered within `PATIENCE` seconds.

    Python runs its handler only when the main thread leaves the library that it is in, and an
    engine may answer a batch for a minute. Every file is whole at any moment: answers are appended
    and synced, everything else is renamed into its place.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)

    def wait() -> None:
        codes = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED}
        while number := os.read(reader, 1):
            if number[0] in codes:
                time.sleep(PATIENCE)
                leave(codes[signal.Signals(number[0])])
        os.close(reader)

    threading.Thread(target=wait, daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(writer)


def leave(code: int) -> NoReturn:
    """Ends at once: libraries may take longer to close what they opened."""
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
