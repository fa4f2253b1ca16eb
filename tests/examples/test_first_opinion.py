"""The smallest example comes to a first opinion with the starter model, as a newcomer types it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from decide_projects import contract_faults, read_json
from tunewise.models.catalog import LocalModel
from tunewise.project.examples import copy_example, examples


@pytest.mark.slow
def test_the_smallest_example_has_a_first_opinion(starter: LocalModel, tmp_path: Path) -> None:
    smallest = min(examples(), key=lambda one: one.rows)
    folder = copy_example(smallest.name, tmp_path / "mine").folder
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tunewise", "decide", str(folder), "--quick"),
            *("--set", "training.epochs=1"),  # "auto" takes minutes more
        ],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "First opinion: " in done.stdout
    (run,) = (folder / "runs" / "quick").iterdir()
    verdict = read_json(run / "verdict.json")
    assert contract_faults(verdict) == []
    assert verdict["first_opinion"] is True
    assert verdict["n_test"] >= 40
    measured = {one["name"]: one for one in verdict["contenders"] if "quality" in one}
    assert measured["constant"]["quality"]["value"] > 0.0
    assert {"zero_shot", "few_shot", "fine_tune"} <= {one["name"] for one in verdict["contenders"]}
    assert (run / "report.html").is_file()
    assert not (folder / "runs" / "test-uses.jsonl").exists()
