"""What the files of a model or an adapter say of its weights, without loading the weights."""

import hashlib
import json
from math import prod
from pathlib import Path
from typing import Any, cast

ADAPTER_WEIGHTS = "adapter_model.safetensors"
ADAPTER_SETTINGS = "adapter_config.json"
EMBEDDING_MODULES = "modules.json"
"""There in a model of sentence-transformers."""
_CARD = "README.md"


def stored_tensors(folder: Path) -> dict[str, dict[str, Any]]:
    """Name of each tensor -> its `dtype` and `shape`, from the headers of all safetensors."""
    found: dict[str, dict[str, Any]] = {}
    for file in sorted(folder.glob("*.safetensors")):
        with file.open("rb") as handle:
            header = json.loads(handle.read(int.from_bytes(handle.read(8), "little")))
        tensors = cast("dict[str, dict[str, Any]]", header)
        found |= {name: facts for name, facts in tensors.items() if name != "__metadata__"}
    return found


def parameters(folder: Path) -> int:
    """How many weights a model has; matrices that share theirs are stored, and counted, once."""
    return sum(prod(facts["shape"]) for facts in stored_tensors(folder).values())


def is_whole_model(folder: Path) -> bool:
    """Whether a training of every weight wrote it: a model in the hub's layout, no adapter."""
    return (folder / "config.json").is_file() and not (folder / ADAPTER_SETTINGS).is_file()


def adapter_hash(adapter: Path) -> str:
    """sha256 (hex) of the weights and settings of an adapter, or of a whole model, also of one that
    embeds."""
    names = (ADAPTER_WEIGHTS, ADAPTER_SETTINGS)
    if is_whole_model(adapter):
        names = ("config.json", *sorted(file.name for file in adapter.glob("*.safetensors")))
    if (adapter / EMBEDDING_MODULES).is_file():
        inside = sorted(file for file in adapter.rglob("*") if file.is_file())
        names = tuple(file.relative_to(adapter).as_posix() for file in inside if file.name != _CARD)
    digest = hashlib.sha256()
    for name in names:
        with (adapter / name).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
