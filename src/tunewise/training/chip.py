"""What the chips of this machine say of themselves, without the libraries that compute on them."""

import ctypes
import sys
from pathlib import Path

_GAINS = {"amx_bf16": 8.0, "avx512_bf16": 2.3}
"""Flag of a processor -> how many times faster it multiplies bfloat16 than float32, about. What a
training takes is measured when it begins (`hardware.fastest_precision`)."""
_DRIVERS = {"linux": "libcuda.so.1", "win32": "nvcuda.dll"}


def bfloat16_gain(table: Path = Path("/proc/cpuinfo")) -> float:
    """How many times faster the processor multiplies bfloat16 than float32; 1 where it does not.

    Args:
        table: where Linux describes the processor; without it the answer is 1.
    """
    try:
        lines = table.read_text("ascii", errors="replace").splitlines()
    except OSError:
        return 1.0
    flags = next((line for line in lines if line.startswith("flags")), "").split()
    return max((gain for flag, gain in _GAINS.items() if flag in flags), default=1.0)


def has_gpu() -> bool:
    """Whether torch would compute on a CUDA device; it is asked only where there is a driver."""
    driver = _DRIVERS.get(sys.platform)
    if driver is None:
        return False
    try:
        ctypes.CDLL(driver)
    except OSError:
        return False
    import torch  # noqa: PLC0415 - seconds, which machines without a driver are spared

    return torch.cuda.is_available()
