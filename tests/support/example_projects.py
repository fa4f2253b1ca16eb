"""Rows and modules of the projects in examples/."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

EXAMPLES = Path(__file__).parents[2] / "examples"


def example_rows(example: str, name: str = "examples.jsonl") -> list[dict[str, Any]]:
    text = (EXAMPLES / example / name).read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def example_module(example: str, name: str) -> ModuleType:
    """A module of the example under a name of its own; it can import those beside it."""
    folder = EXAMPLES / example
    spec = importlib.util.spec_from_file_location(f"{example}_{name}", folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with patch.object(sys, "path", [str(folder), *sys.path]):
        spec.loader.exec_module(module)
    return module
