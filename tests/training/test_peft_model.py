from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import small_models
from small_trainings import RECIPE as SMALL
from small_trainings import rows_of
from tunewise.errors import UserError
from tunewise.models import loading
from tunewise.models.adapters import attach_adapter, check_adapter, merge_into_folder
from tunewise.models.catalog import LocalModel
from tunewise.training.attention import plain_model
from tunewise.training.loop import Training
from tunewise.training.peft_model import adapted_model, fuse, load_trained, save_trained
from tunewise.training.recipe import Recipe
from tunewise.training.rows import Row

RECIPE = replace(SMALL, learning_rate=5e-3)
KINDS: dict[str, Recipe] = {
    "lora": RECIPE,
    "rslora": replace(RECIPE, adapter="rslora"),
    "dora": replace(RECIPE, adapter="dora"),
    "full": replace(RECIPE, adapter="full", learning_rate=1e-3),
    "gaussian": replace(RECIPE, initialisation="gaussian"),
    "olora": replace(RECIPE, initialisation="olora"),
    "pissa": replace(RECIPE, initialisation="pissa"),
    "pissa_niter_16": replace(RECIPE, initialisation="pissa_niter_16"),
    "orthogonal": replace(RECIPE, initialisation="orthogonal"),
    "rslora with olora": replace(RECIPE, adapter="rslora", initialisation="olora"),
    "rslora with pissa": replace(RECIPE, adapter="rslora", initialisation="pissa"),
}
every_kind = pytest.mark.parametrize("recipe", KINDS.values(), ids=KINDS.keys())
IDS = torch.tensor([[(7 * n + 3) % 400 for n in range(30)]])


@pytest.fixture(scope="module")
def rows(small_llama: LocalModel) -> list[Row]:
    return rows_of(small_llama)


def logits(model: Any) -> torch.Tensor:
    """(tokens, vocabulary), in evaluation mode and with the usual attention."""
    model.eval()
    plain_model(model).set_attn_implementation("sdpa")
    with torch.no_grad():
        return model(input_ids=IDS, use_cache=False).logits[0]


def loaded(base: LocalModel, folder: Path, recipe: Recipe) -> Any:
    """What was saved, on the base as it lies on the disk."""
    if recipe.adapter == "full":
        return loading.load_model(folder)
    return attach_adapter(loading.load_model(base.folder), folder, base, name="default")


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    (file,) = folder.glob("*model.safetensors")
    return load_file(file)


def assert_near(found: torch.Tensor, wanted: torch.Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4)


@every_kind
def test_it_learns_resumes_bit_for_bit_and_is_saved_as_it_is_in_memory(
    recipe: Recipe, small_llama: LocalModel, rows: list[Row], tmp_path: Path
) -> None:
    unbroken = Training(small_llama, rows, recipe, tmp_path / "unbroken")
    epochs = [unbroken.run_epoch(), unbroken.run_epoch()]
    assert epochs[1].loss < 0.8 * epochs[0].loss
    unbroken.save(tmp_path / "wanted")

    Training(small_llama, rows, recipe, tmp_path / "broken").run_epoch()
    torch.manual_seed(99)  # another process, another generator
    resumed = Training(small_llama, rows, recipe, tmp_path / "broken")
    assert resumed.run_epoch() == epochs[1]
    resumed.save(tmp_path / "found")
    wanted, found = tensors(tmp_path / "wanted"), tensors(tmp_path / "found")
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)

    in_memory = logits(unbroken._model)
    assert_near(logits(loaded(small_llama, tmp_path / "wanted", recipe)), in_memory)
    untrained = logits(loading.load_model(small_llama.folder))
    assert float((in_memory - untrained).abs().max()) > 0.1


@every_kind
def test_saving_changes_nothing_of_the_training(
    recipe: Recipe, small_llama: LocalModel, rows: list[Row], tmp_path: Path
) -> None:
    quiet = Training(small_llama, rows, recipe, tmp_path / "quiet")
    asked = Training(small_llama, rows, recipe, tmp_path / "asked")
    for training in (quiet, asked):
        training.run_epoch()
        if training is asked:
            training.save(tmp_path / "first")
        training.run_epoch()
        training.save(tmp_path / training.folder.name / "second")
    wanted = tensors(tmp_path / "quiet" / "second")
    found = tensors(tmp_path / "asked" / "second")
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


@every_kind
def test_what_was_saved_is_merged_into_one_model(
    recipe: Recipe, small_llama: LocalModel, rows: list[Row], tmp_path: Path
) -> None:
    training = Training(small_llama, rows, recipe, tmp_path / "work")
    training.run_epoch()
    training.save(tmp_path / "saved")
    merge_into_folder(small_llama, tmp_path / "saved", tmp_path / "merged")
    wanted = logits(loaded(small_llama, tmp_path / "saved", recipe))
    assert_near(logits(loading.load_model(tmp_path / "merged")), wanted)
    loading.load_tokenizer(tmp_path / "merged")
    left = {file.name for file in (tmp_path / "merged").iterdir()}
    assert "model.safetensors" in left
    assert not {name for name in left if "adapter" in name or "tunewise" in name}


@every_kind
def test_it_is_signed_and_refused_for_another_base(
    recipe: Recipe, small_llama: LocalModel, rows: list[Row], tmp_path: Path
) -> None:
    save_trained(
        adapted_model(small_llama, recipe, device="cpu"), small_llama, recipe, tmp_path / "saved"
    )
    check_adapter(tmp_path / "saved", small_llama)
    other = replace(small_llama, sha256="other")
    with pytest.raises(UserError, match="was trained for another base"):
        check_adapter(tmp_path / "saved", other)
    if not recipe.initialisation.startswith(("pissa", "olora")):
        with pytest.raises(UserError, match="was trained for another base"):
            Training(other, rows, recipe, tmp_path / "work", start=tmp_path / "saved").run_epoch()


STARTS = {name: KINDS[name] for name in ("lora", "rslora", "dora", "full", "gaussian")}


@pytest.mark.parametrize("recipe", STARTS.values(), ids=STARTS.keys())
def test_a_training_goes_on_from_what_another_one_saved(
    recipe: Recipe, small_llama: LocalModel, rows: list[Row], tmp_path: Path
) -> None:
    first = Training(small_llama, rows, recipe, tmp_path / "first")
    before = [first.run_epoch().loss, first.run_epoch().loss]
    first.save(tmp_path / "saved")
    start = {"start": tmp_path / "saved"}
    second = Training(small_llama, rows, recipe, tmp_path / "second", **start)
    second._load()
    assert_near(logits(second._model), logits(first._model))

    second = Training(small_llama, rows, recipe, tmp_path / "second", **start)
    epochs = [second.run_epoch(), second.run_epoch()]
    assert epochs[0].loss < before[1]
    second.save(tmp_path / "wanted")
    Training(small_llama, rows, recipe, tmp_path / "broken", **start).run_epoch()
    resumed = Training(small_llama, rows, recipe, tmp_path / "broken", **start)
    assert resumed.run_epoch() == epochs[1]
    resumed.save(tmp_path / "found")
    wanted, found = tensors(tmp_path / "wanted"), tensors(tmp_path / "found")
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("initialisation", ["pissa", "pissa_niter_16", "olora"])
def test_an_initialisation_that_changes_the_base_goes_on_from_nothing(
    initialisation: str, small_llama: LocalModel, rows: list[Row], tmp_path: Path
) -> None:
    model = adapted_model(small_llama, RECIPE, device="cpu")
    save_trained(model, small_llama, RECIPE, tmp_path / "saved")
    recipe = replace(RECIPE, initialisation=initialisation)
    training = Training(small_llama, rows, recipe, tmp_path / "work", start=tmp_path / "saved")
    with pytest.raises(UserError, match=f"{initialisation} cannot go on from an adapter"):
        training.run_epoch()


UNLIKE: dict[str, tuple[Recipe, Recipe, str]] = {
    "rank": (
        KINDS["pissa"],
        RECIPE,
        r"keeps its rank 16 and alpha 48(\.0)?, not 8 and 24\. Change \[training\]",
    ),
    "alpha": (RECIPE, replace(RECIPE, alpha=8), r"keeps its alpha 24, not 8\."),
    "kind": (KINDS["dora"], RECIPE, r"keeps its adapter dora, not lora\."),
    "scale": (KINDS["rslora"], RECIPE, r"keeps its adapter rslora, not lora\."),
    "a whole model": (KINDS["full"], RECIPE, r"keeps its adapter full, not lora\."),
    "no whole model": (RECIPE, KINDS["full"], r"keeps its adapter lora, not full\."),
}


@pytest.mark.parametrize(("first", "second", "message"), UNLIKE.values(), ids=UNLIKE.keys())
def test_a_start_that_was_made_otherwise_is_refused(
    first: Recipe, second: Recipe, message: str, small_llama: LocalModel, tmp_path: Path
) -> None:
    model = adapted_model(small_llama, first, device="cpu")
    save_trained(model, small_llama, first, tmp_path / "saved")
    model = adapted_model(small_llama, second, device="cpu")
    with pytest.raises(UserError, match=message):
        load_trained(model, small_llama, second, tmp_path / "saved")


@pytest.mark.parametrize(
    "layers",
    [
        {"target_modules": ["q_proj", "lm_head"]},
        {"target_modules": ["q_proj"], "rank_pattern": {"q_proj": 4}},
    ],
    ids=["another layer", "another shape"],
)
def test_a_start_of_other_layers_is_refused(
    layers: dict[str, Any], small_llama: LocalModel, tmp_path: Path
) -> None:
    made = small_models.adapter(small_llama, tmp_path / "made", rank=8, alpha=24, **layers)
    model = adapted_model(small_llama, RECIPE, device="cpu")
    with pytest.raises(UserError, match="whose layers are not those that are adapted here"):
        load_trained(model, small_llama, RECIPE, made)


@pytest.mark.parametrize("name", ["lora", "full"])
def test_saving_replaces_what_was_there(name: str, small_llama: LocalModel, tmp_path: Path) -> None:
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "stale.safetensors").write_text("old")
    model = adapted_model(small_llama, KINDS[name], device="cpu")
    save_trained(model, small_llama, KINDS[name], tmp_path / "saved")
    assert not (tmp_path / "saved" / "stale.safetensors").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]


def test_the_start_is_decided_by_the_seed_alone(small_llama: LocalModel) -> None:
    def start(seed: int) -> dict[str, torch.Tensor]:
        model = adapted_model(small_llama, replace(RECIPE, seed=seed), device="cpu")
        return {n: w.detach() for n, w in model.named_parameters() if "lora_A" in n}

    torch.manual_seed(5)
    first = start(1)
    torch.manual_seed(6)
    again, other = start(1), start(2)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first)


@every_kind
def test_making_it_fast_changes_no_number(recipe: Recipe, small_llama: LocalModel) -> None:
    model = adapted_model(small_llama, recipe, device="cpu")
    before = logits(model)
    fuse(model)
    assert_near(logits(model), before)
