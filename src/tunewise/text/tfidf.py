"""Turns texts into weighted terms: TF-IDF (Spärck Jones 1972) as scikit-learn defines it.

A term's weight is how often the text has it, times ln((1 + texts) / (1 + texts with it)) + 1; rows
have length 1. scikit-learn's own takes a second to import, and this none.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix  # pyright: ignore[reportMissingTypeStubs]


class TfIdf:
    """The terms of some texts, and how much each is worth.

    Args:
        texts: from which terms and their worth are learnt.
        terms: text -> its terms, each as often as it stands there.
        sublinear: whether a term that stands n times counts 1 + ln(n) times rather than n.
        most: terms kept, the commonest; None: all.
    """

    def __init__(
        self,
        texts: Sequence[str],
        terms: Callable[[str], Iterable[str]],
        *,
        sublinear: bool = False,
        most: int | None = None,
    ) -> None:
        self._terms, self._sublinear = terms, sublinear
        counted = [Counter(terms(text)) for text in texts]
        everywhere: Counter[str] = Counter()
        for one in counted:
            everywhere.update(one)
        kept = sorted(everywhere)
        if most is not None and len(kept) > most:
            kept = sorted(sorted(kept, key=lambda term: -everywhere[term])[:most])
        self._places = {term: place for place, term in enumerate(kept)}
        held = Counter(term for one in counted for term in one)
        rows_with = np.array([held[term] for term in kept], dtype=np.float64)
        self._worth = np.log((1 + len(texts)) / (1 + rows_with)) + 1
        self.learnt: Any = self._weighed(counted)
        """The rows of the texts themselves: a sparse matrix (texts, terms)."""

    def __len__(self) -> int:
        return len(self._places)

    def rows(self, texts: Sequence[str]) -> Any:
        """A sparse matrix (texts, terms); a text without a known term is a row of zeros."""
        return self._weighed([Counter(self._terms(text)) for text in texts])

    def _weighed(self, counted: Sequence[Counter[str]]) -> Any:
        columns, counts, ends = array("i"), array("d"), [0]
        for one in counted:
            known = sorted((self._places[t], n) for t, n in one.items() if t in self._places)
            columns.extend(place for place, _ in known)
            counts.extend(n for _, n in known)
            ends.append(len(columns))
        weights = np.array(counts, dtype=np.float64)
        if self._sublinear:
            weights = 1 + np.log(weights)
        weights = weights * self._worth[np.array(columns, dtype=np.intp)]
        of_row = np.repeat(np.arange(len(counted)), np.diff(ends))
        lengths = np.sqrt(np.bincount(of_row, weights=weights**2, minlength=len(counted)))
        make: Any = csr_matrix
        return make(
            (weights / lengths[of_row], np.array(columns, dtype=np.int32), np.array(ends)),
            shape=(len(counted), len(self._places)),
        )
