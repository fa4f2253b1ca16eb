"""Loads models, configurations and tokenizers with transformers, from hub folders and GGUF files.

No code of a model is ever run and no pickle read.
"""

import json
import logging
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
import transformers

from tunewise.chat.template import set_thinking
from tunewise.chat.tokenize import ChatTokenizer
from tunewise.errors import UserError

NO_WINDOW = 2048
"""Tokens that a model takes whose config tells no bound."""

# PEFT imports bitsandbytes where it is, which warns that a package is missing that would fetch
# compiled code from the hub.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
# PEFT asks transformers for an attribute that was renamed, at every adapter.
warnings.filterwarnings("ignore", r"`is_gradient_checkpointing` is deprecated", FutureWarning)


def refuse_unknown_family(folder: Path) -> None:
    """Refuses a model of an architecture that transformers does not know.

    Raises:
        UserError: with the name of the family.
    """
    file = folder / "config.json"
    family = json.loads(file.read_text("utf-8")).get("model_type")
    if family not in cast("Any", transformers).CONFIG_MAPPING:
        raise UserError(
            f"model.base: {file} names the model_type {family!r}, which transformers "
            f"{transformers.__version__} does not know. Choose another model."
        )


def load_model(
    folder: Path,
    *,
    dtype: torch.dtype = torch.float32,
    gguf: str | None = None,
    four_bits_on: str | None = None,
) -> transformers.PreTrainedModel:
    """The causal language model in `folder`, or in its GGUF file `gguf`, in evaluation mode.

    Args:
        folder: in the hub's layout.
        dtype: of the weights.
        gguf: name of a GGUF file in the folder.
        four_bits_on: a device, on which linear layers are kept as 4-bit NormalFloat, quantised
            twice (Dettmers et al. 2023, arXiv:2305.14314).
    """
    transformers.utils.logging.disable_progress_bar()  # ours tells more
    load = cast(
        "Callable[..., transformers.PreTrainedModel]",
        transformers.AutoModelForCausalLM.from_pretrained,  # pyright: ignore[reportUnknownMemberType]
    )
    source: dict[str, Any] = {"gguf_file": gguf} if gguf else {"use_safetensors": True}
    if four_bits_on:
        quantise = cast("Callable[..., Any]", transformers.BitsAndBytesConfig)
        source["quantization_config"] = quantise(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
        source["device_map"] = {"": four_bits_on}
    # Said, not left out: transformers would ask on the terminal.
    source["trust_remote_code"] = False
    model = load(str(folder), dtype=dtype, **source)
    if four_bits_on:
        _keep_trainable(model)
    return model


def _keep_trainable(model: Any) -> None:
    """Keeps bitsandbytes from packing 4-bit weights anew for inference on a CPU.

    Where the chip multiplies bfloat16 it would do so the first time that a model in evaluation
    mode reads anything, for good: no gradient goes through such a layer from then on.
    """
    for layer in model.modules():
        if hasattr(layer, "support_avx512bf16_for_cpu"):
            layer.support_avx512bf16_for_cpu = False


def load_tokenizer(
    folder: Path, *, gguf: str | None = None, thinking: bool = False
) -> ChatTokenizer:
    """The tokenizer in `folder`, or in its GGUF file `gguf`.

    Args:
        folder: in the hub's layout.
        gguf: name of a GGUF file in the folder.
        thinking: whether its chat template asks the model to think (`rendering.thinks`).
    """
    load = cast(
        "Callable[..., ChatTokenizer]",
        transformers.AutoTokenizer.from_pretrained,  # pyright: ignore[reportUnknownMemberType]
    )
    source: dict[str, Any] = {"gguf_file": gguf} if gguf else {}
    return set_thinking(load(str(folder), trust_remote_code=False, **source), thinking=thinking)


def hidden_width(folder: Path) -> int:
    """Numbers in a hidden state of the model in `folder`."""
    config = cast("Any", transformers.AutoConfig).from_pretrained(str(folder))
    return int(config.get_text_config().hidden_size)


def cache_bytes(folder: Path) -> int:
    """Bytes that keys and values of one token take in 32 bits, all layers of the model together."""
    config = cast("Any", transformers.AutoConfig).from_pretrained(str(folder)).get_text_config()
    heads = config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    kept = getattr(config, "num_key_value_heads", None) or heads
    return 2 * 4 * config.num_hidden_layers * kept * width


def context_window(folder: Path) -> int:
    """Tokens that the model in `folder` takes, prompt and completion together.

    Families name it in ways of their own (GPT-2: `n_positions`); the config object knows them.
    `NO_WINDOW` for those that name none, such as the recurrent ones.
    """
    config = cast("Any", transformers.AutoConfig).from_pretrained(str(folder)).get_text_config()
    named = (getattr(config, name, None) for name in ("max_position_embeddings", "max_seq_len"))
    return next((window for window in named if isinstance(window, int)), NO_WINDOW)


def save(thing: transformers.PreTrainedModel | ChatTokenizer, folder: Path) -> None:
    """Writes a model (safetensors) or a tokenizer into `folder`."""
    cast("Callable[[str], None]", cast("Any", thing).save_pretrained)(str(folder))


def copy_tokenizer(source: Path, folder: Path) -> None:
    """Copies what belongs to the tokenizer, and how answers end, from one model to another."""
    for pattern in ("tokenizer*", "*.jinja", "special_tokens_map.json", "generation_config.json"):
        for file in source.glob(pattern):
            shutil.copyfile(file, folder / file.name)


def end_token_ids(model_folder: Path, tokenizer: ChatTokenizer) -> frozenset[int]:
    """Tokens that end an answer: those of the generation config, and the tokenizer's own."""
    ids: set[int] = set()
    source = transformers.GenerationConfig
    if not (model_folder / "generation_config.json").is_file():
        source = transformers.AutoConfig
    config = cast("Any", source).from_pretrained(str(model_folder))
    declared: object = getattr(config, "eos_token_id", None)
    if isinstance(declared, int):
        ids.add(declared)
    elif isinstance(declared, list):
        ids.update(cast("list[int]", declared))
    if isinstance(tokenizer.eos_token, str):
        ids.update(tokenizer.encode(tokenizer.eos_token, add_special_tokens=False)[:1])
    return frozenset(ids)
