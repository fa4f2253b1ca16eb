"""The models prepared on this machine: where they lie, which there are; none is opened or made."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from tunewise.errors import UserError

MANIFEST = "tunewise-manifest.json"
"""What lies beside every prepared model, with the sha256 of its files."""


def cache_folder() -> Path:
    """Where converted models lie: $TUNEWISE_CACHE, else ~/.cache/tunewise."""
    return Path(os.environ.get("TUNEWISE_CACHE") or Path.home() / ".cache" / "tunewise")


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


def prepared_folder(name: str, cache: Path | None = None) -> Path | None:
    """The newest folder that was prepared under a name, if any; nothing is verified or made."""
    root = (cache or cache_folder()) / "models"
    folders = [file.parent for file in root.glob(f"{safe_name(name)}-*/{MANIFEST}")]
    own = [folder for folder in folders if folder.name.rpartition("-")[0] == safe_name(name)]
    return max(own, key=lambda folder: folder.stat().st_mtime, default=None)


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


def safe_name(name: str) -> str:
    """A model's name as part of a folder's."""
    kept = "".join(c if c.isalnum() or c in "-_." else "-" for c in Path(name).name)
    return kept.strip(".-")[:60] or "model"
