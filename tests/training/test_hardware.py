import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tunewise.training import hardware
from tunewise.training.hardware import (
    available,
    fastest_precision,
    give_back_memory,
    keep_freed_memory,
)


@pytest.fixture(autouse=True)
def measured_anew() -> Iterator[None]:
    """What was measured here is no other test's, and the other way round."""
    fastest_precision.cache_clear()
    yield
    fastest_precision.cache_clear()


def clocked(monkeypatch: pytest.MonkeyPatch, *, wide: float, narrow: float) -> None:
    """A clock on which float32 products take `wide` seconds and bfloat16 ones `narrow`."""
    now = 0.0
    # The warm-up looks at the clock once a product, the six rounds after it before and after.
    steps = iter([0.0, 0.0, *[0.0, wide, 0.0, narrow] * 6])

    def clock() -> float:
        nonlocal now
        now += next(steps)
        return now

    monkeypatch.setattr(hardware.time, "process_time", clock)


def test_bfloat16_is_taken_where_it_is_clearly_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    clocked(monkeypatch, wide=0.004, narrow=0.001)
    assert fastest_precision() == "bfloat16"
    clocked(monkeypatch, wide=0.001, narrow=0.004)
    assert fastest_precision() == "bfloat16", "every training of a process takes the same"


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
from tunewise.training.hardware import give_back_memory, keep_freed_memory

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
    monkeypatch.setattr(hardware.sys, "platform", "darwin")
    monkeypatch.setattr(hardware.ctypes, "CDLL", None)
    keep_freed_memory()
    give_back_memory()


MIB = 1 << 20


def machine(root: Path, *, groups: str, free_mib: int = 8192) -> dict[str, Path]:
    """A process file system, and a folder for control groups beside it."""
    (root / "proc" / "self").mkdir(parents=True)
    (root / "proc" / "meminfo").write_text(f"MemTotal: 99 kB\nMemAvailable: {free_mib * 1024} kB\n")
    (root / "proc" / "self" / "cgroup").write_text(groups)
    (root / "cgroup").mkdir()
    return {"proc": root / "proc", "groups": root / "cgroup"}


def group(folder: Path, names: tuple[str, str], limit: str, used_mib: int, stat: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names[0]).write_text(limit)
    (folder / names[1]).write_text(str(used_mib * MIB))
    (folder / "memory.stat").write_text(f"anon 5\n{stat} {100 * MIB}\n")


V2 = ("memory.max", "memory.current")
V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes")


def test_without_limits_what_the_machine_has_is_free(tmp_path: Path) -> None:
    places = machine(tmp_path, groups="0::/\n")
    assert available("cpu", **places) == 8192 * MIB


@pytest.mark.parametrize("where", ["app/job", "app", ""])  # its own group, the one above, the root
def test_a_group_limits_what_is_free(where: str, tmp_path: Path) -> None:
    places = machine(tmp_path, groups="0::/app/job\n")
    group(places["groups"] / "app" / "job", V2, "max\n", 10, "inactive_file")
    group(places["groups"] / where, V2, f"{2048 * MIB}\n", 500, "inactive_file")
    assert available("cpu", **places) == (2048 - 500 + 100) * MIB


def test_a_group_of_the_first_version_limits_what_is_free(tmp_path: Path) -> None:
    places = machine(tmp_path, groups="5:cpu,cpuacct:/x\n4:memory:/outer/x\n")
    group(places["groups"] / "memory", V1, str(1024 * MIB), 300, "total_inactive_file")
    assert available("cpu", **places) == (1024 - 300 + 100) * MIB


def test_a_limit_above_what_is_free_changes_nothing(tmp_path: Path) -> None:
    places = machine(tmp_path, groups="4:memory:/\n", free_mib=512)
    group(places["groups"] / "memory", V1, str(2**63 - 4096), 300, "total_inactive_file")
    assert available("cpu", **places) == 512 * MIB


def test_another_system_tells_what_the_machine_has_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 1000}
    monkeypatch.setattr(os, "sysconf", sizes.__getitem__)
    assert available("cpu", proc=tmp_path) == 4_096_000
    monkeypatch.delattr(os, "sysconf")
    assert available("cpu", proc=tmp_path) is None
