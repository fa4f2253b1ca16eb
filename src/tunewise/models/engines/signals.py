"""Keeps the way in which this process takes signals as it is, whatever a native library does to it.

OpenVINO's CPU plug-in, for one, gives the thread that opens it a stack for signals, and puts the
one before it back when it is closed. Two that are closed oldest first leave a stack that is no
longer there, and the next signal, a Ctrl-C as well, ends in a segmentation fault.
"""

import contextlib
import ctypes
import mmap
import signal
import sys
import threading
from collections.abc import Generator
from typing import Any

_ANSWERED = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGPIPE", "SIGCHLD")
    if hasattr(signal, name)
)
"""Signals that Tunewise or Python's own libraries answer, or want ignored."""
_DISABLED = {"linux": 2, "darwin": 4}.get(sys.platform)
"""SS_DISABLE; None: a system whose structures are not known here."""
_ACTION_BYTES = 512
"""More than `struct sigaction` takes anywhere; it is only given back as it came."""


class _Stack(ctypes.Structure):
    """`stack_t`, whose fields stand in another order on macOS."""

    _fields_ = (
        [("sp", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]
        if sys.platform == "linux"
        else [("sp", ctypes.c_void_p), ("size", ctypes.c_size_t), ("flags", ctypes.c_int)]
    )


@contextlib.contextmanager
def keep_signals() -> Generator[None]:
    """Afterwards this thread has its signal stack and mask again, and the process its handlers.

    For every call into a library that may open or close something; a few microseconds. A signal
    stack that is no longer mapped is never put back: the thread has none then, which is safe. Does
    nothing on other systems than Linux and macOS.
    """
    if _DISABLED is None:
        yield
        return
    libc: Any = ctypes.CDLL(None)
    stack, mask = _stack(libc), signal.pthread_sigmask(signal.SIG_BLOCK, ())
    handlers = {number: signal.getsignal(number) for number in _ANSWERED}
    actions = {number: _action(libc, number) for number in _ANSWERED}
    try:
        yield
    finally:
        _use_stack(libc, stack)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
                if handler is not None and signal.getsignal(number) != handler:
                    signal.signal(number, handler)
        for number, action in actions.items():
            if _action(libc, number) != action:
                libc.sigaction(int(number), action, None)


def _stack(libc: Any) -> _Stack:
    """The signal stack of this thread; a disabled one instead of one that is gone."""
    found = _Stack()
    libc.sigaltstack(None, ctypes.byref(found))
    return found if _is_there(libc, found) else _Stack(sp=None, flags=_DISABLED, size=0)


def _use_stack(libc: Any, stack: _Stack) -> None:
    if not _is_there(libc, stack) or libc.sigaltstack(ctypes.byref(stack), None) != 0:
        none = _Stack(sp=None, flags=_DISABLED, size=0)
        libc.sigaltstack(ctypes.byref(none), None)


def _is_there(libc: Any, stack: _Stack) -> bool:
    """Whether the memory of a stack is mapped; a disabled one has none to miss."""
    if not stack.sp:
        return True
    start = stack.sp // mmap.PAGESIZE * mmap.PAGESIZE
    length = stack.sp + stack.size - start
    pages = ctypes.create_string_buffer(length // mmap.PAGESIZE + 1)
    return libc.mincore(ctypes.c_void_p(start), ctypes.c_size_t(length), pages) == 0


def _action(libc: Any, number: int) -> bytes:
    """What the system does at a signal, as it keeps it."""
    found = ctypes.create_string_buffer(_ACTION_BYTES)
    libc.sigaction(int(number), None, found)
    return found.raw
