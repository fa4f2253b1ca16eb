"""Run folders as version 0.1.0 wrote them: today's version reads them, and writes the same."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from command_line import tunewise
from decide_projects import (
    decide,
    labelled,
    number_of,
    opened,
    read_json,
    read_jsonl,
    right_when,
    scripted,
    tuned_well,
    write_project,
)
from tunewise.models.catalog import LocalModel
from tunewise.models.engines.protocol import Request
from tunewise.types import Failure

WRITTEN = Path(__file__).parents[1] / "support" / "written_by_0_1"
MORE = """
[training]
rank = 2
epochs = 1
learning_rate = 1e-3
batch_tokens = 4096
seeds = 3
[contenders]
use = ["constant", "zero_shot", "prompt", "few_shot", "rag", "fine_tune"]
[decision]
maximum_latency_ms = 800
[prices]
prompt_tokens = 2
completion_tokens = 10
"""
"""The project of the run."""
TIMES = {"seconds", "latency_ms", "detail", "time", "loss", "precision"}
"""Keys whose values no two runs share, or no two machines: a loss is one of the chip's numbers."""
JUDGED = {"reason", "comparisons", "notes", "economics"}
"""Keys whose values are those of a later rule and its intervals."""
SEARCHED = {"trials", "prefilled", "generated"}
"""Keys whose values are those of a later search."""
ADDED = {
    "maximum_loss", "computed", "finding", "untrained", "regret", "assurance", "leaked", "stopped",
    "first_opinion", "per_1000_low", "per_1000_high", "per_month", "load_seconds",
    "measure", "dependability", "dependability_inputs", "general_suite", "segments",
    "label_noise", "internalised", "curves", "base", "bases", "smallest_base", "best_of_base",
}  # fmt: skip
"""Keys that later versions write, too."""
EVENTS_ADDED = {"forecast", "skipped", "out"}
"""Events that later versions write, too."""
ON_DEV = {"dev", "rows", "out"}
"""What later versions say of a contender that is fitted."""


def answer(request: Request) -> str | Failure:
    """Nearly all right when tuned; a few requests fail where nothing is tuned."""
    if not request.adapter and number_of(request) % 40 == 16:
        return Failure(message="the endpoint answered 503 five times")
    return right_when(tuned_well)(request)


def without_times(value: Any) -> Any:
    """The value with what takes time left out, its keys in their order."""
    if isinstance(value, dict):
        return [
            (k, None if k in TIMES | JUDGED | SEARCHED else without_times(v))
            for k, v in value.items()
            if k not in ADDED
        ]
    if isinstance(value, float):
        return round(value, 12)  # a mean of products is no product of means, by its last digit
    return [without_times(one) for one in value] if isinstance(value, list) else value


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A copy, because a report is written into the folder."""
    return shutil.copytree(WRITTEN, tmp_path / "runs")


def test_the_report_of_a_run_is_shown_again(written: Path) -> None:
    shown = tunewise("report", written / "decide")
    assert (shown.code, shown.err) == (0, "")
    verdict = read_json(written / "decide" / "verdict.json")
    assert verdict["reason"].split(".")[0] in shown.out
    assert "rag did not run: no documents given" in shown.out
    assert (written / "decide" / "report.html").is_file()


def test_what_a_training_came_to_is_shown_again(written: Path) -> None:
    shown = tunewise("report", written / "train")
    assert (shown.code, shown.err) == (0, "")
    assert "accuracy on dev" in shown.out
    assert "4 steps, 1,690 tokens" in shown.out


def test_a_run_of_today_writes_the_same_files_key_by_key(
    tmp_path: Path, small_llama: LocalModel
) -> None:
    opener = opened(scripted(answer), small_llama)
    run = decide(write_project(tmp_path / "desk", labelled(120), MORE), opener=opener)
    before = WRITTEN / "decide"
    for name in ("verdict.json", "plan.json", "places.json"):
        assert without_times(read_json(run / name)) == without_times(read_json(before / name)), name
    for name in ("answers.jsonl", "scores.jsonl", "test.jsonl", "events.jsonl"):
        now = [
            {key: line[key] for key in line if key not in ON_DEV or "event" not in line}
            for line in read_jsonl(run / name)
            if line.get("event") not in EVENTS_ADDED
        ]
        assert without_times(now) == without_times(read_jsonl(before / name))
    text = (run / "verdict.json").read_text("utf-8")
    assert text == json.dumps(json.loads(text), indent=1, ensure_ascii=False) + "\n"
