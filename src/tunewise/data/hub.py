"""Fetches a data set from the Hugging Face hub into the cache that other tools share."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import huggingface_hub
from huggingface_hub import errors as hub_errors

from tunewise.errors import UserError, first_line

SCHEME = "hf://datasets/"
# Of the HTTP client that the hub's library uses; it has changed once.
_NETWORK_ERROR = cast("type[Exception]", cast("Any", hub_errors).HTTPError)


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
    except (OSError, ValueError, _NETWORK_ERROR) as error:
        raise UserError(
            f"[data]: {name} is no file here, and cannot be fetched from the hub: {_why(error)} "
            "Check the name and the network, or give a local folder."
        ) from error
    return Fetched(Path(folder), pattern)


def _parts(name: str) -> tuple[str, str, str | None, str | None]:
    owner, _, rest = name.removeprefix(SCHEME).partition("/")
    found = re.fullmatch(r"([\w.-]+)(?:@([^/]+))?(?:/(.+))?", rest)
    if found is None:
        raise UserError(f"[data]: {name} is no data set. Write {SCHEME}OWNER/NAME.")
    repository, revision, pattern = found.groups()
    return owner, str(repository), revision, pattern


def _why(error: BaseException) -> str:
    """One sentence."""
    if isinstance(error, hub_errors.GatedRepoError):
        return "it is gated: accept its terms on the hub, and log in with `hf auth login`."
    if isinstance(error, hub_errors.RepositoryNotFoundError):
        return "the hub does not show such a data set to you."
    if isinstance(error, hub_errors.LocalEntryNotFoundError):
        return "the hub cannot be reached, and it was never fetched before."
    return f"{first_line(error).removesuffix('.')}."
