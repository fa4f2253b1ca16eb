"""Puts an adapter on a base model, and takes what was trained off again.

PEFT owns adapters: LoRA (Hu et al. 2021, arXiv:2106.09685), rsLoRA (Kalajdzievski 2023,
arXiv:2312.03732), DoRA (Liu et al. 2024, arXiv:2402.09353), PiSSA (Meng et al. 2024,
arXiv:2404.02948) and QLoRA (Dettmers et al. 2023, arXiv:2305.14314: NF4 weights, quantised twice).
"""

import importlib.util
import tempfile
import warnings
from pathlib import Path
from typing import Any, cast

import peft
import torch
from safetensors import SafetensorError
from safetensors import torch as safetensors_torch

from tunewise.errors import UserError
from tunewise.models import loading
from tunewise.models.adapters import check_adapter, sign_adapter
from tunewise.models.catalog import LocalModel
from tunewise.models.stored import ADAPTER_WEIGHTS, is_whole_model
from tunewise.storage import replaced_folder
from tunewise.training.fused_layers import fuse_adapters, fuse_norms
from tunewise.training.hardware import Precision
from tunewise.training.recipe import Recipe

# What it recommends is what `save_trained` does.
warnings.filterwarnings("ignore", r"(PiSSA|OLoRA) changes the base weights", UserWarning)
_PEFT = cast("Any", peft)  # its functions carry no types
MUTATING = ("pissa", "olora")
"""Initialisations that take the adapter's start out of the base's weights."""


def adapted_model(base: LocalModel, recipe: Recipe, *, device: str) -> Any:
    """The base with a fresh adapter, whose start `recipe.seed` decides, in float32.

    Args:
        base: the model to adapt.
        recipe: adapter, rank, alpha, dropout and initialisation.
        device: torch device.

    Raises:
        UserError: qlora without bitsandbytes.
    """
    torch.manual_seed(recipe.seed)  # pyright: ignore[reportUnknownMemberType]
    if recipe.adapter == "full":
        return cast("Any", loading.load_model(base.folder)).to(device)
    if recipe.adapter == "qlora":
        _require_bitsandbytes()
        model = cast("Any", loading.load_model(base.folder, four_bits_on=device))
    else:
        model = cast("Any", loading.load_model(base.folder)).to(device)
    config = _PEFT.LoraConfig(
        task_type="CAUSAL_LM",
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        # What is compared with a reference must not differ from it by chance.
        lora_dropout=0.0 if recipe.objective.needs_reference else recipe.dropout,
        target_modules="all-linear",
        use_rslora=recipe.adapter == "rslora",
        use_dora=recipe.adapter == "dora",
        init_lora_weights=True if recipe.initialisation == "default" else recipe.initialisation,
    )
    adapted = _PEFT.get_peft_model(model, config)
    # A set, written in an order that differs between processes: equal adapters would not have
    # equal files.
    chosen = adapted.peft_config["default"]
    chosen.target_modules = sorted(chosen.target_modules)
    return adapted


def fuse(model: Any) -> None:
    """Makes norms and plain LoRA layers compute as one operation each (`fused_layers`)."""
    fuse_adapters(model)
    fuse_norms(model)


def keep_in(precision: Precision, model: Any) -> None:
    """Turns frozen matrices into the format they are multiplied in, in place."""
    for layer in model.modules():
        if hasattr(layer, "quant_state"):  # 4-bit: unpacked into what it is multiplied in
            layer.compute_dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    if precision == "bfloat16":  # as autocast would at every step, but once
        for name, weight in model.named_parameters():
            frozen = not weight.requires_grad and weight.dtype == torch.float32
            if frozen and name.endswith("base_layer.weight"):
                weight.data = weight.data.bfloat16()
        head = model.get_output_embeddings()
        if not head.weight.requires_grad:  # apart from the embeddings, which are looked up
            narrow = head.weight.data.bfloat16()
            head.weight = torch.nn.Parameter(narrow, requires_grad=False)


def load_trained(model: Any, base: LocalModel, recipe: Recipe, folder: Path) -> None:
    """Puts what `save_trained` wrote back, as the start of another training.

    Raises:
        UserError: it belongs to another base, was made in another way than the recipe's, or the
            recipe's start is taken out of the base's weights.
    """
    if recipe.initialisation.startswith(MUTATING):
        raise UserError(
            f"training.initialisation: {recipe.initialisation} cannot go on from an adapter that "
            'was trained before. Use "default".'
        )
    check_adapter(folder, base)
    _check_made_alike(folder, recipe)
    if recipe.adapter == "full":
        model.load_state_dict(loading.load_model(folder).state_dict())
        return
    weights = cast("Any", safetensors_torch).load_file(folder / ADAPTER_WEIGHTS)
    try:
        others = _PEFT.set_peft_model_state_dict(model, weights).unexpected_keys
    except RuntimeError as error:  # shapes
        others = str(error).strip().splitlines()[-1:]
    if others:
        raise UserError(
            f"{folder}: a training cannot go on from this adapter, whose layers are not those "
            f"that are adapted here ({others[0].strip()}). Leave it out."
        )


def _check_made_alike(folder: Path, recipe: Recipe) -> None:
    """What is loaded into layers of another rank or scale would not be what was trained."""
    needed: dict[str, object] = {"adapter": recipe.adapter.removeprefix("q")}
    found: dict[str, object] = {"adapter": "full"}
    if not is_whole_model(folder):
        config = _PEFT.LoraConfig.from_pretrained(str(folder))
        kind = "rslora" if config.use_rslora else "lora"
        found = {"adapter": "dora" if config.use_dora else kind}
        if recipe.adapter != "full":
            found |= {"rank": config.r, "alpha": config.lora_alpha}
            needed |= {"rank": recipe.rank, "alpha": recipe.alpha}
    if found != needed:
        unlike = [key for key in found if found[key] != needed[key]]
        raise UserError(
            f"{folder}: a training that goes on from this keeps its "
            f"{' and '.join(f'{key} {found[key]}' for key in unlike)}, not "
            f"{' and '.join(str(needed[key]) for key in unlike)}. Change [training] accordingly."
        )


def trained_weights(model: Any) -> dict[str, torch.nn.Parameter]:
    """Name -> each weight that is trained, in an order that does not change."""
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def save_trained(model: Any, base: LocalModel, recipe: Recipe, folder: Path) -> None:
    """Replaces `folder` by what was trained, signed with its base: all of it or nothing.

    An adapter in PEFT format; with `full` the whole model in the hub's layout. An adapter whose
    start was taken out of the base (PiSSA, OLoRA) is written as one of twice the rank that fits
    the base as it is.

    Raises:
        UserError: it cannot be written.
    """
    try:
        with replaced_folder(folder) as new:
            _write(model, base, recipe, new)
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"{folder}: what was trained cannot be written: {error}. Free some space, then go on "
            "with --resume: the training itself is kept."
        ) from error


def _write(model: Any, base: LocalModel, recipe: Recipe, folder: Path) -> None:
    if recipe.adapter == "full":
        loading.save(model, folder)
        loading.copy_tokenizer(base.folder, folder)
    else:
        config = model.peft_config["default"]
        config.base_model_name_or_path = base.name
        # Embeddings are never trained; peft would ask the hub whether they were.
        settings: dict[str, Any] = {"save_embedding_layers": False}
        if recipe.initialisation.startswith(MUTATING):
            _save_converted(model, base, recipe, folder, settings)
        else:
            model.save_pretrained(str(folder), **settings)
        (folder / "README.md").unlink(missing_ok=True)  # PEFT's, to be filled in by hand
    sign_adapter(folder, base)


def _save_converted(
    model: Any, base: LocalModel, recipe: Recipe, folder: Path, settings: dict[str, Any]
) -> None:
    """W_res + s B A = W + s (B A - B0 A0): the start is made again from the seed."""
    fresh = adapted_model(base, recipe, device="cpu")
    with tempfile.TemporaryDirectory(prefix="tunewise-start-") as start:
        fresh.peft_config["default"].init_lora_weights = True
        fresh.save_pretrained(start, save_embedding_layers=False)
        config = model.peft_config["default"]
        before = (config.init_lora_weights, config.r, config.lora_alpha)
        model.save_pretrained(
            str(folder), path_initial_model_for_weight_conversion=start, **settings
        )
        config.init_lora_weights, config.r, config.lora_alpha = before


def _require_bitsandbytes() -> None:
    missing = [
        name for name in ("bitsandbytes", "accelerate") if importlib.util.find_spec(name) is None
    ]
    if missing:
        raise UserError(
            f"training.adapter: qlora needs {' and '.join(missing)}. Install tunewise[qlora], or "
            'choose adapter = "lora".'
        )
