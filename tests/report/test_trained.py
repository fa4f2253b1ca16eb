import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tunewise.report.trained import curve, render_trained

RESULT: dict[str, Any] = {
    "schema": 1,
    "method": "sft",
    "base": "small-llama",
    "rows": 90,
    "replayed": 0,
    "precision": "bfloat16",
    "recipe": {"learning_rate": 1e-3},
    "model": "models/sft",
    "steps": 2,
    "tokens": 2048,
    "seconds": 61.0,
    "dev": {
        "metric": "accuracy",
        "higher_is_better": True,
        "rows": 35,
        "unit": "row",
        "points": [
            {"epoch": 1, "value": 0.5, "loss": 1.25},
            {"epoch": 2, "value": 0.62, "loss": 0.5},
        ],
        "best_epoch": 2,
    },
}
STEPS = [
    {"event": "step", "step": n, "loss": 2.0 / n, "tokens_per_second": 800.0, "share_of_peak": 0.4}
    for n in (1, 2)
]


def shown(folder: Path, value: float, low: float, high: float, **dev: Any) -> str:
    """What is printed of a training beside one baseline of this value, with this lead."""
    baseline = {
        "name": "always the same answer",
        "value": value,
        "lead": {"delta": 0.62 - value, "low": low, "high": high},
    }
    result = {**RESULT, "dev": {**RESULT["dev"], "baselines": [baseline], **dev}}
    (folder / "training.json").write_text(json.dumps(result))
    (folder / "events.jsonl").write_text("".join(json.dumps(step) + "\n" for step in STEPS))
    out = StringIO()
    render_trained(folder, Console(file=out, width=200))
    return out.getvalue()


def test_values_are_percent_with_the_rows_and_what_has_to_be_beaten(tmp_path: Path) -> None:
    text = shown(tmp_path, 0.45, 0.05, 0.29)
    assert "→ 62.0%" in text
    assert "45.0%" in text
    assert "On 35 rows of dev" in text
    assert "+17.0 points (+5.0 to +29.0) against always the same answer" in text
    assert "chance" not in text
    assert str(tmp_path / "models" / "sft" / "README.md") in text


def test_a_lead_that_may_be_chance_is_called_so(tmp_path: Path) -> None:
    assert "against always the same answer, which may be chance" in shown(tmp_path, 0.6, -0.1, 0.14)


def test_a_model_that_beats_nothing_is_called_useless(tmp_path: Path) -> None:
    assert "NO BETTER than always the same answer" in shown(tmp_path, 0.62, -0.1, 0.1)


def test_perplexities_are_no_percent_and_lower_ones_are_better(tmp_path: Path) -> None:
    points = [{"epoch": 1, "value": 5.7, "loss": 1.25}]
    lower = {"higher_is_better": False, "points": points, "best_epoch": 1, "unit": "passage"}
    baseline = {"name": "the untrained model", "value": 9.02, "lead": None}
    text = shown(tmp_path, 0, 0, 0, **lower, baselines=[baseline])
    assert "→ 5.7" in text
    assert "9.02" in text
    assert "%" not in text.partition("steps,")[0]
    assert "better than the untrained model" in text


@pytest.mark.parametrize(("values", "blocks"), [([3.0, 2.0, 1.0], "█▅▁"), ([1.0], "▁")])
def test_the_curve_runs_from_the_highest_to_the_lowest(values: list[float], blocks: str) -> None:
    assert curve(values) == blocks
