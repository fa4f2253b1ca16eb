"""A library that runs models, as the engine's process sees it: files to open, lanes that run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tunewise.chat.tokenize import ChatTokenizer
from tunewise.models.catalog import LocalModel
from tunewise.serving.engine.lane import Lane


@dataclass(frozen=True, kw_only=True, slots=True)
class Base:
    """A base model on this machine."""

    model: LocalModel
    file: Path
    """What is opened: a GGUF file, or a folder in the hub's layout."""
    tokenizer: ChatTokenizer
    ends: frozenset[int]
    """Tokens that end an answer."""
    block_bytes: int
    """Of keys and values, a block of the cache."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """What can be opened at once."""

    base: Base
    file: Path
    """Of the base, or merged with the adapter."""


class Backend(Protocol):
    """One of the engines."""

    suffix: str
    """Of the names of merged files; empty: they are folders."""

    def base_file(self, name: str, model: LocalModel) -> Path:
        """What is opened of a base model; made on first use. In the thread that prepares.

        Args:
            name: what `model` was opened as.
            model: a base.

        Raises:
            UserError: it cannot be served with this engine.
        """
        ...

    def merge(self, model: LocalModel, adapter: Path, out: Path) -> None:
        """Writes the base with the adapter merged into its weights. In the thread that prepares.

        Raises:
            UserError: the adapter does not belong to the base, or cannot be merged.
        """
        ...

    def open(self, prepared: Prepared, blocks: int) -> Lane:
        """Opens a pipeline and has it answer once. In the thread that owns all lanes.

        Args:
            prepared: what is opened.
            blocks: of keys and values that all answers together may take.
        """
        ...
