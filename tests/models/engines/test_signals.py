"""Whatever a native library does to a process, a signal is still answered as it was asked to be."""

import subprocess
import sys

import pytest

SETUP = """
import ctypes, faulthandler, gc, mmap, os, signal, sys, threading
import numpy as np, openvino, openvino.opset13 as op
from tunewise.models.engines.signals import keep_signals
libc = ctypes.CDLL(None)
def opened():
    value = op.parameter([1, 4], np.float32)
    return openvino.Core().compile_model(openvino.Model([op.relu(value)], [value]), "CPU")
def struck(number=signal.SIGTERM):
    heard = []
    signal.signal(number, lambda *given: heard.append(given[0]))
    os.kill(os.getpid(), number)
    print("answered", heard == [number])
"""


def run(script: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *options, "-c", SETUP + script],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def assert_answered(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.splitlines()) == {"answered True"}


@pytest.mark.skipif(sys.platform != "linux", reason="the plug-in does it on Linux alone")
def test_without_the_guard_two_cores_closed_oldest_first_end_the_process() -> None:
    done = run("a = opened(); b = opened(); del a; gc.collect(); del b; gc.collect(); struck()")
    assert done.returncode < 0, "the library is mended: the guard may go"


@pytest.mark.parametrize("options", [(), ("-X", "faulthandler")], ids=["plain", "faulthandler"])
def test_two_cores_closed_oldest_first_leave_a_process_that_answers(
    options: tuple[str, ...],
) -> None:
    done = run(
        """
with keep_signals():
    a = opened()
with keep_signals():
    b = opened()
with keep_signals():
    del a; gc.collect()
with keep_signals():
    del b; gc.collect()
struck(); struck(signal.SIGINT)
""",
        *options,
    )
    assert_answered(done)


def test_cores_that_others_opened_or_closed_do_not_matter_either() -> None:
    done = run(
        """
a = opened()
with keep_signals():
    b = opened()
    del a; gc.collect()  # what is to be put back goes away in between
struck()
c = opened()
d = opened()
del c, b; gc.collect()
with keep_signals():
    del d; gc.collect()
struck()
"""
    )
    assert_answered(done)


def test_a_stack_that_was_gone_before_is_not_put_back() -> None:
    done = run(
        """
a = opened(); b = opened(); del a; gc.collect(); del b; gc.collect()
with keep_signals():
    pass
struck()
"""
    )
    assert_answered(done)


def test_a_thread_of_its_own_is_kept_too() -> None:
    done = run(
        """
def work():
    with keep_signals():
        a = opened()
    with keep_signals():
        b = opened()
    with keep_signals():
        del a; gc.collect()
    with keep_signals():
        del b; gc.collect()
    signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
heard = []
signal.signal(signal.SIGUSR1, lambda *given: heard.append(1))
thread = threading.Thread(target=work); thread.start(); thread.join()
print("answered", heard == [1])
struck()
"""
    )
    assert_answered(done)


def test_the_stack_of_faulthandler_stays_the_one_in_use() -> None:
    done = run(
        """
from tunewise.models.engines import signals
def address():
    return signals._stack(libc).sp
before = address()
with keep_signals():
    a = opened()
    inside = address()
print("answered", before is not None and inside != before and address() == before)
""",
        "-X",
        "faulthandler",
    )
    assert_answered(done)


def test_handlers_and_mask_that_a_library_changes_are_put_back() -> None:
    done = run(
        """
signal.signal(signal.SIGINT, lambda *given: print("answered", True))
try:
    with keep_signals():
        libc.signal(int(signal.SIGINT), None)  # the system's: ends the process
        libc.signal(int(signal.SIGPIPE), None)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        raise OSError
except OSError:
    pass
os.kill(os.getpid(), signal.SIGINT)
print("answered", signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)
os.kill(os.getpid(), signal.SIGPIPE)  # Python ignores it
"""
    )
    assert_answered(done)


def test_what_is_asked_for_inside_comes_out() -> None:
    done = run(
        """
@keep_signals()
def twice(number):
    return 2 * number
print("answered", [twice(n) for n in (1, 2)] == [2, 4])
"""
    )
    assert_answered(done)
