"""Fetches a data set from the Hugging Face hub into the cache that other tools share."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import huggingface_hub

from tunewise.errors import UserError, fetch_errors, why_not_fetched

SCHEME = "hf://datasets/"


class Fetched(NamedTuple):
    """A data set of the hub on this machine."""

    folder: Path
    pattern: str | None
    """Which of its files are meant; None: the data set says."""


def fetch(name: str, wanted: Sequence[str]) -> Fetched:
    """Fetches a data set, or finds it in the cache.

    Args:
        name: `hf://datasets/OWNER/NAME`, perhaps `@REVISION`, perhaps `/PATH` or a pattern of
            paths.
        wanted: patterns of the files to fetch where the name has none.

    Raises:
        UserError: the hub does not have it, or cannot be reached.
    """
    owner, repository, revision, pattern = _parts(name)
    try:
        download = cast("Callable[..., str]", cast("Any", huggingface_hub).snapshot_download)
        folder = download(
            f"{owner}/{repository}",
            repo_type="dataset",
            revision=revision,
            allow_patterns=[pattern] if pattern else [*wanted],
        )
    except fetch_errors() as error:
        raise UserError(
            f"[data]: {name} is no file here, and cannot be fetched from the hub: "
            f"{why_not_fetched(error, 'data set')} Check the name and the network, "
            "or give a local folder."
        ) from error
    return Fetched(Path(folder), pattern)


def _parts(name: str) -> tuple[str, str, str | None, str | None]:
    owner, _, rest = name.removeprefix(SCHEME).partition("/")
    found = re.fullmatch(r"([\w.-]+)(?:@([^/]+))?(?:/(.+))?", rest)
    if found is None:
        raise UserError(f"[data]: {name} is no data set. Write {SCHEME}OWNER/NAME.")
    repository, revision, pattern = found.groups()
    return owner, str(repository), revision, pattern
