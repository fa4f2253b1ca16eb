"""Bakes a PEFT adapter into the q8_0 GGUF file of its base model.

The merged weight is W + s B A (Hu et al. 2021, arXiv:2106.09685) with s = alpha / r, or alpha /
sqrt(r) for rsLoRA (Kalajdzievski 2023, arXiv:2312.03732), as PEFT itself computes it; it is
quantised as the converter quantises. Merging before quantising leaves no scale for an engine to
forget.
"""

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any, cast

import gguf
import numpy as np
import peft
import torch
from numpy.typing import NDArray
from peft import PeftModel
from safetensors import SafetensorError, safe_open

from tunewise.errors import UserError, first_line
from tunewise.models import loading
from tunewise.models.catalog import LocalModel
from tunewise.models.gguf import write_gguf
from tunewise.models.stored import (
    ADAPTER_SETTINGS,
    ADAPTER_WEIGHTS,
    is_whole_model,
)
from tunewise.storage import replaced_folder

BASE_FILE = "tunewise-base.json"
"""Beside an adapter: which base it was trained for."""
_PEFT = cast("Any", peft)  # its functions carry no types
_LOW_RANK = re.compile(r"\.(lora_[AB]\.weight|lora_magnitude_vector)$")


def sign_adapter(adapter: Path, base: LocalModel) -> None:
    """Writes down which base the adapter belongs to."""
    text = json.dumps({"base": base.name, "sha256": base.sha256}, indent=1)
    (adapter / BASE_FILE).write_text(text, "utf-8")


def check_adapter(adapter: Path, base: LocalModel) -> None:
    """Refuses an adapter that is missing, pickled, or trained for another base.

    A whole model that was trained from the base is as good as an adapter.

    Raises:
        UserError: with what to do.
    """
    if is_whole_model(adapter):
        check_signature(adapter, base)
        return
    for name in (ADAPTER_WEIGHTS, ADAPTER_SETTINGS):
        if not (adapter / name).is_file():
            raise UserError(
                f"{adapter}: there is no {name} (pickled adapters are not read). "
                "Give the folder of an adapter in PEFT format."
            )
    check_signature(adapter, base)


def check_signature(adapter: Path, base: LocalModel) -> None:
    """Refuses what was trained for another base; what nobody signed is let through.

    Raises:
        UserError: with what to do.
    """
    signature = adapter / BASE_FILE
    if not signature.is_file():
        return
    try:
        signed = cast("object", json.loads(signature.read_text("utf-8")))
    except ValueError:
        signed = None
    trained_for = cast("dict[str, object]", signed) if isinstance(signed, dict) else {}
    if trained_for.get("sha256") != base.sha256:
        raise UserError(
            f"{adapter}: this adapter was trained for another base ({trained_for.get('base')}) "
            f"than {base.name} as it is now. Train it again, or choose its own base."
        )


def attach_adapter(model: object, adapter: Path, base: LocalModel, *, name: str) -> Any:
    """The base's loaded model with the adapter on it, as a PEFT model.

    Args:
        model: a transformers model, or what this function made of it: it gets one adapter more.

    Raises:
        UserError: when the adapter does not belong to the base.
    """
    check_adapter(adapter, base)
    try:
        if isinstance(model, PeftModel):
            adapted = cast("Any", model)
            loaded = adapted.load_adapter(str(adapter), adapter_name=name)
        else:
            adapted = cast("Any", PeftModel).from_pretrained(model, str(adapter), adapter_name=name)
            # Loaded once more, since only so does PEFT tell what it did not use.
            weights = _PEFT.load_peft_weights(str(adapter), device="cpu")
            loaded = _PEFT.set_peft_model_state_dict(adapted, weights, adapter_name=name)
    except (RuntimeError, ValueError, TypeError, KeyError, SafetensorError) as error:
        # shapes, names of layers, settings, a damaged file
        raise UserError(
            f"{adapter}: this adapter does not fit {base.name}: {first_line(error)} Choose the "
            "base that it was trained for."
        ) from error
    _refuse_half(adapter, base, loaded, name)
    return adapted


def _refuse_half(adapter: Path, base: LocalModel, loaded: Any, name: str) -> None:
    """Refuses an adapter of which a part would be left out, or left untrained: PEFT passes over
    both.

    Args:
        loaded: what PEFT told of keys when it loaded the adapter.
        name: of the adapter within the model.

    Raises:
        UserError: with the first tensor concerned.
    """
    unused = [key for key in loaded.unexpected_keys if "lora_" in key]
    if unused:
        raise UserError(
            f"{adapter}: unused LoRA tensors, {unused[0]} the first: {base.name} has no such "
            "place. Choose the base that it was trained for."
        )
    missing = [key for key in loaded.missing_keys if "lora_" in key and f".{name}" in key]
    if missing:
        raise UserError(
            f"{adapter}: missing LoRA tensors, {missing[0]} the first. Train the adapter again."
        )


def can_scale(adapter: Path) -> bool:
    """Whether an adapter's update is a sum of products that can count less: LoRA and rsLoRA."""
    if is_whole_model(adapter):
        return False
    settings = json.loads((adapter / ADAPTER_SETTINGS).read_text("utf-8"))
    return settings.get("peft_type") == "LORA" and not settings.get("use_dora")


def scale_adapter(adapter: Path, out: Path, scale: float) -> None:
    """Writes the same adapter with an update that counts `scale` times: W + scale * s B A.

    Args:
        adapter: one that `can_scale`.
        out: replaced, as a whole.
        scale: 1 leaves it as it is, 0 is the base.
    """
    with replaced_folder(out) as folder:
        shutil.copytree(adapter, folder, dirs_exist_ok=True)
        file = folder / ADAPTER_SETTINGS
        settings = cast("dict[str, Any]", json.loads(file.read_text("utf-8")))
        settings["lora_alpha"] *= scale
        patterns = cast("dict[str, float]", settings.get("alpha_pattern") or {})
        settings["alpha_pattern"] = {name: alpha * scale for name, alpha in patterns.items()}
        file.write_text(json.dumps(settings, indent=2), "utf-8")


def merge_into_gguf(base: LocalModel, adapter: Path, out: Path) -> None:
    """Writes the base's GGUF file with the adapter merged into its weights.

    Raises:
        UserError: when the adapter does not belong to the base, or holds more than matrices.
        ValueError: when the base has no GGUF file.
    """
    if base.gguf is None:
        raise ValueError(f"{base.name} has no GGUF file: {base.no_gguf}")
    check_adapter(adapter, base)
    if is_whole_model(adapter):
        fault = write_gguf(adapter, out)
        if fault:
            raise UserError(f'{adapter}: {fault} Set engine = "transformers" in [model].')
        return
    _check_only_matrices(adapter)
    merged = _merged_weights(base, adapter)
    beside = out.with_name(f".{out.name}-{os.getpid()}")
    try:
        shutil.copyfile(base.gguf, beside)
        _overwrite(beside, merged, base)
        beside.rename(out)
    finally:
        beside.unlink(missing_ok=True)


def merge_into_folder(base: LocalModel, adapter: Path, out: Path) -> None:
    """Writes base and adapter as one model: safetensors and tokenizer in the hub's layout.

    Args:
        base: that the adapter was trained for.
        adapter: in PEFT format, or a whole model, which is copied.
        out: a folder that does not exist yet.

    Raises:
        UserError: when the adapter does not belong to the base.
    """
    check_adapter(adapter, base)
    with replaced_folder(out) as folder:
        if is_whole_model(adapter):
            shutil.copytree(adapter, folder, dirs_exist_ok=True)
        else:
            model = attach_adapter(loading.load_model(base.folder), adapter, base, name="default")
            loading.save(model.merge_and_unload(), folder)
            loading.copy_tokenizer(base.folder, folder)
        (folder / BASE_FILE).unlink(missing_ok=True)


def _check_only_matrices(adapter: Path) -> None:
    """What is not merged would be lost: embeddings, biases, a head of its own."""
    try:
        with cast("Any", safe_open)(adapter / ADAPTER_WEIGHTS, framework="numpy") as weights:
            names = cast("list[str]", list(weights.keys()))
    except SafetensorError as error:
        raise UserError(f"{adapter}: its weights are damaged: {error}. Train it again.") from error
    others = [name for name in names if not _LOW_RANK.search(name)]
    if others:
        raise UserError(
            f"{adapter}: this adapter holds more than low-rank matrices of linear layers "
            f"({others[0]}), which cannot be merged into a GGUF file. Set engine = "
            '"transformers" in [model].'
        )


def _merged_weights(base: LocalModel, adapter: Path) -> dict[str, NDArray[np.float32]]:
    """Name of each adapted weight in the base's state dict -> the merged matrix (out, in)."""
    model = attach_adapter(loading.load_model(base.folder), adapter, base, name="default")
    touched = [
        name.removesuffix(".lora_A.default.weight").removeprefix("base_model.model.")
        for name, _ in model.named_parameters()
        if name.endswith(".lora_A.default.weight")
    ]
    plain = model.merge_and_unload()
    weights: dict[str, torch.Tensor] = dict(plain.named_parameters())
    return {
        f"{name}.weight": weights[f"{name}.weight"].detach().float().numpy() for name in touched
    }


def _overwrite(file: Path, merged: dict[str, NDArray[np.float32]], base: LocalModel) -> None:
    reader = gguf.GGUFReader(file, "r+")
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    config = cast(
        "dict[str, Any]", json.loads((base.folder / "config.json").read_text(encoding="utf-8"))
    )
    architecture = {
        "llama": gguf.MODEL_ARCH.LLAMA,
        "qwen2": gguf.MODEL_ARCH.QWEN2,
        "qwen3": gguf.MODEL_ARCH.QWEN3,
    }[base.family]
    names = gguf.get_tensor_name_map(architecture, int(config["num_hidden_layers"]))
    heads = int(config["num_attention_heads"])
    kv_heads = int(config.get("num_key_value_heads") or heads)
    for name, matrix in merged.items():
        gguf_name = names.get_name(name, try_suffixes=(".weight",))
        if gguf_name is None:
            raise ValueError(f"the GGUF format has no place for {name}")
        if base.family == "llama" and re.search(r"\.[qk]_proj\.weight$", name):
            matrix = _interleaved(matrix, heads if ".q_proj" in name else kv_heads)
        tensor = tensors[gguf_name]
        tensor.data[:] = gguf.quants.quantize(matrix, tensor.tensor_type)
    data = cast("Any", reader).data
    data.flush()


def _interleaved(matrix: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """The row order in which GGUF keeps Llama's rotary halves: (heads * d, in), same shape."""
    rows, columns = matrix.shape
    halves = matrix.reshape(heads, 2, rows // heads // 2, columns)
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(rows, columns))
