import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import peft
import peft.utils.save_and_load
import pytest
import torch
from safetensors.torch import load_file

from small_models import user
from small_trainings import PAIRS, RECIPE, rows_of
from tunewise.chat.tokenize import Span
from tunewise.errors import UserError
from tunewise.models import loading
from tunewise.models.adapters import attach_adapter, check_adapter
from tunewise.models.catalog import LocalModel
from tunewise.models.engines.protocol import Request, Sampling
from tunewise.models.engines.transformers import TransformersEngine
from tunewise.runs.events import EVENTS
from tunewise.training.loop import Training
from tunewise.training.objectives import Sft, Totals, totals_of
from tunewise.training.packing import Batch, micro_batches
from tunewise.training.rows import Row
from tunewise.training.state import CHECKPOINTS
from tunewise.types import Generation


@pytest.fixture(scope="module")
def rows(small_llama: LocalModel) -> list[Row]:
    return rows_of(small_llama, times=4)


def weights(training: Training, folder: Path) -> dict[str, torch.Tensor]:
    training.save(folder)
    return load_file(folder / "adapter_model.safetensors")


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_an_adapter_learns_its_rows_and_to_stop_after_them(
    small_llama: LocalModel, rows: list[Row], tmp_path: Path
) -> None:
    training = Training(small_llama, rows, replace(RECIPE, epochs=30), tmp_path / "work")
    losses = [training.run_epoch().loss for _ in range(30)]
    assert losses[-1] < 0.05 < 3 < losses[0]
    training.save(tmp_path / "adapter")
    engine = TransformersEngine(small_llama, device="cpu")
    made = engine.generate(
        [
            Request(
                messages=user(text),
                adapter=tmp_path / "adapter",
                sampling=Sampling(max_tokens=12),
            )
            for text, _ in PAIRS[:6]
        ]
    )
    assert [(one.text, one.finish_reason) for one in made if isinstance(one, Generation)] == [
        (target, "stop") for _, target in PAIRS[:6]
    ]


RESUMED: dict[str, dict[str, Any]] = {
    "lora": {},
    "with dropout": {"dropout": 0.1},
    "rslora": {"adapter": "rslora"},
    "dora": {"adapter": "dora"},
    "bfloat16": {"precision": "bfloat16"},
    "dora in bfloat16": {"precision": "bfloat16", "adapter": "dora"},
}


@pytest.mark.parametrize("settings", RESUMED.values(), ids=RESUMED.keys())
def test_resuming_after_an_epoch_gives_bit_for_bit_the_adapter_of_an_unbroken_run(
    settings: dict[str, Any],
    small_llama: LocalModel,
    rows: list[Row],
    tmp_path: Path,
) -> None:
    recipe = replace(RECIPE, **settings)
    unbroken = Training(small_llama, rows, recipe, tmp_path / "unbroken")
    epochs = [unbroken.run_epoch(), unbroken.run_epoch()]
    wanted = weights(unbroken, tmp_path / "wanted")

    Training(small_llama, rows, recipe, tmp_path / "broken").run_epoch()
    torch.manual_seed(99)  # another process, another generator
    resumed = Training(small_llama, rows, recipe, tmp_path / "broken")
    assert resumed.epochs == epochs[:1]
    assert resumed.run_epoch() == epochs[1]
    assert equal(weights(resumed, tmp_path / "found"), wanted)


def test_trainings_that_take_turns_do_not_disturb_each_other(
    small_llama: LocalModel, rows: list[Row], tmp_path: Path
) -> None:
    recipe = replace(RECIPE, dropout=0.1)
    alone = Training(small_llama, rows, recipe, tmp_path / "alone")
    alone.run_epoch()
    alone.run_epoch()
    one = Training(small_llama, rows, recipe, tmp_path / "one")
    two = Training(small_llama, rows, replace(recipe, seed=2), tmp_path / "two")
    for training in (one, two, one, two):
        training.run_epoch()
    wanted = weights(alone, tmp_path / "a")
    assert equal(weights(one, tmp_path / "b"), wanted)
    assert not equal(weights(two, tmp_path / "c"), wanted)


def test_memory_is_released_without_losing_the_training(
    small_llama: LocalModel, rows: list[Row], tmp_path: Path
) -> None:
    kept = Training(small_llama, rows, RECIPE, tmp_path / "kept")
    released = Training(small_llama, rows, RECIPE, tmp_path / "released")
    for _ in range(2):
        kept.run_epoch()
        released.run_epoch()
        released.close()
    assert equal(weights(kept, tmp_path / "a"), weights(released, tmp_path / "b"))


def test_micro_batches_add_up_to_the_step(
    small_llama: LocalModel, rows: list[Row], tmp_path: Path
) -> None:
    recipe = replace(RECIPE, batch_tokens=512, learning_rate=1e-3)
    whole = Training(small_llama, rows, recipe, tmp_path / "whole")
    loss = whole.run_epoch().loss
    parts = Training(small_llama, rows, replace(recipe, micro_tokens=64), tmp_path / "parts")
    epoch = parts.run_epoch()
    assert epoch.loss == pytest.approx(loss, abs=1e-5)
    assert epoch.steps == whole.epochs[0].steps
    a, b = weights(whole, tmp_path / "a"), weights(parts, tmp_path / "b")
    assert max(float((a[name] - b[name]).abs().max()) for name in a) < 1e-4


def test_saving_memory_changes_no_gradient(
    small_llama: LocalModel, rows: list[Row], tmp_path: Path
) -> None:
    usual = Training(small_llama, rows, RECIPE, tmp_path / "usual")
    saving = Training(small_llama, rows, replace(RECIPE, save_memory=True), tmp_path / "saving")
    assert saving.run_epoch().loss == pytest.approx(usual.run_epoch().loss, abs=1e-6)
    a, b = weights(usual, tmp_path / "a"), weights(saving, tmp_path / "b")
    assert max(float((a[name] - b[name]).abs().max()) for name in a) < 1e-4


def test_replayed_rows_are_learnt_beside_the_others(
    small_llama: LocalModel, rows: list[Row], tmp_path: Path
) -> None:
    own, general = rows[:3] * 4, rows[3:6]
    recipe = replace(RECIPE, epochs=10)
    alone = Training(small_llama, own, recipe, tmp_path / "alone")
    both = Training(
        small_llama, own, replace(recipe, replay_share=0.5), tmp_path / "both", replay=general
    )
    for _ in range(10):
        alone.run_epoch()
        both.run_epoch()
    asked = [loss_of(small_llama, training, general, tmp_path) for training in (alone, both)]
    assert asked[1] < 0.3 * asked[0]
    assert both.tokens == pytest.approx(1.5 * alone.tokens, rel=0.1)


def loss_of(base: LocalModel, training: Training, rows: list[Row], folder: Path) -> float:
    """Mean negative log-likelihood of the rows' answers with the adapter as it is."""
    training.save(folder / "asked")
    model = attach_adapter(loading.load_model(base.folder), folder / "asked", base, name="default")
    with torch.no_grad():
        (batch,) = micro_batches(rows, micro_tokens=10_000, share=False)
        return float(Sft().loss(model, batch, totals_of([batch])[False]))


CHANGES: dict[str, dict[str, Any]] = {
    "learning rate": {"learning_rate": 2e-2},
    "schedule": {"epochs": 3},
    "batch": {"batch_tokens": 256},
    "seed": {"seed": 2},
    "rank": {"rank": 4},
    "alpha": {"alpha": 8},
    "adapter": {"adapter": "rslora"},
    "dropout": {"dropout": 0.1},
    "method": {"method": "cpt"},
    "falling": {"schedule": "cosine"},
    "micro-batches": {"micro_tokens": 64},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_checkpoint_of_another_recipe_is_not_used(
    change: dict[str, Any],
    small_llama: LocalModel,
    rows: list[Row],
    tmp_path: Path,
) -> None:
    Training(small_llama, rows, RECIPE, tmp_path).run_epoch()
    assert Training(small_llama, rows, RECIPE, tmp_path).epochs != []
    assert Training(small_llama, rows, replace(RECIPE, **change), tmp_path).epochs == []


def test_a_checkpoint_of_other_rows_masks_or_weights_is_not_used(
    small_llama: LocalModel, rows: list[Row], tmp_path: Path
) -> None:
    Training(small_llama, rows, RECIPE, tmp_path).run_epoch()
    (sequence,) = rows[0].sequences
    (answer,) = sequence.answers
    mask = replace(sequence, answers=(Span(answer.start - 1, answer.stop),))
    shifted = [replace(rows[0], sequences=(mask,)), *rows[1:]]
    for other in (rows[1:], [*rows[1:], rows[0]], shifted):
        assert Training(small_llama, other, RECIPE, tmp_path).epochs == []
    base = replace(small_llama, sha256="other")
    assert Training(base, rows, RECIPE, tmp_path).epochs == []


def test_a_checkpoint_that_disappears_while_training_is_one_clear_error(
    small_llama: LocalModel, rows: list[Row], tmp_path: Path
) -> None:
    training = Training(small_llama, rows, RECIPE, tmp_path)
    training.run_epoch()
    training.close()
    shutil.rmtree(tmp_path / CHECKPOINTS)
    with pytest.raises(UserError, match=r"the checkpoint of step \d+ disappeared"):
        training.run_epoch()


def events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / EVENTS).read_text().splitlines()]


def test_a_loss_that_explodes_is_one_clear_error_and_never_reaches_the_weights(
    small_llama: LocalModel, rows: list[Row], tmp_path: Path
) -> None:
    recipe = replace(RECIPE, learning_rate=1e30)
    training = Training(small_llama, rows, recipe, tmp_path / "work")
    with pytest.raises(UserError, match=r"in step \d+ of \d+ .*choose a lower learning rate"):
        training.run_epoch()
    kept = weights(training, tmp_path / "adapter")
    assert all(torch.isfinite(weight).all() for weight in kept.values())
    (told,) = [event for event in events(tmp_path / "work") if event["event"] == "not finite"]
    assert told["failed_step"] == training.steps + 1


def test_one_poisoned_row_is_named_and_the_weights_stay_those_of_the_step_before(
    small_llama: LocalModel, rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poisoned = rows[7].sequences[0].token_ids
    loss = Sft.loss

    def poisoning(self: Sft, model: Any, batch: Batch, totals: Totals) -> torch.Tensor:
        value = loss(self, model, batch, totals)
        hit = any(row.sequences[0].token_ids == poisoned for row in batch.rows)
        return value * math.nan if hit else value

    before = Training(small_llama, rows, RECIPE, tmp_path / "work", checkpoint_seconds=0)
    with monkeypatch.context() as patched:
        patched.setattr(Sft, "loss", poisoning)
        with pytest.raises(
            UserError, match=r"the loss became nan in step \d+ .*rows row "
        ) as error:
            before.run_epoch()
    alike = [row.id for row in rows if row.sequences[0].token_ids == poisoned]
    named = str(error.value).split("rows ")[1].split(".")[0].split(", ")
    assert named
    assert set(named) <= set(alike)
    assert [e["rows"] for e in events(tmp_path / "work") if e["event"] == "not finite"] == [named]
    resumed = Training(small_llama, rows, RECIPE, tmp_path / "work")
    assert resumed.steps == before.steps
    unbroken = Training(small_llama, rows, RECIPE, tmp_path / "unbroken")
    resumed.run_epoch()
    unbroken.run_epoch()
    assert equal(weights(resumed, tmp_path / "a"), weights(unbroken, tmp_path / "b"))


def test_a_spike_is_told_with_its_rows(
    small_llama: LocalModel, rows: list[Row], tmp_path: Path
) -> None:
    common = [replace(row, id=f"common {n}") for n, row in enumerate(rows[:1] * 30)]
    odd = replace(rows[5], id="odd")
    recipe = replace(RECIPE, epochs=8, batch_tokens=40)
    training = Training(small_llama, [*common, odd], recipe, tmp_path)
    for _ in range(4):
        training.run_epoch()
    spikes = [event for event in events(tmp_path) if event["event"] == "spike"]
    assert spikes
    assert all(event["rows"] == ["odd"] for event in spikes)


def test_every_step_leaves_an_event(
    small_llama: LocalModel, rows: list[Row], tmp_path: Path
) -> None:
    seen: list[dict[str, Any]] = []
    training = Training(
        small_llama, rows, RECIPE, tmp_path, watchers=[lambda e: seen.append(dict(e))]
    )
    epoch = training.run_epoch()
    assert events(tmp_path) == seen
    steps = [event for event in seen if event["event"] == "step"]
    assert [event["step"] for event in steps] == list(range(1, epoch.steps + 1))
    assert sum(event["tokens"] for event in steps) == epoch.tokens
    assert np.mean([event["loss"] for event in steps]) == pytest.approx(epoch.loss)
    assert all(event["tokens_per_second"] > 0 < event["share_of_peak"] for event in steps)
    assert all(event["gradient_norm"] > 0 for event in steps)
    assert [seen[0]["event"], seen[-1]["event"]] == ["start", "epoch"]


def test_tokens_are_counted_without_padding_and_told_step_by_step(
    small_llama: LocalModel, rows: list[Row], tmp_path: Path
) -> None:
    told: list[int] = []
    training = Training(small_llama, rows, RECIPE, tmp_path)
    epoch = training.run_epoch(told.append)
    assert epoch.tokens == sum(told) == sum(row.tokens for row in rows)
    assert epoch.steps == len(told) > 1
    assert training.epoch_tokens == training.tokens == epoch.tokens


@pytest.mark.parametrize(
    ("adapter", "scaling"), [("lora", 24 / 8), ("rslora", 24 / math.sqrt(8)), ("dora", 24 / 8)]
)
def test_the_adapter_says_how_it_is_scaled_and_whose_it_is(
    adapter: str,
    scaling: float,
    small_llama: LocalModel,
    rows: list[Row],
    tmp_path: Path,
) -> None:
    training = Training(small_llama, rows, replace(RECIPE, adapter=adapter), tmp_path / "work")
    training.run_epoch()
    training.save(tmp_path / "adapter")
    check_adapter(tmp_path / "adapter", small_llama)
    settings = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == small_llama.name
    assert (settings["r"], settings["lora_alpha"]) == (8, 24)
    loaded = peft.PeftModel.from_pretrained(
        loading.load_model(small_llama.folder), str(tmp_path / "adapter")
    )
    scalings = {
        layer.scaling["default"]
        for layer in loaded.modules()
        if isinstance(layer, peft.tuners.lora.LoraLayer)
    }
    assert scalings == {scaling}
    assert not list((tmp_path / "adapter").glob("*.bin"))


def test_every_linear_layer_but_the_head_is_adapted_and_nothing_else_is_trained(
    small_llama: LocalModel, rows: list[Row], tmp_path: Path
) -> None:
    training = Training(small_llama, rows, RECIPE, tmp_path / "work")
    training.run_epoch()
    names = weights(training, tmp_path / "adapter")
    layers = {name.rsplit(".lora_", 1)[0].rsplit(".", 1)[1] for name in names}
    assert layers == {
        *("q_proj", "k_proj", "v_proj", "o_proj"),
        *("gate_proj", "up_proj", "down_proj"),
    }
    assert len(names) == 2 * 2 * 7


def test_saving_asks_nobody_on_the_network(
    small_llama: LocalModel,
    rows: list[Row],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def asked(*given: object, **named: object) -> None:
        raise AssertionError(f"the hub was asked for {given}")

    monkeypatch.setattr(peft.utils.save_and_load, "check_file_exists_on_hf_hub", asked)
    training = Training(replace(small_llama, name="org/model"), rows, RECIPE, tmp_path / "work")
    for number in (1, 2):
        training.run_epoch()
        training.save(tmp_path / f"epoch{number}")


def test_the_precision_of_a_training_stays_when_it_resumes(
    small_llama: LocalModel,
    rows: list[Row],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = replace(RECIPE, precision=None)
    monkeypatch.setattr("tunewise.training.state.fastest_precision", lambda device: "bfloat16")
    Training(small_llama, rows, recipe, tmp_path).run_epoch()
    monkeypatch.setattr("tunewise.training.state.fastest_precision", lambda device: "float32")
    assert Training(small_llama, rows, recipe, tmp_path).precision == "bfloat16"
    assert Training(small_llama, rows[1:], recipe, tmp_path).precision == "float32"
