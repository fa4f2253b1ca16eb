"""Keeps the vectors of texts that are searched, so that opening a model computes none anew."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tunewise.exporting.bundle import VECTORS, Bundle
from tunewise.retrieval.embed import Embedder


class StoredEmbedder:
    """Another embedder, which is not asked for texts whose vectors are known.

    Args:
        inner: for all other texts.
        known: text -> its vector.
    """

    def __init__(self, inner: Embedder, known: Mapping[str, NDArray[np.float32]]) -> None:
        self.name = inner.name
        self._inner, self._known = inner, known

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See `Embedder.encode`."""
        if texts and all(text in self._known for text in texts):
            return np.stack([self._known[text] for text in texts])
        return self._inner.encode(texts)


def write_vectors(folder: Path, embedder: Embedder, texts: Sequence[str]) -> None:
    """Writes the vectors of texts, one row a text.

    Raises:
        OSError: it cannot be written.
    """
    with (folder / VECTORS).open("wb") as file:
        np.save(file, embedder.encode(texts), allow_pickle=False)


def with_vectors(bundle: Bundle, embedder: Embedder, texts: Sequence[str]) -> Embedder:
    """The embedder, which knows the vectors that a model keeps.

    Args:
        bundle: the model.
        embedder: that its texts were read with.
        texts: in the order in which they lie there.

    Raises:
        UserError: the file is damaged.
    """
    file = bundle.folder / VECTORS
    if not file.is_file():
        return embedder
    try:
        vectors: NDArray[np.float32] = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        bundle.refuse([f"{VECTORS}: cannot be read."])
        raise
    if vectors.ndim != 2 or len(vectors) != len(texts):
        bundle.refuse([f"{VECTORS}: does not hold one row for each text."])
    return StoredEmbedder(embedder, dict(zip(texts, vectors, strict=True)))
