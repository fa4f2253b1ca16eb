import json
from pathlib import Path

import numpy as np
import pytest

from small_models import adapter
from tunewise.decision.plan import Measured
from tunewise.evaluation.latency import ServedLatency
from tunewise.exporting.model_card import ship
from tunewise.models.adapters import adapter_hash, check_adapter
from tunewise.models.catalog import LocalModel
from tunewise.project.load import load_project
from tunewise.report.verdict_json import Entry
from tunewise.runs.folder import RunFolder, open_run
from tunewise.statistics.intervals import Interval, NotComputed
from tunewise.types import Fit, Splits

QUALITY = Interval(value=0.8333, low=0.29, high=0.996, p=None, method="Clopper–Pearson")
LATENCY = ServedLatency(p50=1.0, p95=2.0, n=20, cached_tokens=0.0)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "examples.jsonl").write_text("{}\n")
    project = load_project(folder / "examples.jsonl", ["task.instruction=Sort the mail."])
    splits = Splits(train=(), dev=(), test=(), seed=0, fingerprint="f")
    return open_run(project, splits, out=None, resume=False)


def entry(run: RunFolder, adapters: dict[int, Path], *, shipped: int, **more: object) -> Entry:
    fields = {
        "name": "fine_tune",
        "fit": Fit(
            contender="fine_tune",
            settings={"learning_rate": 5e-4, "epochs": 3, "retrieval": {"recall": 0.5}},
            seconds=1.0,
            tokens={"trained": 10},
            dev_answers=dict.fromkeys(adapters, ("a",)),
            artifact={seed: str(folder) for seed, folder in adapters.items()},
        ),
        "trained": True,
        "ceiling": False,
        "shipped_seed": shipped,
        "answers": {},
        "measured": Measured(
            name="fine_tune",
            trained=True,
            scores={seed: np.array([1.0, 0.5, 0.5 * seed]) for seed in adapters},
        ),
        "latency": LATENCY,
        "retrieval": {},
        **more,
    }
    return Entry(**fields)  # type: ignore[arg-type]


@pytest.fixture
def adapters(run: RunFolder, small_llama: LocalModel) -> dict[int, Path]:
    return {
        seed: adapter(small_llama, run.file("training") / f"seed{seed}", seed=seed)
        for seed in (1, 2)
    }


def test_the_seed_chosen_on_dev_is_what_ships_whole(
    run: RunFolder, adapters: dict[int, Path], small_llama: LocalModel
) -> None:
    target = ship(entry(run, adapters, shipped=2), run, run.project, QUALITY)
    assert target == run.path / "models" / "fine_tune"
    assert adapter_hash(target) == adapter_hash(adapters[2]) != adapter_hash(adapters[1])
    check_adapter(target, small_llama)
    assert [path.name for path in target.parent.iterdir()] == ["fine_tune"]


def test_the_card_says_what_it_is_how_good_it_is_and_how_to_ask_it(
    run: RunFolder, adapters: dict[int, Path]
) -> None:
    card = (
        ship(entry(run, adapters, shipped=2), run, run.project, QUALITY) / "README.md"
    ).read_text()
    assert card.startswith('---\nbase_model: "smollm2-135m-instruct"\nlibrary_name: peft\n---\n')
    assert "- Task: Sort the mail.\n" in card
    assert (
        "): 83.3% of 3 examples, 95% interval 29.0–99.6\n- Seed 1: 66.7%\n- Seed 2: 83.3% (ships)\n"
        "- Mean of the 2 seeds: 75.0%\n"
    ) in card
    assert "- Seed that ships: 2, chosen on dev" in card
    assert "- Asked with the input alone, without the instruction\n" in card
    assert "- learning_rate: 0.0005\n- epochs: 3\n" in card
    assert run.id in card
    assert "recall" not in card


def test_a_card_without_an_interval_says_why_and_one_seed_needs_no_mean(
    run: RunFolder, adapters: dict[int, Path]
) -> None:
    alone = entry(run, {1: adapters[1]}, shipped=1)
    quality = NotComputed(value=2 / 3, reason="3 rows, fewer than 20")
    card = (ship(alone, run, run.project, quality) / "README.md").read_text()
    assert "): 66.7% of 3 examples, no interval: 3 rows, fewer than 20\n- Seed 1: 66.7%" in card
    assert "Mean" not in card


def test_the_card_of_a_model_that_wants_passages_says_so(
    run: RunFolder, adapters: dict[int, Path]
) -> None:
    with_passages = entry(run, adapters, shipped=1, retrieval={"recall": 0.5})
    card = (ship(with_passages, run, run.project, QUALITY) / "README.md").read_text()
    assert "- Asked with the input and the passages found for it, without" in card


def test_shipping_again_replaces_what_was_there(run: RunFolder, adapters: dict[int, Path]) -> None:
    first = ship(entry(run, adapters, shipped=1), run, run.project, QUALITY)
    (first / "left-over.json").write_text("{}")
    (run.path / "models" / ".fine_tune.new").mkdir()
    second = ship(entry(run, adapters, shipped=2), run, run.project, QUALITY)
    assert adapter_hash(second) == adapter_hash(adapters[2])
    assert not (second / "left-over.json").exists()
    assert [path.name for path in second.parent.iterdir()] == ["fine_tune"]
    assert json.loads((second / "tunewise-base.json").read_text())["sha256"]
