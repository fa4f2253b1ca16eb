"""Turns the name of a base model into a verified local folder in the hub's layout, plus a GGUF.

Conversion happens once: the folder is built beside its place and renamed into it under a lock, with
the sha256 of every file in its manifest.
"""

import contextlib
import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import transformers
from filelock import FileLock

from tunewise.errors import UserError
from tunewise.models.gguf import GGUF_NAME, from_gguf, write_gguf
from tunewise.models.loading import context_window, load_tokenizer, refuse_unknown_family
from tunewise.models.plain_tokenizer import keep_tokenizer
from tunewise.models.prepared import MANIFEST, cache_folder, safe_name
from tunewise.models.sources import KEPT, locate
from tunewise.progress import Progress
from tunewise.storage import file_sha256, replaced_folder

_FORMAT = 1  # raised whenever what lies in a cache folder changes


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalModel:
    """A base model on this machine, ready for any engine."""

    name: str
    """What the person called it."""
    folder: Path
    """safetensors, config and tokenizer, in the hub's layout."""
    family: str
    """`model_type` of its config: llama, qwen2, gemma3_text ..."""
    context_tokens: int
    """The context window, prompt and completion together."""
    sha256: str
    """Over the manifest: names exactly these weights and this tokenizer."""
    gguf: Path | None
    """q8_0 weights for OpenVINO; None where they cannot be made."""
    no_gguf: str | None
    """Why `gguf` is None, for a person."""


def open_model(name: str, *, progress: Progress, cache: Path | None = None) -> LocalModel:
    """The local form of the model `name`, made on first use.

    Args:
        name: the starter model's name, a hub id such as `org/model`, a folder, or a .gguf file.
        progress: informed about the conversion (about half a minute for the starter model).
        cache: None: `cache_folder()`.

    Raises:
        UserError: no such model, weights that would have to be unpickled, code that would have to
            be run, or a copy in the cache that cannot be made.
    """
    root = (cache or cache_folder()) / "models"
    try:
        root.mkdir(parents=True, exist_ok=True)
        source = locate(name)
        if source.is_dir():
            refuse_unknown_family(source)
        key = _key(source)
        place = root / f"{safe_name(name)}-{key}"
        with FileLock(root / f"{place.name}.lock"):
            if not _verified(place):
                _build(source, place, progress)
                keep_tokenizer(place, load_tokenizer(place), context_window(place), cache=cache)
    except OSError as error:
        raise UserError(
            f"model.base: the model {name!r} cannot be prepared in {root}: {error}. "
            "Free some disk space, or point TUNEWISE_CACHE to a folder you may write to."
        ) from error
    return _read(name, place)


def _key(source: Path) -> str:
    """A short content hash of what a cache folder is made from."""
    files = [source] if source.is_file() else [f for p in KEPT for f in source.glob(p)]
    digest = hashlib.sha256(f"{_FORMAT} {transformers.__version__}".encode())
    for file in sorted(files):
        digest.update(f"{file.name} {file_sha256(file)}".encode())
    return digest.hexdigest()[:12]


def _build(source: Path, place: Path, progress: Progress) -> None:
    """Makes the folder beside its place, then renames it there."""
    with (
        progress.task(f"preparing {place.name} (once)", total=3) as advance,
        # The converter writes the folder's name into the GGUF file: always the same one.
        replaced_folder(place, name="model") as folder,
    ):
        if source.is_file():
            from_gguf(source, folder)
        else:
            for file in sorted(f for p in KEPT for f in source.glob(p)):
                _link(file, folder / file.name)
        advance(1)
        reason = write_gguf(folder, folder / GGUF_NAME)
        advance(1)
        files = {f.name: file_sha256(f) for f in sorted(folder.iterdir())}
        manifest = {"format": _FORMAT, "files": files, "no_gguf": reason}
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=1), "utf-8")
        advance(1)


def _verified(place: Path) -> bool:
    try:
        manifest = json.loads((place / MANIFEST).read_text("utf-8"))
        files = cast("dict[str, str]", manifest["files"])
        return bool(files) and all(file_sha256(place / name) == sha for name, sha in files.items())
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _read(name: str, place: Path) -> LocalModel:
    manifest_text = (place / MANIFEST).read_text("utf-8")
    manifest = cast("dict[str, object]", json.loads(manifest_text))
    config = cast("dict[str, object]", json.loads((place / "config.json").read_text("utf-8")))
    no_gguf = manifest.get("no_gguf")
    return LocalModel(
        name=name,
        folder=place,
        family=str(config["model_type"]),
        context_tokens=context_window(place),
        sha256=hashlib.sha256(manifest_text.encode()).hexdigest(),
        gguf=None if no_gguf else place / GGUF_NAME,
        no_gguf=str(no_gguf) if no_gguf else None,
    )


def _link(source: Path, target: Path) -> None:
    """A hard link where the file system allows one, for weights: they are large. Else a copy."""
    if source.suffix == ".safetensors":
        with contextlib.suppress(OSError):
            os.link(source.resolve(), target)
            return
    shutil.copyfile(source, target)
