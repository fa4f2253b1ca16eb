"""What this machine is good for: its number format for matrix products, and its memory."""

import ctypes
import functools
import gc
import os
import sys
import time
from pathlib import Path
from typing import Any, Literal

import torch

Precision = Literal["float32", "bfloat16"]
BFLOAT16_MUST_GAIN = 1.5
"""bfloat16 is taken on a CPU only when its products are this many times faster."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


@functools.cache
def fastest_precision(device: str = "cpu") -> Precision:
    """The format to train in: measured on a CPU (up to a second), bfloat16 on CUDA.

    Some chips multiply bfloat16 four times faster than float32, others emulate it at half the
    speed. Measured once, so that all seeds of a run train in one format. Weights, optimiser and
    loss stay in float32 either way.
    """
    if device.startswith("cuda"):
        return "bfloat16"
    wide = {dtype: torch.ones(512, 1536, dtype=dtype) for dtype in (torch.float32, torch.bfloat16)}
    seconds: dict[torch.dtype, list[float]] = {dtype: [] for dtype in wide}
    for turn in range(7):
        for dtype, matrix in wide.items():
            # Processor time: on a busy machine a clock on the wall measures the other work, and
            # the same training would take one format today and the other tomorrow.
            started = time.process_time()
            _ = matrix @ matrix.T
            if turn:  # the first is a warm-up
                seconds[dtype].append(time.process_time() - started)
    gain = min(seconds[torch.float32]) / min(seconds[torch.bfloat16])
    return "bfloat16" if gain >= BFLOAT16_MUST_GAIN else "float32"


def keep_freed_memory() -> None:
    """Tells glibc to keep what is freed: a step then reuses the pages of the step before it.

    Without it every large tensor is given back and faulted in again, which can cost more than the
    arithmetic. Does nothing on other systems.
    """
    mallopt = _libc("mallopt")
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        mallopt(_M_TRIM_THRESHOLD, -1)  # never


def give_back_memory() -> None:
    """Returns to the system what `keep_freed_memory` kept and nothing uses any more."""
    gc.collect()
    trim = _libc("malloc_trim")
    if trim is not None:
        trim(0)


def _libc(name: str) -> Any:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None


def available(
    device: str, *, proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")
) -> int | None:
    """Bytes that a training may still take here; None where the system gives no figure.

    On Linux what is free or can be freed, within the limits of the control groups (versions 1 and
    2) that this process is in; on CUDA what the device has free; elsewhere the machine's memory.

    Args:
        device: torch device.
        proc: where the process file system lies.
        groups: where the control groups lie.
    """
    if device.startswith("cuda"):
        free, _ = torch.cuda.mem_get_info(device)
        return free
    table = proc / "meminfo"
    if table.is_file():
        facts = dict(line.split(":", 1) for line in table.read_text("ascii").splitlines() if line)
        free = 1024 * int(facts["MemAvailable"].split()[0])
        return min([free, *_left_in_groups(proc / "self" / "cgroup", groups)])
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # Windows has none of it
        return None


def _left_in_groups(table: Path, groups: Path) -> list[int]:
    """Bytes left in each control group with a limit that the process is in."""
    left: list[int] = []
    lines = table.read_text("utf-8").splitlines() if table.is_file() else []
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0":
            root, names = groups, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            root = groups / "memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        # Inside a container the path is that of the world outside, and the limit is at the root.
        place = root / path.lstrip("/")
        for folder in [place, *place.parents]:
            if folder.is_relative_to(root):
                left += _left(folder, *names)
    return left


def _left(folder: Path, limit: str, used: str, cache: str) -> list[int]:
    """Bytes left in one control group, if it has a limit; cached files can go."""
    try:
        most = (folder / limit).read_text("ascii").strip()
        if most == "max":
            return []
        taken = int((folder / used).read_text("ascii"))
        facts = [line.split() for line in (folder / "memory.stat").read_text("ascii").splitlines()]
    except (OSError, ValueError):
        return []
    freeable = sum(int(fact[1]) for fact in facts if fact[0] == cache)
    return [max(0, int(most) - taken + freeable)]
