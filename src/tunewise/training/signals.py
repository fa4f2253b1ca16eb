"""Puts Ctrl-C and termination off while something changes that has to change as a whole."""

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def put_off() -> Generator[None]:
    """Holds back SIGINT and SIGTERM that come within; the first of them is answered afterwards.

    For milliseconds: whoever sent one waits. Only the main thread answers signals, so nothing is
    done in another one; nor for a signal that Python has no handler of.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[int] = []
    numbers = [n for n in (signal.SIGINT, signal.SIGTERM) if callable(signal.getsignal(n))]
    before = [(n, signal.signal(n, lambda number, _: held.append(number))) for n in numbers]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
        if held:
            signal.raise_signal(held[0])
