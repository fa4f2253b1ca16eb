"""A training that is killed at any step goes on with the same bits (reliability)."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tunewise
from killed_trainings import PLACES, STEPS, shapes
from places import SUPPORT
from tunewise.models.catalog import LocalModel

SCRIPT = SUPPORT / "killed_trainings.py"


def run_all(base: LocalModel, out: Path, runs: list[tuple[str, int, str]]) -> list[dict[str, Any]]:
    """What is left of each training: first one that nobody kills, then `runs`."""
    paths = [Path(tunewise.__file__).parents[1], SCRIPT.parents[1], SCRIPT.parent]
    asked = {"model": str(base.folder), "out": str(out), "runs": [("unbroken", 0, ""), *runs]}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), json.dumps(asked)],
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
    return [json.loads(line) for line in done.stdout.splitlines()]


def assert_equal(found: list[dict[str, Any]]) -> None:
    unbroken, *killed = found
    assert unbroken["codes"] == [0]
    assert set(unbroken["files"]) == {
        *("place", "manifest.json"),
        *("weights.safetensors", "optimizer.safetensors", "state.json"),
    }
    for one in killed:
        assert one["codes"] == [-9, 0], one
        assert one["files"] == unbroken["files"], one["name"]


def test_the_training_of_these_tests_shares_beginnings_and_adds_up_batches(
    small_llama: LocalModel,
) -> None:
    batches, shared = shapes(small_llama)
    assert batches >= 2
    assert shared >= 1


def test_killed_at_every_third_step_a_training_ends_with_the_same_bits(
    small_llama: LocalModel, tmp_path: Path
) -> None:
    # Adapter, optimiser, schedule, cursor and seeds are all in the files that are compared.
    runs = [(f"step {n}", n, PLACES[n % len(PLACES)]) for n in range(1, STEPS + 1, 3)]
    assert_equal(run_all(small_llama, tmp_path, runs))


@pytest.mark.slow
def test_killed_at_every_step_a_training_ends_with_the_same_bits(
    small_llama: LocalModel, tmp_path: Path
) -> None:
    runs = [(f"step {n}", n, PLACES[(n + 2) % len(PLACES)]) for n in range(1, STEPS + 1)]
    assert_equal(run_all(small_llama, tmp_path, runs))
