"""Chooses the number format of matrix products on this machine, and keeps its memory steady.

Knows nothing of models.
"""

import ctypes
import gc
import sys
import time
from typing import Any, Literal

import torch

Precision = Literal["float32", "bfloat16"]
BFLOAT16_MUST_GAIN = 1.5
"""bfloat16 is taken on a CPU only when its products are this many times faster."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


def fastest_precision(device: str = "cpu") -> Precision:
    """The format to train in: measured on a CPU (a quarter of a second), bfloat16 on CUDA.

    Some chips multiply bfloat16 four times faster than float32, others emulate it at half the
    speed. Weights, optimiser and loss stay in float32 either way.
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
