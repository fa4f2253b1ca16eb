import os
from pathlib import Path

import pytest

from tunewise.training.free_memory import available

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
