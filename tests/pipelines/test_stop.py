"""SIGTERM to `tunewise train`: the state is safe, exit code 143, within ten seconds."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import small_models
from decide_projects import labelled, write_project
from tunewise.models.stored import adapter_hash
from tunewise.training.checkpoint import read_checkpoint
from tunewise.training.state import CHECKPOINTS

MAIN = "from tunewise.cli import main; main()"
SLOW_DISK = """
import os, time
fsync = os.fsync
os.fsync = lambda file: (time.sleep(0.02), fsync(file))
"""
"""Before MAIN: every save takes long enough to be hit."""
MAX_COUNT = 10.0
"""Seconds between the signal and the end."""
TOML = """
[model]
base = "{model}"
engine = "transformers"
[training]
epochs = 3
rank = 4
batch_tokens = 128
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    model = small_models.build(folder / "hub" / "small-mistral", family="mistral")
    write_project(folder, labelled(120), TOML.format(model=model))
    return folder


@dataclass(frozen=True)
class Ended:
    code: int
    seconds: float
    """Between the signal and the end."""
    err: str


Moment = Callable[[Path, str], bool]


def run(
    project: Path,
    out: Path,
    *,
    when: Moment | None = None,
    resume: bool = False,
    before: str = "",
) -> Ended:
    """Runs train, and sends SIGTERM once `when` holds of the folder and what was said."""
    log = out.with_name(f"{out.name}.err")
    words = [sys.executable, "-c", before + MAIN, "train", str(project), "--out", str(out)]
    words += ["--resume"] if resume else []
    with log.open("w") as err:
        process = subprocess.Popen(
            words,
            env={
                **os.environ,
                "TUNEWISE_CACHE": str(project / "cache"),
                "OMP_NUM_THREADS": "1",
                "HF_HUB_OFFLINE": "1",
            },
            stdout=subprocess.DEVNULL,
            stderr=err,
        )
        try:
            while process.poll() is None and not (when and when(out, log.read_text())):
                time.sleep(0.002)
            told = time.monotonic()
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(timeout=120)
            return Ended(process.returncode, time.monotonic() - told, log.read_text())
        finally:
            process.kill()
            process.wait()


def steps(out: Path) -> int:
    file = out / "events.jsonl"
    return file.read_bytes().count(b'"event": "step"') if file.exists() else 0


MOMENTS: dict[str, Callable[[int], Moment]] = {
    "load": lambda n: lambda out, said: "to epoch 1" in said or (n > 2 and out.exists()),
    "train": lambda n: lambda out, said: steps(out) >= 1 + 5 * n,
    "evaluate": lambda n: lambda out, said: said.count("dev ...") > n % 3,
    "save": lambda n: (
        lambda out, said: steps(out) > 5 * n and any(out.glob(f"{CHECKPOINTS}/.step-*.new"))
    ),
}


@pytest.fixture(scope="module")
def unbroken(project: Path) -> str:
    out = project / "unbroken"
    assert run(project, out).code == 0
    return adapter_hash(out / "models" / "sft")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("phase", "number"), [("load", 0), ("train", 2), ("evaluate", 1), ("save", 1)]
)
def test_sigterm_ends_a_training_safely_in_every_phase(
    phase: str, number: int, project: Path, tmp_path: Path, unbroken: str
) -> None:
    out = tmp_path / "run"
    before = SLOW_DISK if phase == "save" else ""
    ended = run(project, out, when=MOMENTS[phase](number), before=before)
    assert ended.code == 143, ended.err
    assert ended.seconds <= MAX_COUNT
    assert "Terminated. The same command with --resume goes on" in ended.err
    assert "Traceback" not in ended.err
    warnings: list[str] = []
    found = read_checkpoint(out / CHECKPOINTS, usable=lambda s: True, warn=warnings.append)
    assert warnings == []
    # A signal in the middle of an update costs that step, and no other.
    assert steps(out) - (found.step if found else 0) <= 1
    resumed = run(project, out, resume=True)
    assert resumed.code == 0, resumed.err
    assert adapter_hash(out / "models" / "sft") == unbroken
    epochs = json.loads((out / "training.json").read_text())["dev"]["points"]
    assert [point["epoch"] for point in epochs] == [1, 2, 3]
