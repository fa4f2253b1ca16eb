"""Typed doors to transformers' loaders, for folders in the hub's layout and GGUF files.

No code of a model is ever run and no pickle read. Knows nothing of names, caches or engines.
"""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
import transformers

from tunewise.data.chat import ChatTokenizer

# PEFT asks transformers for an attribute that was renamed, at every adapter.
warnings.filterwarnings("ignore", r"`is_gradient_checkpointing` is deprecated", FutureWarning)


def load_model(
    folder: Path, *, dtype: torch.dtype = torch.float32, gguf: str | None = None
) -> transformers.PreTrainedModel:
    """The causal language model in `folder`, or in its GGUF file `gguf`, in evaluation mode."""
    transformers.utils.logging.disable_progress_bar()  # ours tells more
    load = cast(
        "Callable[..., transformers.PreTrainedModel]",
        transformers.AutoModelForCausalLM.from_pretrained,  # pyright: ignore[reportUnknownMemberType]
    )
    source: dict[str, Any] = {"gguf_file": gguf} if gguf else {"use_safetensors": True}
    # Said, not left out: transformers would ask on the terminal.
    source["trust_remote_code"] = False
    return load(str(folder), dtype=dtype, attn_implementation="sdpa", **source)


def load_tokenizer(folder: Path, *, gguf: str | None = None) -> ChatTokenizer:
    """The tokenizer in `folder`, or in its GGUF file `gguf`."""
    load = cast(
        "Callable[..., ChatTokenizer]",
        transformers.AutoTokenizer.from_pretrained,  # pyright: ignore[reportUnknownMemberType]
    )
    source: dict[str, Any] = {"gguf_file": gguf} if gguf else {}
    return load(str(folder), trust_remote_code=False, **source)


def save(thing: transformers.PreTrainedModel | ChatTokenizer, folder: Path) -> None:
    """Writes a model (safetensors) or a tokenizer into `folder`."""
    cast("Callable[[str], None]", cast("Any", thing).save_pretrained)(str(folder))


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
