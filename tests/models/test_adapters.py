import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from small_models import adapter, merged_folder, tensors, write_small_gguf
from tunewise.errors import UserError
from tunewise.models import loading
from tunewise.models.adapters import (
    attach_adapter,
    can_scale,
    check_adapter,
    merge_into_folder,
    merge_into_gguf,
    scale_adapter,
)
from tunewise.models.catalog import LocalModel
from tunewise.models.gguf import write_gguf
from tunewise.models.stored import adapter_hash

KINDS = {
    "lora with alpha / r = 3": {},
    "rslora, scaled by alpha / sqrt(r)": {"use_rslora": True},
    "dora, with magnitudes": {"use_dora": True},
    "lora on two layers only": {"target_modules": ["q_proj", "down_proj"]},
}


@pytest.mark.parametrize("lora", KINDS.values(), ids=KINDS.keys())
@pytest.mark.parametrize("base", ["small_llama", "small_qwen"])
def test_the_merged_file_is_what_the_converter_makes_of_the_merged_model(
    base: str, lora: dict[str, object], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    model: LocalModel = request.getfixturevalue(base)
    trained = adapter(model, tmp_path / "adapter", **lora)
    merge_into_gguf(model, trained, tmp_path / "ours.gguf")
    folder = merged_folder(model, trained, tmp_path / "merged")
    write_small_gguf(folder, tmp_path / "theirs.gguf")
    ours, theirs = tensors(tmp_path / "ours.gguf"), tensors(tmp_path / "theirs.gguf")
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == []
    assert model.gguf
    changed = {name for name, value in tensors(model.gguf).items() if ours[name] != value}
    assert len(changed) == (4 if "target_modules" in lora else 14)


@pytest.mark.parametrize("lora", [{}, {"use_rslora": True}], ids=["lora", "rslora"])
def test_a_scaled_adapter_goes_that_part_of_the_way(
    small_llama: LocalModel, tmp_path: Path, lora: dict[str, object]
) -> None:
    trained = adapter(small_llama, tmp_path / "adapter", **lora)
    scale_adapter(trained, tmp_path / "half", 0.5)
    check_adapter(tmp_path / "half", small_llama)
    base, full, half = (
        loading.load_model(folder).state_dict()
        for folder in (
            small_llama.folder,
            merged_folder(small_llama, trained, tmp_path / "full-merged"),
            merged_folder(small_llama, tmp_path / "half", tmp_path / "half-merged"),
        )
    )
    moved = {name for name in base if not base[name].equal(full[name])}
    assert moved
    for name in moved:
        middle = (base[name] + full[name]) / 2
        assert half[name].allclose(middle, atol=1e-5)


def test_what_has_magnitudes_or_is_a_whole_model_cannot_be_scaled(
    small_llama: LocalModel, tmp_path: Path
) -> None:
    assert can_scale(adapter(small_llama, tmp_path / "lora"))
    assert not can_scale(adapter(small_llama, tmp_path / "dora", use_dora=True))
    assert not can_scale(small_llama.folder)


def test_an_adapter_whose_alpha_were_ignored_would_give_other_weights(
    small_llama: LocalModel, tmp_path: Path
) -> None:
    trained = adapter(small_llama, tmp_path / "adapter", rank=8, alpha=24)
    merge_into_gguf(small_llama, trained, tmp_path / "right.gguf")
    settings = json.loads((trained / "adapter_config.json").read_text())
    (trained / "adapter_config.json").write_text(json.dumps({**settings, "lora_alpha": 8}))
    merge_into_gguf(small_llama, trained, tmp_path / "wrong.gguf")
    right, wrong = tensors(tmp_path / "right.gguf"), tensors(tmp_path / "wrong.gguf")
    assert sum(right[name] != wrong[name] for name in right) == 14


def test_the_base_file_stays_as_it_was(small_llama: LocalModel, tmp_path: Path) -> None:
    assert small_llama.gguf
    before = small_llama.gguf.read_bytes()
    merge_into_gguf(small_llama, adapter(small_llama, tmp_path / "a"), tmp_path / "merged.gguf")
    assert small_llama.gguf.read_bytes() == before


def test_an_adapter_of_another_base_is_refused(
    small_llama: LocalModel, small_qwen: LocalModel, tmp_path: Path
) -> None:
    trained = adapter(small_qwen, tmp_path / "adapter")
    with pytest.raises(UserError, match="trained for another base"):
        merge_into_gguf(small_llama, trained, tmp_path / "merged.gguf")
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]


def test_an_adapter_without_a_signature_is_taken_at_its_word(
    small_llama: LocalModel, tmp_path: Path
) -> None:
    trained = adapter(small_llama, tmp_path / "adapter")
    (trained / "tunewise-base.json").unlink()
    check_adapter(trained, small_llama)


def test_a_damaged_signature_is_one_clear_error(small_llama: LocalModel, tmp_path: Path) -> None:
    trained = adapter(small_llama, tmp_path / "adapter")
    for damaged in ("{", "[]", '"text"'):
        (trained / "tunewise-base.json").write_text(damaged)
        with pytest.raises(UserError, match="another base"):
            check_adapter(trained, small_llama)


@pytest.mark.parametrize("missing", ["adapter_model.safetensors", "adapter_config.json"])
def test_a_folder_that_is_no_whole_adapter_is_refused(
    missing: str, small_llama: LocalModel, tmp_path: Path
) -> None:
    trained = adapter(small_llama, tmp_path / "adapter")
    (trained / missing).unlink()
    with pytest.raises(UserError, match=missing):
        merge_into_gguf(small_llama, trained, tmp_path / "merged.gguf")


def test_a_pickled_adapter_is_refused(small_llama: LocalModel, tmp_path: Path) -> None:
    trained = adapter(small_llama, tmp_path / "adapter")
    (trained / "adapter_model.safetensors").rename(trained / "adapter_model.bin")
    with pytest.raises(UserError, match="pickled adapters are not read"):
        check_adapter(trained, small_llama)


@pytest.mark.parametrize(
    "lora",
    [
        {"modules_to_save": ["lm_head"]},
        {"target_modules": ["q_proj", "embed_tokens"]},
        {"bias": "lora_only"},
    ],
    ids=["a head of its own", "an embedding", "biases"],
)
def test_what_an_adapter_trained_beside_its_matrices_is_never_left_out_in_silence(
    lora: dict[str, object], small_qwen: LocalModel, tmp_path: Path
) -> None:
    trained = adapter(small_qwen, tmp_path / "adapter", **lora)
    with pytest.raises(UserError, match="more than low-rank matrices"):
        merge_into_gguf(small_qwen, trained, tmp_path / "merged.gguf")


@pytest.mark.parametrize(("added", "left_out", "why"), [(1, 0, "unused"), (0, 1, "missing")])
def test_a_lora_tensor_that_is_not_used_or_not_there_is_an_error_whatever_runs_the_adapter(
    added: int, left_out: int, why: str, small_llama: LocalModel, tmp_path: Path
) -> None:
    """PEFT passes over both, and the model would be another than the one that was judged."""
    trained = adapter(small_llama, tmp_path / "adapter")
    tensors = load_file(trained / "adapter_model.safetensors")
    name = "base_model.model.model.layers.1.self_attn.q_proj.lora_B.weight"
    more = {name.replace("layers.1", "layers.2"): tensors[name].clone()} if added else {}
    kept = {key: value for key, value in tensors.items() if key != name or not left_out}
    save_file({**kept, **more}, trained / "adapter_model.safetensors")
    concerned = name.replace("layers.1", "layers.2" if added else "layers.1").removesuffix("weight")
    refused = pytest.raises(UserError, match=rf"{why} LoRA tensors, {concerned}")
    plain, tuned = loading.load_model(small_llama.folder), adapter(small_llama, tmp_path / "other")
    several = attach_adapter(plain, tuned, small_llama, name="first")
    with refused:  # as `decide` asks it with transformers, beside others
        attach_adapter(several, trained, small_llama, name="second")
    with refused:  # OpenVINO and llama.cpp
        merge_into_gguf(small_llama, trained, tmp_path / "merged.gguf")
    with refused:  # transformers that serves, and what is exported
        merge_into_folder(small_llama, trained, tmp_path / "merged")
    assert not list(tmp_path.glob("merged*"))


def test_a_base_without_a_gguf_file_says_why(small_llama: LocalModel, tmp_path: Path) -> None:
    from dataclasses import replace

    base = replace(small_llama, gguf=None, no_gguf="because")
    with pytest.raises(ValueError, match="has no GGUF file: because"):
        merge_into_gguf(base, tmp_path, tmp_path / "merged.gguf")


def test_the_hash_of_an_adapter_covers_weights_and_scale_and_not_its_place(
    small_llama: LocalModel, tmp_path: Path
) -> None:
    one = adapter(small_llama, tmp_path / "one")
    shutil.copytree(one, tmp_path / "copy")
    scaled = adapter(small_llama, tmp_path / "scaled", alpha=8)
    other = adapter(small_llama, tmp_path / "other", seed=1)
    assert adapter_hash(one) == adapter_hash(tmp_path / "copy")
    assert len({adapter_hash(folder) for folder in (one, scaled, other)}) == 3


@pytest.mark.slow
@pytest.mark.parametrize("lora", [{}, {"use_rslora": True}], ids=["lora", "rslora"])
def test_the_starter_model_is_merged_as_the_converter_would(
    lora: dict[str, object], starter: LocalModel, tmp_path: Path
) -> None:
    trained = adapter(starter, tmp_path / "adapter", rank=8, alpha=24, **lora)
    merge_into_gguf(starter, trained, tmp_path / "ours.gguf")
    folder = merged_folder(starter, trained, tmp_path / "merged")
    assert write_gguf(folder, tmp_path / "theirs.gguf") is None
    ours, theirs = tensors(tmp_path / "ours.gguf"), tensors(tmp_path / "theirs.gguf")
    assert [name for name in theirs if ours.get(name) != theirs[name]] == []
    assert len(ours) == len(theirs) == 272
