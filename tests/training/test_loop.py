import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import peft
import peft.utils.save_and_load
import pytest
import torch
from safetensors.torch import load_file

from small_models import user
from tunewise.data.chat import Span, TokenisedExample, answer_tokens
from tunewise.errors import UserError
from tunewise.models import hub
from tunewise.models.adapters import check_adapter
from tunewise.models.catalog import LocalModel
from tunewise.models.engine import Request, Sampling
from tunewise.models.transformers import TransformersEngine
from tunewise.training import batches as batches_module
from tunewise.training.checkpoint import read_state, write_state
from tunewise.training.loop import STATE_FILE, WARMUP_SHARE, Recipe, Training
from tunewise.types import Generation

PAIRS = [
    ("Where is my order?", "delivery"),
    ("The zip of the tent broke", "defect"),
    ("I want my money back", "refund"),
    ("It does not fit, I send it back", "return"),
    ("I typed the wrong street", "account"),
    ("Which boots are warm?", "advice"),
] * 4
RECIPE = Recipe(
    learning_rate=1e-2,
    epochs=2,
    batch_tokens=128,
    seed=1,
    rank=8,
    alpha=24,
    precision="float32",
)


@pytest.fixture(scope="module")
def rows(small_llama: LocalModel) -> list[TokenisedExample]:
    tokenizer = hub.load_tokenizer(small_llama.folder)
    return [answer_tokens(tokenizer, user(text), target) for text, target in PAIRS]


def weights(training: Training, folder: Path) -> dict[str, torch.Tensor]:
    training.save_adapter(folder)
    return load_file(folder / "adapter_model.safetensors")


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_an_adapter_learns_its_rows_and_to_stop_after_them(
    small_llama: LocalModel, rows: list[TokenisedExample], tmp_path: Path
) -> None:
    training = Training(small_llama, rows, replace(RECIPE, epochs=30), tmp_path / "work")
    losses = [training.run_epoch().loss for _ in range(30)]
    assert losses[-1] < 0.05 < 3 < losses[0]
    training.save_adapter(tmp_path / "adapter")
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
    rows: list[TokenisedExample],
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
    small_llama: LocalModel, rows: list[TokenisedExample], tmp_path: Path
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
    small_llama: LocalModel, rows: list[TokenisedExample], tmp_path: Path
) -> None:
    kept = Training(small_llama, rows, RECIPE, tmp_path / "kept")
    released = Training(small_llama, rows, RECIPE, tmp_path / "released")
    for _ in range(2):
        kept.run_epoch()
        released.run_epoch()
        released.release()
    assert equal(weights(kept, tmp_path / "a"), weights(released, tmp_path / "b"))


def test_micro_batches_add_up_to_the_step(
    small_llama: LocalModel,
    rows: list[TokenisedExample],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = replace(RECIPE, batch_tokens=512, learning_rate=1e-3)
    whole = Training(small_llama, rows, recipe, tmp_path / "whole")
    loss = whole.run_epoch().loss
    monkeypatch.setattr(batches_module, "MICRO_TOKENS", 64)
    parts = Training(small_llama, rows, recipe, tmp_path / "parts")
    epoch = parts.run_epoch()
    assert epoch.loss == pytest.approx(loss, abs=1e-5)
    assert epoch.steps == whole.epochs[0].steps
    a, b = weights(whole, tmp_path / "a"), weights(parts, tmp_path / "b")
    assert max(float((a[name] - b[name]).abs().max()) for name in a) < 1e-4


CHANGES: dict[str, dict[str, Any]] = {
    "learning rate": {"learning_rate": 2e-2},
    "schedule": {"epochs": 3},
    "batch": {"batch_tokens": 256},
    "seed": {"seed": 2},
    "rank": {"rank": 4},
    "alpha": {"alpha": 8},
    "adapter": {"adapter": "rslora"},
    "dropout": {"dropout": 0.1},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_checkpoint_of_another_recipe_is_not_used(
    change: dict[str, Any],
    small_llama: LocalModel,
    rows: list[TokenisedExample],
    tmp_path: Path,
) -> None:
    Training(small_llama, rows, RECIPE, tmp_path).run_epoch()
    assert Training(small_llama, rows, RECIPE, tmp_path).epochs != []
    assert Training(small_llama, rows, replace(RECIPE, **change), tmp_path).epochs == []


def test_a_checkpoint_of_other_rows_masks_or_weights_is_not_used(
    small_llama: LocalModel, rows: list[TokenisedExample], tmp_path: Path
) -> None:
    Training(small_llama, rows, RECIPE, tmp_path).run_epoch()
    (answer,) = rows[0].answers
    shifted = [replace(rows[0], answers=(Span(answer.start - 1, answer.stop),)), *rows[1:]]
    for other in (rows[1:], [*rows[1:], rows[0]], shifted):
        assert Training(small_llama, other, RECIPE, tmp_path).epochs == []
    base = replace(small_llama, sha256="other")
    assert Training(base, rows, RECIPE, tmp_path).epochs == []


def test_a_half_written_checkpoint_is_ignored(
    small_llama: LocalModel, rows: list[TokenisedExample], tmp_path: Path
) -> None:
    Training(small_llama, rows, RECIPE, tmp_path).run_epoch()
    whole = (tmp_path / STATE_FILE).read_bytes()
    (tmp_path / STATE_FILE).write_bytes(whole[: len(whole) // 2])
    again = Training(small_llama, rows, RECIPE, tmp_path)
    assert again.epochs == []
    assert again.run_epoch().number == 1


def test_a_file_that_holds_something_else_is_ignored(
    small_llama: LocalModel, rows: list[TokenisedExample], tmp_path: Path
) -> None:
    write_state({"something": "else"}, tmp_path / STATE_FILE)
    assert Training(small_llama, rows, RECIPE, tmp_path).epochs == []


def test_a_checkpoint_that_disappears_while_training_is_one_clear_error(
    small_llama: LocalModel, rows: list[TokenisedExample], tmp_path: Path
) -> None:
    training = Training(small_llama, rows, RECIPE, tmp_path)
    training.run_epoch()
    training.release()
    (tmp_path / STATE_FILE).unlink()
    with pytest.raises(UserError, match="the checkpoint disappeared"):
        training.run_epoch()


def test_a_loss_that_explodes_is_one_clear_error_and_nothing_of_the_epoch_is_kept(
    small_llama: LocalModel, rows: list[TokenisedExample], tmp_path: Path
) -> None:
    recipe = replace(RECIPE, learning_rate=1e30)
    training = Training(small_llama, rows, recipe, tmp_path / "work")
    with pytest.raises(UserError, match=r"in epoch 1, step \d+ .*Choose a lower learning rate"):
        training.run_epoch()
    assert training.epochs == []
    assert not (tmp_path / "work" / STATE_FILE).exists()
    start = weights(training, tmp_path / "adapter")
    assert all(torch.isfinite(weight).all() for weight in start.values())
    assert all(not weight.any() for name, weight in start.items() if "lora_B" in name)


def test_poisoned_weights_leave_the_checkpoint_of_the_epoch_before(
    small_llama: LocalModel, rows: list[TokenisedExample], tmp_path: Path
) -> None:
    training = Training(small_llama, rows, RECIPE, tmp_path / "work")
    training.run_epoch()
    before = weights(training, tmp_path / "before")
    poisoned = next(p for n, p in training._model.named_parameters() if "lora_B" in n)
    with torch.no_grad():
        poisoned[0, 0] = math.nan
    with pytest.raises(UserError, match="the loss became nan in epoch 2, step 1"):
        training.run_epoch()
    state = read_state(tmp_path / "work" / STATE_FILE)
    assert state
    assert [epoch["number"] for epoch in state["epochs"]] == [1]
    assert equal(weights(training, tmp_path / "after"), before)


def test_the_learning_rate_warms_up_and_falls_to_nothing(
    small_llama: LocalModel,
    rows: list[TokenisedExample],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rates: list[float] = []
    step = torch.optim.AdamW.step

    def noting(self: torch.optim.AdamW, *given: Any) -> Any:
        rates.append(self.param_groups[0]["lr"])
        return step(self, *given)

    monkeypatch.setattr(torch.optim.AdamW, "step", noting)
    recipe = replace(RECIPE, batch_tokens=48, epochs=3)
    Training(small_llama, rows, recipe, tmp_path).run_epoch()
    resumed = Training(small_llama, rows, recipe, tmp_path)
    resumed.run_epoch()
    resumed.run_epoch()
    total, warm = len(rates), max(1, round(WARMUP_SHARE * len(rates)))
    assert warm >= 2
    assert max(rates) == rates[warm - 1] == pytest.approx(1e-2)
    assert rates[0] == pytest.approx(1e-2 / warm)
    falls = [a - b for a, b in zip(rates[warm:], rates[warm + 1 :], strict=False)]
    assert falls == pytest.approx([1e-2 / (total - warm)] * len(falls))
    assert 0 < rates[-1] <= 1e-2 / (total - warm) * 1.01


def test_tokens_are_counted_without_padding_and_told_step_by_step(
    small_llama: LocalModel, rows: list[TokenisedExample], tmp_path: Path
) -> None:
    told: list[int] = []
    training = Training(small_llama, rows, RECIPE, tmp_path)
    epoch = training.run_epoch(told.append)
    assert epoch.tokens == sum(told) == sum(len(row.token_ids) for row in rows)
    assert epoch.steps == len(told) > 1
    assert training.epoch_tokens == training.tokens == epoch.tokens


@pytest.mark.parametrize(
    ("adapter", "scaling"), [("lora", 24 / 8), ("rslora", 24 / math.sqrt(8)), ("dora", 24 / 8)]
)
def test_the_adapter_says_how_it_is_scaled_and_whose_it_is(
    adapter: str,
    scaling: float,
    small_llama: LocalModel,
    rows: list[TokenisedExample],
    tmp_path: Path,
) -> None:
    training = Training(small_llama, rows, replace(RECIPE, adapter=adapter), tmp_path / "work")
    training.run_epoch()
    training.save_adapter(tmp_path / "adapter")
    check_adapter(tmp_path / "adapter", small_llama)
    settings = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == small_llama.name
    assert (settings["r"], settings["lora_alpha"]) == (8, 24)
    loaded = peft.PeftModel.from_pretrained(
        hub.load_model(small_llama.folder), str(tmp_path / "adapter")
    )
    scalings = {
        layer.scaling["default"]
        for layer in loaded.modules()
        if isinstance(layer, peft.tuners.lora.LoraLayer)
    }
    assert scalings == {scaling}
    assert not list((tmp_path / "adapter").glob("*.bin"))


def test_every_linear_layer_but_the_head_is_adapted_and_nothing_else_is_trained(
    small_llama: LocalModel, rows: list[TokenisedExample], tmp_path: Path
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
    rows: list[TokenisedExample],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def asked(*given: object, **named: object) -> None:
        raise AssertionError(f"the hub was asked for {given}")

    monkeypatch.setattr(peft.utils.save_and_load, "check_file_exists_on_hf_hub", asked)
    training = Training(replace(small_llama, name="org/model"), rows, RECIPE, tmp_path / "work")
    for number in (1, 2):
        training.run_epoch()
        training.save_adapter(tmp_path / f"epoch{number}")


def test_the_precision_of_a_training_stays_when_it_resumes(
    small_llama: LocalModel,
    rows: list[TokenisedExample],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = replace(RECIPE, precision=None)
    monkeypatch.setattr("tunewise.training.loop.fastest_precision", lambda device: "bfloat16")
    Training(small_llama, rows, recipe, tmp_path).run_epoch()
    monkeypatch.setattr("tunewise.training.loop.fastest_precision", lambda device: "float32")
    assert Training(small_llama, rows, recipe, tmp_path).precision == "bfloat16"
    assert Training(small_llama, rows[1:], recipe, tmp_path).precision == "float32"
