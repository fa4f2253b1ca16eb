"""One process or two under torchrun: the same training."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

import tunewise
from parallel_training import STEPS
from places import SUPPORT
from tunewise.models.catalog import LocalModel
from tunewise.runs.events import EVENTS

SCRIPT = SUPPORT / "parallel_training.py"


def train(
    base: LocalModel, folder: Path, *, processes: int, epochs: int = 2, adapter: str = "lora"
) -> list[float]:
    """The losses of all steps so far."""
    source = Path(tunewise.__file__).parents[1]
    paths = [source, SCRIPT.parents[1], SCRIPT.parent]
    asked = {"model": str(base.folder), "folder": str(folder), "epochs": epochs, "adapter": adapter}
    words = [str(SCRIPT), json.dumps(asked)]
    if processes > 1:
        words = [
            "-m",
            "torch.distributed.run",
            f"--nproc-per-node={processes}",
            *rendezvous(),
            *words,
        ]
    done = subprocess.run(
        [sys.executable, *words],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (folder / EVENTS).read_text().splitlines()]
    return [line["loss"] for line in lines if line["event"] == "step"]


def rendezvous() -> list[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return ["--master-addr=127.0.0.1", f"--master-port={port}"]


def saved(folder: Path) -> dict[str, list[float]]:
    (file,) = (folder / "saved").glob("*model.safetensors")
    return {name: tensor.flatten().tolist() for name, tensor in load_file(file).items()}


@pytest.mark.parametrize("adapter", ["lora", pytest.param("full", marks=pytest.mark.slow)])
def test_two_processes_reach_the_losses_and_weights_of_one(
    adapter: str, small_llama: LocalModel, tmp_path: Path
) -> None:
    one = train(small_llama, tmp_path / "one", processes=1, adapter=adapter)
    two = train(small_llama, tmp_path / "two", processes=2, adapter=adapter)
    assert len(one) == STEPS
    assert two == pytest.approx(one, abs=1e-5)
    a, b = saved(tmp_path / "one"), saved(tmp_path / "two")
    assert a.keys() == b.keys()
    for name, values in a.items():
        assert b[name] == pytest.approx(values, abs=2e-4), name


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1)])
def test_the_checkpoint_of_one_number_of_processes_loads_in_the_other(
    before: int, after: int, small_llama: LocalModel, tmp_path: Path
) -> None:
    unbroken = train(small_llama, tmp_path / "unbroken", processes=1)
    train(small_llama, tmp_path / "broken", processes=before, epochs=1)
    resumed = train(small_llama, tmp_path / "broken", processes=after)
    assert len(resumed) == STEPS
    assert resumed == pytest.approx(unbroken, abs=1e-5)
