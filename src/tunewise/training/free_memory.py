"""How much memory a process may still take, within what the machine and its control groups leave.

Knows nothing of what it is for.
"""

import os
from pathlib import Path

import torch


def available(
    device: str, *, proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")
) -> int | None:
    """Bytes that a training may still take here; None where the system does not tell.

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
