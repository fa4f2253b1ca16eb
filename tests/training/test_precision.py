import subprocess
import sys

import pytest
import torch

from tunewise.training import precision
from tunewise.training.precision import fastest_precision, give_back_memory, keep_freed_memory


def clocked(monkeypatch: pytest.MonkeyPatch, *, wide: float, narrow: float) -> None:
    """A clock on which float32 products take `wide` seconds and bfloat16 ones `narrow`."""
    now = 0.0
    # The warm-up looks at the clock once a product, the six rounds after it before and after.
    steps = iter([0.0, 0.0, *[0.0, wide, 0.0, narrow] * 6])

    def clock() -> float:
        nonlocal now
        now += next(steps)
        return now

    monkeypatch.setattr(precision.time, "process_time", clock)


def test_bfloat16_is_taken_where_it_is_clearly_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    clocked(monkeypatch, wide=0.004, narrow=0.001)
    assert fastest_precision() == "bfloat16"


@pytest.mark.parametrize("narrow", [0.0028, 0.004, 0.008])
def test_float32_stays_where_bfloat16_gains_little_or_loses(
    narrow: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    clocked(monkeypatch, wide=0.004, narrow=narrow)
    assert fastest_precision() == "float32"


def test_on_cuda_it_is_bfloat16_without_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "ones", None)
    assert fastest_precision("cuda:0") == "bfloat16"


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc is told")
def test_freed_memory_is_kept_for_the_next_step_until_it_is_given_back() -> None:
    script = """
import torch
from pathlib import Path
from tunewise.training.precision import give_back_memory, keep_freed_memory

def megabytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6

def work():
    blocks = [torch.ones(10_000_000) for _ in range(5)]

work()
before = megabytes()
work()
print(megabytes() - before)
keep_freed_memory()
work()
print(megabytes() - before)
give_back_memory()
print(megabytes() - before)
"""
    said = subprocess.check_output([sys.executable, "-c", script], text=True)
    usual, kept, given_back = (float(line) for line in said.splitlines())
    assert kept > 190
    assert abs(usual) < 20
    assert given_back < 20


def test_elsewhere_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision.sys, "platform", "darwin")
    monkeypatch.setattr(precision.ctypes, "CDLL", None)
    keep_freed_memory()
    give_back_memory()
