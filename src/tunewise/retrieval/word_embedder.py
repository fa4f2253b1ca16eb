"""Places texts by their words, in any script: latent semantic analysis (Deerwester et al. 1990)."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import TruncatedSVD  # pyright: ignore[reportMissingTypeStubs]

from tunewise.retrieval.stems import Stems
from tunewise.text.tfidf import TfIdf

AXES = 256
"""Dimensions of a vector, where the texts have more terms than that."""


class WordEmbedder:
    """See `Embedder`.

    Args:
        texts: from which the words, their weights (TF-IDF) and the axes are learnt; at least one.
    """

    name = "words (LSA)"

    def __init__(self, texts: Sequence[str]) -> None:
        self._weights = TfIdf(texts, Stems(texts).features, sublinear=True)
        self._axes: Any = None
        if len(self._weights) > AXES:
            svd = cast("Any", TruncatedSVD)(AXES, random_state=0)
            self._axes = svd.fit(self._weights.learnt)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit rows: (texts, dimensions). A text without a known word is a row of zeros."""
        width = AXES if self._axes is not None else len(self._weights)
        if not texts:
            return np.zeros((0, width), dtype=np.float32)
        rows: Any = self._weights.rows(texts)
        placed: Any = rows.toarray() if self._axes is None else self._axes.transform(rows)
        lengths = np.linalg.norm(placed, axis=1, keepdims=True)
        return (placed / np.maximum(lengths, 1e-9)).astype(np.float32)
