import json
import re
import subprocess
import sys
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import small_models
from places import ROOT
from tunewise.chat.tokenize import Span, TokenisedExample
from tunewise.errors import UserError
from tunewise.models import loading
from tunewise.models.catalog import LocalModel
from tunewise.training import attention, memory_estimate
from tunewise.training.hardware import Precision
from tunewise.training.loop import Training
from tunewise.training.memory_estimate import Need, check_memory, estimate
from tunewise.training.objectives import totals_of
from tunewise.training.packing import micro_batches
from tunewise.training.peft_model import adapted_model, trained_weights
from tunewise.training.recipe import Recipe
from tunewise.training.rows import Row, single_rows

RECIPE = Recipe(learning_rate=1e-3, epochs=1, batch_tokens=1024, seed=0, rank=8)
MIB = 1 << 20
LAYERS = 4


def made_rows(*, tokens: int = 96, count: int = 8, losses: int = 10) -> list[Row]:
    """Rows that begin differently, so that nothing is shared."""
    sequences = [
        TokenisedExample(
            token_ids=tuple((7 * n + 31 * i + i * i) % 500 for n in range(tokens)),
            answers=(Span(tokens - losses, tokens),),
        )
        for i in range(count)
    ]
    return single_rows([f"row {i}" for i in range(count)], sequences)


def placed(folder: Path) -> LocalModel:
    return LocalModel(
        name="made",
        folder=folder,
        family="llama",
        context_tokens=4096,
        sha256="0" * 64,
        gguf=None,
        no_gguf="a test",
    )


@pytest.fixture(autouse=True)
def one_thread() -> Generator[None]:
    """Small matrices gain nothing from more, and threads wait for each other on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    """Four layers whose widths all differ, so that no term can stand in for another."""
    folder = small_models.build(
        tmp_path_factory.mktemp("wide") / "model",
        hidden_size=192,
        intermediate_size=416,
        num_attention_heads=6,
        num_key_value_heads=2,
        head_dim=48,
        num_hidden_layers=LAYERS,
        max_position_embeddings=4096,
    )
    return placed(folder)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    """Three billion weights that exist as a config alone."""
    folder = tmp_path_factory.mktemp("large")
    config = {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": 3072,
        "intermediate_size": 8192,
        "num_hidden_layers": 28,
        "num_attention_heads": 24,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 128256,
        "tie_word_embeddings": True,
    }
    (folder / "config.json").write_text(json.dumps(config))
    return placed(folder)


def needed(
    base: LocalModel, recipe: Recipe = RECIPE, rows: list[Row] | None = None, **changed: Any
) -> Need:
    settings: dict[str, Any] = {
        "device": "cpu",
        "precision": "float32",
        "micro_tokens": 1024,
        **changed,
    }
    return estimate(base, recipe, made_rows() if rows is None else rows, **settings)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_every_weight_is_counted_once(tied: bool, family: str, tmp_path: Path) -> None:
    folder = small_models.build(tmp_path / "m", family=family, tie_word_embeddings=tied)
    count = sum(weight.numel() for weight in loading.load_model(folder).parameters())
    need = needed(placed(folder), replace(RECIPE, adapter="full"))
    assert (need.weights, need.gradients, need.optimizer) == (4 * count, 4 * count, 8 * count)
    assert need.loading == 4 * count


@pytest.mark.parametrize("adapter", ["lora", "rslora", "dora"])
def test_every_weight_of_an_adapter_is_counted(wide: LocalModel, adapter: str) -> None:
    recipe = replace(RECIPE, adapter=adapter)
    model = adapted_model(wide, recipe, device="cpu")
    count = sum(weight.numel() for weight in trained_weights(model).values())
    whole = sum(weight.numel() for weight in model.parameters())
    need = needed(wide, recipe)
    assert (need.weights, need.gradients, need.optimizer) == (4 * whole, 4 * count, 8 * count)


KEPT: dict[str, tuple[int, dict[str, Any]]] = {
    "lora": (96, {}),
    "lora, long rows": (1024, {}),  # attention through the kernel, elsewhere written out
    "full": (96, {"adapter": "full"}),
    "dora": (96, {"adapter": "dora"}),
    "dropout": (96, {"dropout": 0.1}),
}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", KEPT)
def test_what_autograd_keeps_is_what_is_counted(
    wide: LocalModel, kind: str, precision: Precision, tmp_path: Path
) -> None:
    tokens, settings = KEPT[kind]
    recipe = replace(RECIPE, precision=precision, **settings)
    rows = made_rows(tokens=tokens, count=max(1, 768 // tokens), losses=1)
    need = needed(wide, recipe, rows, precision=precision)
    counted = need.activations / memory_estimate.HEAP["cpu"]
    # One layer more than is kept stands for the gradients on the way back.
    assert kept_bytes(wide, recipe, rows, tmp_path) == pytest.approx(
        counted * LAYERS / (LAYERS + 1), rel=0.15
    )


def test_with_save_memory_a_layer_keeps_its_input_alone(wide: LocalModel, tmp_path: Path) -> None:
    rows = made_rows(losses=1)
    recipe = replace(RECIPE, precision="float32", save_memory=True)
    kept = kept_bytes(wide, recipe, rows, tmp_path)
    layer = needed(wide, RECIPE, rows).activations / (LAYERS + 1)
    counted = (needed(wide, recipe, rows).activations - 2 * layer) / memory_estimate.HEAP["cpu"]
    assert kept == pytest.approx(counted, rel=0.3)


def kept_bytes(base: LocalModel, recipe: Recipe, rows: list[Row], folder: Path) -> int:
    """What autograd keeps of one batch beside weights, measured."""
    training = Training(base, rows, recipe, folder / "work", device="cpu")
    training._load()
    model = training._model.train()
    (batch,) = micro_batches(rows, micro_tokens=1024)
    own = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if (place := tensor.untyped_storage().data_ptr()) not in own:
            kept[place] = tensor
        return tensor

    hooks: Any = torch.autograd.graph.saved_tensors_hooks
    with hooks(keep, lambda tensor: tensor), training._autocast():
        loss = recipe.objective.loss(model, batch, totals_of([batch])[False])
    assert loss.requires_grad
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def test_packed_attention_is_as_training_has_it() -> None:
    assert attention._LARGE == memory_estimate.WRITTEN_OUT
    assert attention._KNOWN == memory_estimate.PACKED_LAYERS


def test_a_model_that_takes_no_packed_batch_has_logits_for_every_token(tmp_path: Path) -> None:
    packs = small_models.build(tmp_path / "packs")
    capped = small_models.build(tmp_path / "capped", family="gemma2", head_dim=16)
    rows = made_rows(tokens=96, count=1, losses=2)
    few, all_of_them = (needed(placed(folder), rows=rows).logits for folder in (packs, capped))
    assert all_of_them == pytest.approx(96 / 2 * few, rel=1e-3)


def total(**changed: Any) -> Callable[[LocalModel], int]:
    return lambda base: needed(base, replace(RECIPE, **changed), made_rows(tokens=512)).total


@pytest.mark.parametrize(
    ("less", "more"),
    [
        (total(), total(rank=64)),
        (total(), total(adapter="full")),
        (total(), total(adapter="dora")),
        (total(), total(dropout=0.1)),
        (total(save_memory=True), total()),
        (total(adapter="qlora"), total()),
        (total(), total(method="distill")),
    ],
    ids=["rank", "full", "dora", "dropout", "save_memory", "qlora", "distill"],
)
def test_each_setting_moves_the_estimate_the_right_way(
    large: LocalModel, less: Callable[[LocalModel], int], more: Callable[[LocalModel], int]
) -> None:
    assert less(large) < more(large)


def test_more_tokens_longer_rows_more_loss_and_wider_numbers_need_more(large: LocalModel) -> None:
    assert needed(large, micro_tokens=256).activations < needed(large).activations
    long = needed(large, rows=made_rows(tokens=2048, count=2))
    assert long.activations > 1.5 * needed(large).activations
    few, many = (needed(large, rows=made_rows(losses=n)) for n in (2, 40))
    assert many.logits == pytest.approx(20 * few.logits)
    assert needed(large, precision="bfloat16").activations < needed(large).activations
    assert needed(large, precision="bfloat16").weights < needed(large).weights


def test_four_bits_hold_linear_layers_alone(large: LocalModel) -> None:
    head = 128256 * 3072
    linear = 28 * (2 * 3072**2 + 2 * 3072 * 1024 + 3 * 3072 * 8192)
    full = needed(large, replace(RECIPE, adapter="full"))
    need = needed(large, replace(RECIPE, adapter="qlora"))
    norms = full.weights // 4 - head - linear
    assert norms == 57 * 3072
    base = 4 * (head + norms) + linear * 4.127 / 8
    assert need.weights == pytest.approx(base + need.gradients)
    assert need.loading == pytest.approx(base)


def test_a_base_read_in_half_the_width_is_there_at_full_width_first(large: LocalModel) -> None:
    need = needed(large, rows=made_rows(count=1), precision="bfloat16")
    step = need.weights + need.gradients + need.optimizer + need.activations + need.logits
    assert step < need.loading
    assert need.total == need.loading + need.libraries


def checked(
    base: LocalModel,
    recipe: Recipe,
    gib: float | None,
    rows: list[Row],
    precision: Precision = "float32",
) -> str:
    return check_memory(
        base,
        recipe,
        rows,
        device="cpu",
        precision=precision,
        micro_tokens=1024,
        available_bytes=None if gib is None else round(gib * 2**30),
    )


def test_what_fits_is_told_in_one_line(large: LocalModel) -> None:
    assert re.fullmatch(
        r"needs about \d+ GiB, 64 GiB are free", checked(large, RECIPE, 64, made_rows())
    )


def test_nothing_is_refused_where_the_system_tells_nothing(large: LocalModel) -> None:
    assert re.fullmatch(r"needs about \d+ GiB", checked(large, RECIPE, None, made_rows()))


def test_what_does_not_fit_is_refused_with_changes_that_do(large: LocalModel) -> None:
    recipe, rows = replace(RECIPE, adapter="full"), made_rows(tokens=512)
    with pytest.raises(UserError) as refused:
        checked(large, recipe, 24, rows)
    told = str(refused.value)
    assert re.match(r"training: needs about \d+ GiB, you have 24: try training\.", told), told
    offers = {
        'training.adapter = "qlora"': replace(recipe, adapter="qlora"),
        'training.adapter = "lora"': replace(recipe, adapter="lora"),
        "training.save_memory = true": replace(recipe, save_memory=True),
    }
    for words, changed in offers.items():
        need = needed(large, changed, rows).total
        figure = f"{words} ({memory_estimate._gib(need)} GiB)"
        assert (figure in told) == (need <= 24 * 2**30)
    assert "micro_tokens" not in told
    assert re.search(r"a base of at most 1\.\d billion weights \(\d+ GiB\)\.$", told)


def test_two_settings_at_once_are_offered_where_one_does_not_do(large: LocalModel) -> None:
    rows = made_rows(tokens=512)
    singly = [replace(RECIPE, save_memory=True), replace(RECIPE, adapter="qlora")]
    both = needed(large, replace(singly[1], save_memory=True), rows).total
    assert both < min(needed(large, one, rows).total for one in singly)
    with pytest.raises(UserError) as refused:
        checked(large, RECIPE, both / 2**30 + 0.01, rows)
    assert (
        f'try training.adapter = "qlora" with training.save_memory = true '
        f"({memory_estimate._gib(both)} GiB)" in str(refused.value)
    )


def test_shorter_rows_are_offered_with_a_length_that_fits(wide: LocalModel) -> None:
    rows = made_rows(tokens=4000, count=1)
    need = needed(wide, RECIPE, rows).total
    with pytest.raises(UserError) as refused:
        checked(wide, RECIPE, 0.9 * need / 2**30, rows)
    found = re.search(r"rows of at most (\d+) tokens", str(refused.value))
    assert found
    shorter = made_rows(tokens=int(found[1]), count=1)
    assert needed(wide, RECIPE, shorter).total <= 0.9 * need


def test_it_says_so_when_nothing_suffices(wide: LocalModel) -> None:
    with pytest.raises(UserError, match=r"you have 0\.10: no setting, .* a machine with more"):
        checked(wide, RECIPE, 0.1, made_rows())


def test_needed_and_free_memory_never_read_the_same(large: LocalModel) -> None:
    need = needed(large).total
    with pytest.raises(UserError) as refused:
        checked(large, RECIPE, (need - 5 * MIB) / 2**30, made_rows())
    figures = re.match(
        r"training: needs about ([\d.]+) GiB, you have ([\d.]+):", str(refused.value)
    )
    assert figures
    assert float(figures[1]) > float(figures[2])


MEASURED = """
import json, sys
from pathlib import Path
import torch, transformers

def peak():
    table = Path("/proc/self/status").read_text("ascii")
    return 1024 * int(table.split("VmHWM:")[1].split()[0])

before = peak()
from tunewise.data.read import read_examples
from tunewise.models import loading
from tunewise.models.catalog import open_model
from tunewise.progress import Silent
from tunewise.training.loop import Training
from tunewise.training.memory_estimate import estimate
from tunewise.training.rows import example_rows
from tunewise.training.recipe import Recipe

examples, folder = Path(sys.argv[1]), Path(sys.argv[2])
base = open_model("smollm2-135m-instruct", progress=Silent())
tokenizer = loading.load_tokenizer(base.folder)
rows = example_rows(tokenizer, read_examples(examples).examples)[:20]
recipe = Recipe(
    learning_rate=1e-4, epochs=1, batch_tokens=1024, seed=0, precision="float32", micro_tokens=1024
)
need = estimate(base, recipe, rows, device="cpu", precision="float32", micro_tokens=1024)
Training(base, rows, recipe, folder, device="cpu").run_epoch()
print(json.dumps([need.total, peak() - before]))
"""
"""From /proc: ru_maxrss is never below what the process had that started this one."""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no /proc tells the peak")
def test_the_starter_model_needs_what_is_estimated(starter: LocalModel, tmp_path: Path) -> None:
    examples = ROOT / "examples" / "support_triage" / "examples.jsonl"
    ran = subprocess.run(
        [sys.executable, "-c", MEASURED, str(examples), str(tmp_path / "work")],
        capture_output=True,
        text=True,
        check=True,
    )
    estimated, measured = json.loads(ran.stdout.splitlines()[-1])
    assert 0.95 * measured <= estimated <= 1.6 * measured
