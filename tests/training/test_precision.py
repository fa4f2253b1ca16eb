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

    monkeypatch.setattr(precision.time, "perf_counter", clock)


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


LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only glibc is told")


@LINUX
def test_freed_memory_is_kept_for_the_next_step() -> None:
    script = """
import resource, torch
from tunewise.training.precision import keep_freed_memory
{}
for _ in range(5):
    torch.ones(4_000_000).sum()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    torch.ones(4_000_000).sum()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    faults = [
        int(subprocess.check_output([sys.executable, "-c", script.format(call)]))
        for call in ("", "keep_freed_memory()")
    ]
    assert faults[1] <= faults[0] / 2


@LINUX
def test_what_was_kept_can_be_given_back() -> None:
    script = """
import torch
from pathlib import Path
from tunewise.training.precision import give_back_memory, keep_freed_memory
def megabytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6
keep_freed_memory()
blocks = [torch.ones(1_000_000) for _ in range(100)]
del blocks
kept = megabytes()
give_back_memory()
print(kept - megabytes())
"""
    assert float(subprocess.check_output([sys.executable, "-c", script])) > 300


def test_elsewhere_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision.sys, "platform", "darwin")
    monkeypatch.setattr(precision.ctypes, "CDLL", None)
    keep_freed_memory()
    give_back_memory()
