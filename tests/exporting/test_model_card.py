"""A card says what a model is, how good it was, and what it cost and forgot."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from small_models import adapter
from tunewise.exporting.model_card import model_card, ship
from tunewise.models.adapters import check_adapter
from tunewise.models.catalog import LocalModel
from tunewise.models.stored import adapter_hash
from tunewise.project.load import load_project
from tunewise.runs.folder import RunFolder, open_run
from tunewise.runs.model_file import BaseUsed, EndpointUsed, ModelFile, Origin, Said, TaskJudged
from tunewise.runs.schema import ContenderResult, Cost, Latency, Quality, Tokens
from tunewise.types import Splits

QUALITY = Quality(value=0.8333, low=0.29, high=0.996, method="Clopper–Pearson")
TUNED = ModelFile(
    contender="fine_tune",
    kind="fine_tune",
    base=BaseUsed(name="smollm2-135m-instruct", sha256="ab", licence="apache-2.0"),
    settings={"learning_rate": 5e-4, "epochs": 3},
    seed=2,
    task=TaskJudged(kind="classification", metric="accuracy", instruction="Sort the mail."),
    origin=Origin(project="shop", run="20261101-1", token="t", data="f1"),
    measured=ContenderResult(
        name="fine_tune",
        quality=QUALITY,
        by_seed={1: 0.6667, 2: 0.8333},
        trained=True,
        tokens=Tokens(prompt=46.1, completion=11.9),
        latency=Latency(p50=140, n=20),
        cost=Cost(per_1000_requests=0.02, currency="USD"),
    ),
    verdict=Said(
        outcome="fine_tune",
        recommended="fine_tune",
        finding="fine_tune",
        reason="Fine-tune: it is worth it.",
        metric="accuracy",
        n_test=3,
    ),
)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "examples.jsonl").write_text("{}\n")
    project = load_project(folder / "examples.jsonl", ["task.instruction=Sort the mail."])
    splits = Splits(train=(), dev=(), test=(), seed=0, fingerprint="f")
    return open_run(project, splits, out=None, resume=False)


@pytest.fixture
def adapters(run: RunFolder, small_llama: LocalModel) -> dict[int, Path]:
    return {
        seed: adapter(small_llama, run.file("training") / f"seed{seed}", seed=seed)
        for seed in (1, 2)
    }


def card(**changes: Any) -> str:
    return model_card(replace(TUNED, **changes), "triage@3")


def test_the_adapter_ships_whole(
    run: RunFolder, adapters: dict[int, Path], small_llama: LocalModel
) -> None:
    target = ship(TUNED, adapters[2], run)
    assert target == run.path / "models" / "fine_tune"
    assert adapter_hash(target) == adapter_hash(adapters[2]) != adapter_hash(adapters[1])
    check_adapter(target, small_llama)
    assert [path.name for path in target.parent.iterdir()] == ["fine_tune"]
    assert "# fine_tune\n" in (target / "README.md").read_text()


def test_shipping_again_replaces_what_was_there(run: RunFolder, adapters: dict[int, Path]) -> None:
    first = ship(TUNED, adapters[1], run)
    (first / "left-over.json").write_text("{}")
    (run.path / "models" / ".fine_tune.new").mkdir()
    second = ship(TUNED, adapters[2], run)
    assert adapter_hash(second) == adapter_hash(adapters[2])
    assert not (second / "left-over.json").exists()
    assert [path.name for path in second.parent.iterdir()] == ["fine_tune"]
    assert json.loads((second / "tunewise-base.json").read_text())["sha256"]


def test_the_front_matter_is_the_hubs() -> None:
    front = ModelCard(card()).data
    assert front.base_model == "smollm2-135m-instruct"
    assert front.library_name == "peft"
    assert front.license == "apache-2.0"
    assert front.pipeline_tag == "text-classification"
    (result,) = front.eval_results or []
    assert (result.metric_type, result.metric_value) == ("accuracy", 0.8333)
    assert result.metric_args == {"low": 0.29, "high": 0.996, "method": "Clopper–Pearson"}
    assert result.dataset_name == "shop, sealed test split"


def test_the_text_says_how_good_it_is_what_it_takes_and_how_to_ask_it() -> None:
    text = ModelCard(card()).text
    assert "An adapter for `smollm2-135m-instruct`, made by Tunewise in run `20261101-1`" in text
    assert "- Task: Sort the mail.\n" in text
    assert (
        "(accuracy): 83.3% of 3 examples, 95% interval 29.0–99.6\n- Seed 1: 66.7%\n"
        "- Seed 2: 83.3% (ships)\n- Mean of the 2 seeds: 75.0%\n"
    ) in text
    assert "- Seed that ships: 2, chosen on dev" in text
    assert "- Asked with the input alone, without the instruction\n" in text
    assert "- A request takes 46 tokens of prompt and 12 of answer\n" in text
    assert "- Latency: 140 ms at the median of 20\n" in text
    assert "- Cost: 0.020 USD for 1,000 requests\n" in text
    assert "- Licence: apache-2.0, that of `smollm2-135m-instruct`" in text
    assert "- Data: fingerprint `f1`\n" in text
    assert "- learning_rate: 0.0005\n- epochs: 3\n" in text
    assert text.endswith("The verdict of the run: Fine-tune: it is worth it.\n")


def test_without_an_interval_the_card_says_why_and_one_seed_needs_no_mean() -> None:
    measured = replace(
        TUNED.measured,  # type: ignore[type-var]
        quality=Quality(value=2 / 3, method="3 rows, fewer than 20"),
        by_seed={1: 2 / 3},
    )
    text = card(measured=measured, seed=1)
    assert "66.7% of 3 examples, no interval: 3 rows, fewer than 20\n- Seed 1: 66.7%" in text
    assert "Mean" not in text


def test_a_model_that_wants_passages_says_so() -> None:
    text = card(kind="fine_tune_rag", settings={"k": 2, "chunk_words": 60, "search": "bm25"})
    assert "- Asked with the input and the passages found for it, without" in text


def test_a_first_opinion_is_said_to_be_judged_on_dev() -> None:
    text = card(verdict=replace(TUNED.verdict, first_opinion=True))  # type: ignore[type-var]
    assert "- Quality on the dev split (accuracy)" in text


def test_models_without_training_and_without_a_base_are_told_apart() -> None:
    prompt = card(kind="prompt", settings={"variant": "role", "system": "Sort."})
    assert "`prompt`, the model with a reworded instruction: `smollm2-135m-instruct`" in prompt
    assert "library_name: tunewise" in prompt
    constant = card(kind="constant", base=None, settings={"answer": "refund"})
    assert "base_model" not in constant
    assert "no language model is" in constant
    assert "- Licence: yours" in constant
    endpoint = EndpointUsed(name="big", model="gpt", base_url="http://x/v1")
    hosted = card(kind="few_shot", base=None, endpoint=endpoint, settings={"k": 2})
    assert "`gpt` at http://x/v1" in hosted


def test_a_model_that_was_never_judged_claims_nothing() -> None:
    text = card(measured=None, verdict=None)
    assert "Quality" not in text
    assert ModelCard(text).data.eval_results is None
