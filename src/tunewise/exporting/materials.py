"""What a prompt is made from: a record that brings no library that runs models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tunewise.data.documents.document import Document
from tunewise.retrieval.embed import Embedder
from tunewise.types import Example, JsonValue


@dataclass(frozen=True, kw_only=True)
class Materials:
    """What a prompt is made from beside the input."""

    settings: Mapping[str, JsonValue]
    """What the contender chose on dev."""
    instruction: str = ""
    """Of the task."""
    train: tuple[Example, ...] = ()
    """Rows that examples are taken from."""
    documents: Sequence[Document] = ()
    """Documents that passages are taken from."""
    embedder: Embedder | None = None
    """Finds examples or passages by meaning; None: by words."""
