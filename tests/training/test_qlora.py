import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from small_trainings import RECIPE as SMALL
from small_trainings import rows_of
from tunewise.errors import UserError
from tunewise.models import loading
from tunewise.models.adapters import attach_adapter
from tunewise.models.catalog import LocalModel
from tunewise.training import peft_model
from tunewise.training.attention import plain_model, try_packing
from tunewise.training.hardware import Precision
from tunewise.training.loop import Training
from tunewise.training.objectives import Sft, totals_of
from tunewise.training.packing import micro_batches
from tunewise.training.rows import Row

RECIPE = replace(SMALL, adapter="qlora")


@pytest.fixture(scope="module")
def rows(small_llama: LocalModel) -> list[Row]:
    return rows_of(small_llama)


def weights(training: Training, folder: Path) -> dict[str, torch.Tensor]:
    training.save(folder)
    return load_file(folder / "adapter_model.safetensors")


def loss_of(base: LocalModel, adapter: Path | None, rows: list[Row]) -> float:
    """Mean negative log-likelihood of the answers, by the base that nobody quantised."""
    model = loading.load_model(base.folder)
    if adapter is not None:
        model = attach_adapter(model, adapter, base, name="default")
    (batch,) = micro_batches(rows, micro_tokens=10_000, share=False)
    with torch.no_grad():
        return float(Sft().loss(model, batch, totals_of([batch])[False]))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_resuming_gives_bit_for_bit_the_adapter_of_an_unbroken_run(
    precision: Precision, small_llama: LocalModel, rows: list[Row], tmp_path: Path
) -> None:
    recipe = replace(RECIPE, precision=precision)
    unbroken = Training(small_llama, rows, recipe, tmp_path / "unbroken")
    epochs = [unbroken.run_epoch(), unbroken.run_epoch()]
    assert epochs[1].loss < 0.7 * epochs[0].loss
    wanted = weights(unbroken, tmp_path / "wanted")

    Training(small_llama, rows, recipe, tmp_path / "broken").run_epoch()
    torch.manual_seed(99)  # another process, another generator
    resumed = Training(small_llama, rows, recipe, tmp_path / "broken")
    assert resumed.run_epoch() == epochs[1]
    found = weights(resumed, tmp_path / "found")
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_the_adapter_fits_the_base_that_nobody_quantised(
    small_llama: LocalModel, rows: list[Row], tmp_path: Path
) -> None:
    training = Training(small_llama, rows, replace(RECIPE, epochs=6), tmp_path / "work")
    for _ in range(6):
        training.run_epoch()
    training.save(tmp_path / "adapter")
    before, after = (loss_of(small_llama, a, rows) for a in (None, tmp_path / "adapter"))
    assert after < 0.2 * before


def test_gradients_are_those_of_the_weights_as_quantised(
    small_llama: LocalModel, rows: list[Row]
) -> None:
    quantised = peft_model.adapted_model(small_llama, RECIPE, device="cpu")
    try_packing(quantised)  # reads in evaluation mode, as every training does first
    peft_model.keep_in("float32", quantised)
    plain = peft_model.adapted_model(small_llama, replace(RECIPE, adapter="lora"), device="cpu")
    dequantise(quantised, into=plain)
    try_packing(plain)
    batches = micro_batches(rows, micro_tokens=10_000, share=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # an operation without a gradient is told as a warning
        for model in (quantised, plain):
            model.train()
            Sft().loss(model, batches[0], totals_of(batches)[False]).backward()
    wanted = peft_model.trained_weights(plain)
    for name, weight in peft_model.trained_weights(quantised).items():
        other = wanted[name]
        assert weight.grad is not None
        assert other.grad is not None
        torch.testing.assert_close(weight.grad, other.grad, rtol=1e-3, atol=1e-5)


def dequantise(quantised: torch.nn.Module, *, into: torch.nn.Module) -> None:
    """Copies adapters and 4-bit matrices, unpacked, into a model of the same layers."""
    from bitsandbytes.functional import dequantize_4bit

    found = dict(quantised.named_parameters())
    with torch.no_grad():
        for name, weight in into.named_parameters():
            source = found[name]
            state = getattr(source, "quant_state", None)
            weight.copy_(source if state is None else dequantize_4bit(source.data, state))


def test_linear_layers_are_kept_in_four_bits_and_packing_still_holds(
    small_llama: LocalModel,
) -> None:
    model = peft_model.adapted_model(small_llama, RECIPE, device="cpu")
    matrices = [w for name, w in model.named_parameters() if name.endswith("base_layer.weight")]
    assert len(matrices) == 2 * 7
    assert {w.dtype for w in matrices} == {torch.uint8}
    assert try_packing(model)
    assert plain_model(model).config._attn_implementation == "tunewise_packed"


def test_matrices_are_unpacked_into_the_precision_of_the_training(
    small_llama: LocalModel,
) -> None:
    model = peft_model.adapted_model(small_llama, RECIPE, device="cpu")
    for precision, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        peft_model.keep_in(precision, model)
        found = {one.compute_dtype for one in model.modules() if hasattr(one, "quant_state")}
        assert found == {dtype}


def test_a_missing_library_is_one_clear_error(
    small_llama: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peft_model.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        UserError, match=r"qlora needs bitsandbytes and accelerate\. Install tunewise\[qlora\]"
    ):
        peft_model.adapted_model(small_llama, RECIPE, device="cpu")


@pytest.mark.slow
def test_the_starter_model_learns_in_three_steps(starter: LocalModel, tmp_path: Path) -> None:
    recipe = replace(RECIPE, learning_rate=1e-3, epochs=3, batch_tokens=1024)
    training = Training(starter, rows_of(starter), recipe, tmp_path / "work")
    losses = [training.run_epoch().loss for _ in range(3)]
    assert training.steps == 3
    assert losses[2] < losses[1] < losses[0]
    before = loss_of(starter, None, rows_of(starter))
    training.save(tmp_path / "adapter")
    assert loss_of(starter, tmp_path / "adapter", rows_of(starter)) < before
