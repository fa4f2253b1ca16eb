import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import tunewise
from places import SUPPORT
from tunewise.errors import UserError
from tunewise.training.checkpoint import (
    KEPT,
    MANIFEST,
    Checkpoint,
    read_checkpoint,
    write_checkpoint,
)

PROCESS = SUPPORT / "checkpoint_process.py"
RENAMES, SYNCS = 1, 6
"""System calls of one checkpoint."""


def checkpoint(step: int) -> Checkpoint:
    tensors = {name: {"a": torch.full((64,), float(step))} for name in ("weights", "optimizer")}
    return Checkpoint(step=step, state={"losses": [0.5] * step}, tensors=tensors)


def newest(folder: Path) -> tuple[int, list[str]]:
    """Step of the checkpoint that a resume would take, and the warnings."""
    warnings: list[str] = []
    found = read_checkpoint(folder, usable=lambda state: True, warn=warnings.append)
    if found is None:
        return 0, warnings
    assert found.state == {"losses": [0.5] * found.step}
    assert set(found.tensors) == {"weights", "optimizer"}
    for tensors in found.tensors.values():
        assert torch.equal(tensors["a"], torch.full_like(tensors["a"], float(found.step)))
    return found.step, warnings


def test_the_newest_of_the_last_two_is_read(tmp_path: Path) -> None:
    for step in (9, 10, 11, 200):
        write_checkpoint(tmp_path, checkpoint(step))
    assert newest(tmp_path) == (200, [])
    assert sorted(place.name for place in tmp_path.iterdir()) == ["step-00000011", "step-00000200"]
    assert KEPT == 2


def test_a_checkpoint_of_another_training_is_passed_over(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, checkpoint(1))
    write_checkpoint(tmp_path, checkpoint(2))
    found = read_checkpoint(
        tmp_path, usable=lambda state: len(state["losses"]) == 1, warn=lambda line: None
    )
    assert found is not None
    assert found.step == 1


def test_nothing_there_is_nothing_to_go_on_from(tmp_path: Path) -> None:
    assert newest(tmp_path / "nowhere") == (0, [])


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def write(text: str) -> Callable[[Path], object]:
    return lambda file: file.write_text(text)


DAMAGES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "a flipped byte in the weights": ("weights.safetensors", flip, "not what was written"),
    "a flipped byte in the optimiser": ("optimizer.safetensors", flip, "not what was written"),
    "a flipped byte in the state": ("state.json", flip, "not what was written"),
    "truncated weights": ("weights.safetensors", truncate, "not what was written"),
    "empty weights": ("weights.safetensors", write(""), "not what was written"),
    "missing weights": ("weights.safetensors", Path.unlink, "weights.safetensors is missing"),
    "a missing state": ("state.json", Path.unlink, "state.json is missing"),
    "a missing manifest": (MANIFEST, Path.unlink, "manifest.json is missing"),
    "an empty manifest": (MANIFEST, write(""), "its manifest cannot be read"),
    "a manifest of nothing": (MANIFEST, write('{"files": {}}'), "its manifest is empty"),
    "a manifest that is a list": (MANIFEST, write("[]"), "its manifest cannot be read"),
    "a truncated manifest": (MANIFEST, truncate, "its manifest cannot be read"),
}


@pytest.mark.parametrize(("name", "damage", "said"), DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_checkpoint_is_passed_over_with_a_warning(
    name: str, damage: Callable[[Path], object], said: str, tmp_path: Path
) -> None:
    write_checkpoint(tmp_path, checkpoint(1))
    damage(write_checkpoint(tmp_path, checkpoint(2)) / name)
    step, (warning,) = newest(tmp_path)
    assert step == 1
    assert "step-00000002" in warning
    assert said in warning
    write_checkpoint(tmp_path, checkpoint(2))
    assert newest(tmp_path) == (2, [])


def test_a_half_made_folder_of_a_killed_process_is_no_checkpoint(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, checkpoint(1))
    shutil.copytree(tmp_path / "step-00000001", tmp_path / ".step-00000002.new")
    assert newest(tmp_path) == (1, [])
    write_checkpoint(tmp_path, checkpoint(2))
    assert newest(tmp_path) == (2, [])


def test_the_manifest_names_every_file(tmp_path: Path) -> None:
    place = write_checkpoint(tmp_path, checkpoint(1))
    files = json.loads((place / MANIFEST).read_text())["files"]
    assert {*files, MANIFEST} == {file.name for file in place.iterdir()}
    assert all(len(sha256) == 64 for sha256 in files.values())


def process(
    folder: Path, first: int, *before: str, size: int = 64, killed_at: str = ""
) -> subprocess.CompletedProcess[str]:
    """Writes checkpoints `first` and the one after it in a process of its own."""
    words = [sys.executable, str(PROCESS), str(folder), str(first), "2", str(size)]
    source = str(Path(tunewise.__file__).parents[1])
    return subprocess.run(
        [*before, *words],
        env={
            **os.environ,
            "PYTHONPATH": source,
            "OMP_NUM_THREADS": "1",
            "KILLED_AT": killed_at,
        },
        capture_output=True,
        text=True,
        check=False,
    )


def traced(folder: Path, inject: str) -> subprocess.CompletedProcess[str]:
    # With seccomp-bpf only these calls stop the process, which is quicker; but some kernels then
    # deliver no signals.
    quick = [] if "signal" in inject else ["--seccomp-bpf"]
    log = str(folder.with_name("strace.log"))
    words = ["strace", "-f", *quick, "-o", log, "-e", "trace=rename,fsync", "-e", inject]
    return process(folder, 3, *words)


@functools.cache
def signals_are_injected() -> bool:
    """Whether strace kills a process at a call here: not every sandbox lets it."""
    if shutil.which("strace") is None:
        return False
    call = "import os; os.fsync(os.open('.', os.O_RDONLY))"
    words = ["strace", "-f", "-o", os.devnull, "-e", "inject=fsync:signal=SIGKILL"]
    return subprocess.run([*words, sys.executable, "-c", call], check=False).returncode != 0


def needs(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")


def two_there(folder: Path) -> Path:
    write_checkpoint(folder, checkpoint(1))
    write_checkpoint(folder, checkpoint(2))
    return folder


CALLS = [
    *(("rename", when) for when in range(1, 2 * RENAMES + 1)),
    *(("fsync", when) for when in range(1, 2 * SYNCS + 1)),
]
"""Every call that makes something last, of two checkpoints."""


def assert_one_lost_at_most(folder: Path, call: str, when: int) -> None:
    """After two checkpoints and two more that were broken off at a call."""
    begun = 3 + (when - 1) // (RENAMES if call == "rename" else SYNCS)
    step, warnings = newest(folder)
    # The last sync, of the folder around it, comes when the new one stands in its place already.
    assert step in (begun - 1, begun)
    assert warnings == []
    write_checkpoint(folder, checkpoint(step + 1))
    assert newest(folder) == (step + 1, [])


@pytest.mark.slow
@pytest.mark.parametrize(("call", "when"), CALLS)
def test_a_kill_at_any_file_operation_costs_one_checkpoint_at_most(
    call: str, when: int, tmp_path: Path
) -> None:
    folder = two_there(tmp_path / "checkpoints")
    if signals_are_injected():  # in the call itself, or else just before it
        done = traced(folder, f"inject={call}:signal=SIGKILL:when={when}")
    else:
        done = process(folder, 3, killed_at=f"{call}:{when}")
    assert done.returncode != 0, "nothing was injected"
    assert_one_lost_at_most(folder, call, when)


@pytest.mark.slow
@pytest.mark.parametrize(("call", "when"), CALLS)
def test_a_failure_of_any_system_call_costs_one_checkpoint_at_most(
    call: str, when: int, tmp_path: Path
) -> None:
    needs("strace")
    folder = two_there(tmp_path / "checkpoints")
    done = traced(folder, f"inject={call}:error=EIO:when={when}")
    assert done.returncode == 1, "nothing was injected"
    assert "cannot be written" in done.stderr
    assert "--resume" in done.stderr
    assert "Traceback" not in done.stderr
    assert_one_lost_at_most(folder, call, when)


@pytest.mark.slow
def test_the_system_calls_of_a_checkpoint_are_as_many_as_these_tests_break(tmp_path: Path) -> None:
    needs("strace")
    folder = two_there(tmp_path / "checkpoints")
    assert traced(folder, "inject=rename:signal=SIGKILL:when=999").returncode == 0
    log = (tmp_path / "strace.log").read_text()
    own = [line for line in log.splitlines() if "fsync(" in line or "step-" in line]
    assert sum("rename(" in line for line in own) == 2 * RENAMES
    assert sum("fsync(" in line for line in own) == 2 * SYNCS


def test_a_full_disk_leaves_the_checkpoints_and_says_what_to_do(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    inside = (
        f"mount -t tmpfs -o size=4m tmpfs {folder} && "
        f"{sys.executable} {PROCESS} {folder}/c 1 2 1000 && "
        f"{sys.executable} {PROCESS} {folder}/c 3 1 700000; echo code $?; "
        f"cp -r {folder}/c {tmp_path}/left; du -sk {folder}/c"
    )
    needs("unshare")
    source = str(Path(tunewise.__file__).parents[1])
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", inside],
        env={**os.environ, "PYTHONPATH": source, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if "code" not in done.stdout or "mount" in done.stderr:
        pytest.skip(f"no small disk can be made here: {done.stderr.strip()}")
    assert "code 1" in done.stdout
    assert "No space left on device. The checkpoint step-00000002 stays." in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(place.name for place in (tmp_path / "left").iterdir()) == [
        "step-00000001",
        "step-00000002",
    ]
    assert newest(tmp_path / "left")[0] == 2


def test_a_folder_that_cannot_be_written_to_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"cannot be written: .* There is no earlier one"):
        write_checkpoint(tmp_path / "file" / "checkpoints", checkpoint(1))


def test_a_read_only_folder_is_one_clear_error(tmp_path: Path) -> None:
    needs("unshare")
    folder = two_there(tmp_path / "checkpoints")
    inside = (
        f"mount --bind {folder} {folder} && mount -o remount,ro,bind {folder} && "
        f"{sys.executable} {PROCESS} {folder} 3 1 64; echo code $?"
    )
    source = str(Path(tunewise.__file__).parents[1])
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", inside],
        env={**os.environ, "PYTHONPATH": source, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if "mount" in done.stderr:
        pytest.skip(f"no read-only mount can be made here: {done.stderr.strip()}")
    assert "code 1" in done.stdout
    assert "Read-only file system. The checkpoint step-00000002 stays." in done.stderr
    assert newest(folder) == (2, [])
