"""A signal after OpenVINO was opened and closed: the promised message, code and saved steps."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import tunewise
from decide_projects import labelled, read_jsonl, write_project
from places import SUPPORT
from tunewise.models.catalog import LocalModel
from tunewise.models.prepared import cache_folder
from tunewise.training.checkpoint import read_checkpoint
from tunewise.training.state import CHECKPOINTS

SCRIPT = SUPPORT / "struck_commands.py"
CODES = {"SIGINT": 130, "SIGTERM": 143}
MAX_COUNT = 10.0
"""Seconds between the signal and the end."""
TOML = """
[model]
base = "{base}"
engine = "openvino"
[contenders]
use = ["constant", "zero_shot", "few_shot", "fine_tune"]
[training]
epochs = 2
rank = 2
batch_tokens = 128
seeds = 1
"""
# The untrained model is judged before the first step, so that OpenVINO was open in each of these.
TRAIN: list[list[Any]] = [
    *(["steps", n] for n in (1, 2, 3, 4, 5, 6, 7)),
    ["said", "dev: done", 1],
    ["said", "dev ...", 2],
    ["said", "dev: done", 2],
]
DECIDE: list[list[Any]] = [
    ["said", "zero_shot: dev: done", 1],
    ["said", "few_shot: settings: done", 1],
    *(["steps", n] for n in (1, 4, 7)),
    ["said", "fine_tune: dev ...", 1],
    ["said", "fine_tune: dev ...", 2],
    ["answers", "zero_shot", 1],
    ["said", "fine_tune: test", 1],
    ["said", "latency, one request", 1],
]


def signals(first: str, moments: list[list[Any]]) -> list[str]:
    """One a moment, the two in turn."""
    names = list(CODES)
    return [names[(names.index(first) + n) % len(names)] for n in range(len(moments))]


def strike(
    command: str, base: Path | str, cache: Path, folder: Path, first: str, moments: list[list[Any]]
) -> list[dict[str, Any]]:
    """What came of a command that is struck at each of these moments, in a folder each."""
    project = write_project(folder / "project", labelled(60), TOML.format(base=base))
    asked = [
        {
            "words": [command, str(project), "--out", str(folder / str(n))],
            "folder": str(folder / str(n)),
            "log": str(folder / f"{n}.log"),
            "signal": number,
            "when": when,
            "after": 0.02 * n,
        }
        for n, (when, number) in enumerate(zip(moments, signals(first, moments), strict=True))
    ]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), json.dumps(asked)],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(Path(tunewise.__file__).parents[1])]),
            "TUNEWISE_CACHE": str(cache),
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def assert_kept(folder: Path) -> None:
    """Every step that was done lies in a checkpoint, but for one that was under way."""
    for events in folder.glob("**/events.jsonl"):
        steps = [e for e in read_jsonl(events) if e.get("event") == "step"]
        place = events.parent / CHECKPOINTS
        if steps and place.exists():
            found = read_checkpoint(place, usable=lambda s: True, warn=lambda line: None)
            assert found is not None
            assert len(steps) - found.step <= 1


def assert_promised(
    ended: list[dict[str, Any]], moments: list[list[Any]], first: str, folder: Path
) -> None:
    for n, (one, number) in enumerate(zip(ended, signals(first, moments), strict=True)):
        said = "Interrupted." if number == "SIGINT" else "Terminated."
        assert one["struck"], one["said"]
        assert one["code"] == CODES[number], one["said"]
        assert f"{said} The same command with --resume goes on" in one["said"]
        assert "Traceback" not in one["said"]
        assert one["seconds"] <= MAX_COUNT
        assert_kept(folder / str(n))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "moments", "first"), [("train", TRAIN, "SIGINT"), ("decide", DECIDE, "SIGTERM")]
)
def test_ten_of_ten_signals_in_every_stage_end_it_as_promised(
    command: str, moments: list[list[Any]], first: str, small_llama: LocalModel, tmp_path: Path
) -> None:
    base, cache = Path(small_llama.name), small_llama.folder.parents[1]
    ended = strike(command, base, cache, tmp_path, first, moments)
    assert_promised(ended, moments, first, tmp_path)


def test_a_signal_while_training_ends_it_as_promised(
    small_llama: LocalModel, tmp_path: Path
) -> None:
    base, cache = Path(small_llama.name), small_llama.folder.parents[1]
    moments: list[list[Any]] = [["steps", 2]]
    ended = strike("train", base, cache, tmp_path, "SIGTERM", moments)
    assert_promised(ended, moments, "SIGTERM", tmp_path)


@pytest.mark.slow
def test_with_a_real_model_too(starter: LocalModel, tmp_path: Path) -> None:
    moments: list[list[Any]] = [["steps", 2], ["steps", 3]]
    ended = strike("train", starter.name, cache_folder(), tmp_path, "SIGINT", moments)
    assert_promised(ended, moments, "SIGINT", tmp_path)
