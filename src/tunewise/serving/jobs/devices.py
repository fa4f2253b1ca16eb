"""One training at a time on a device: a lock that lives as long as any process that computes there.

The lock is taken by a worker and inherited by its child, and the system frees it when both are
gone: a training that is still ending keeps the next one waiting, whatever the table of jobs says.
"""

import fcntl
import os
import socket
from pathlib import Path

CPU = "cpu"
_NVIDIA = Path("/proc/driver/nvidia/gpus")


def default_device() -> str:
    """`cuda:0` where the driver shows a GPU, else `cpu`; without loading torch."""
    return "cuda:0" if _NVIDIA.is_dir() and any(_NVIDIA.iterdir()) else CPU


def device_environment(device: str) -> dict[str, str]:
    """The variables by which a child sees this device and no other.

    Args:
        device: `cpu`, or `cuda:` and a number.
    """
    kind, _, number = device.partition(":")
    return {"CUDA_VISIBLE_DEVICES": number if kind == "cuda" else ""}


class DeviceLock:
    """The lock of one device of this machine.

    Args:
        folder: where locks lie; made if need be.
        device: its name.
    """

    def __init__(self, folder: Path, device: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{socket.gethostname()}-{device.replace(':', '-')}.lock"
        self._path, self._handle = folder / name, -1

    def acquire(self) -> bool:
        """Whether this process has it now. Does not wait."""
        if self._handle >= 0:
            return True
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        self._handle = handle
        return True

    @property
    def handle(self) -> int:
        """For `pass_fds`: a child that inherits it holds the lock as well."""
        return self._handle

    def release(self) -> None:
        """Lets go of it; children that inherited it hold it on."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
