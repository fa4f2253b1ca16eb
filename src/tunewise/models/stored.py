"""What the files of a model folder say of its weights, without reading the weights."""

import json
from math import prod
from pathlib import Path
from typing import Any, cast


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
