"""Ends the process in time after a signal, or with its parent, whatever a library is doing."""

import ctypes
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
_PR_SET_PDEATHSIG = 1


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


def end_with_parent(parent: int) -> None:
    """Has the system kill this process when its parent ends, however that ends. Call it first.

    On Linux the kernel does it (PR_SET_PDEATHSIG), when the thread ends that started this process;
    elsewhere a thread looks every second. Processes that this one starts have to call it as well.

    Args:
        parent: its process id, told by itself: it may be gone before this is called.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    else:

        def look() -> None:
            while os.getppid() == parent:
                time.sleep(1.0)
            os.kill(os.getpid(), signal.SIGKILL)

        threading.Thread(target=look, daemon=True).start()
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
