"""Finds the tokenizer of a base model on this machine; it prepares no model and fetches nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import huggingface_hub

from tunewise.chat.template import set_thinking
from tunewise.chat.tokenize import ChatTokenizer
from tunewise.errors import UserError, first_line
from tunewise.models.plain_tokenizer import keep_tokenizer, kept_tokenizer
from tunewise.models.prepared import prepared_folder
from tunewise.models.sources import locate
from tunewise.project.settings import STARTER_MODEL, Model

_KEPT = ("*.json", "*.jinja", "tokenizer.model", "*.txt")


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundTokenizer:
    """A tokenizer and the window of its model, or why there is none."""

    name: str
    """What the project calls the model."""
    tokenizer: ChatTokenizer | None = None
    context_tokens: int = 0
    """The context window, prompt and completion together."""
    why_not: str = ""
    """One sentence, where there is no tokenizer."""


def find_tokenizer(settings: Model, *, cache: Path | None = None) -> FoundTokenizer:
    """The tokenizer of a project's base model, if it is on this machine; of several, the first's.

    Args:
        settings: the project's [model].
        cache: where prepared models lie; None: the usual folder.
    """
    name = settings.bases[0]
    if settings.engine in ("openai", "scripted"):
        return FoundTokenizer(name=name, why_not=f"{name} runs behind the engine {settings.engine}")
    folder = _folder(name, cache)
    if folder is None:
        return FoundTokenizer(name=name, why_not=f"the model {name} is not on this machine yet")
    kept = kept_tokenizer(folder, cache=cache)
    if kept is not None:
        tokenizer = set_thinking(kept.tokenizer, thinking=settings.thinking is True)
        return FoundTokenizer(name=name, tokenizer=tokenizer, context_tokens=kept.context_tokens)
    from tunewise.models import loading  # noqa: PLC0415 - brings torch, once for each model

    try:
        tokenizer = loading.load_tokenizer(folder, thinking=settings.thinking is True)
        context_tokens = loading.context_window(folder)
    except (OSError, ValueError, LookupError, TypeError) as error:
        why_not = f"the tokenizer of {name} cannot be read: {first_line(error)}"
        return FoundTokenizer(name=name, why_not=why_not)
    keep_tokenizer(folder, tokenizer, context_tokens, cache=cache)
    return FoundTokenizer(name=name, tokenizer=tokenizer, context_tokens=context_tokens)


def _folder(name: str, cache: Path | None) -> Path | None:
    path = Path(name).expanduser()
    if name == STARTER_MODEL or path.is_file():
        return prepared_folder(name, cache)
    try:
        return locate(name) if path.is_dir() else _in_hub_cache(name)
    except UserError:
        return None


def _in_hub_cache(name: str) -> Path | None:
    find = cast("Callable[..., str]", cast("Any", huggingface_hub).snapshot_download)
    try:
        folder = Path(find(name, allow_patterns=[*_KEPT], local_files_only=True))
    except (OSError, ValueError):
        return None
    return folder if (folder / "config.json").is_file() else None
