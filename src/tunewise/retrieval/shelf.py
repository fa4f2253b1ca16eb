"""Documents, or their sections, that a search puts into an order by their best passage."""

from collections.abc import Sequence

from tunewise.data.documents.document import Document
from tunewise.retrieval.chunk import Passage, chunk
from tunewise.retrieval.embed import Embedder, Reranker
from tunewise.retrieval.index import Index, Mode

PASSAGES = 30
"""Passages found for a question; the documents that they are of are its ranking."""


class Shelf:
    """What is ranked.

    Args:
        units: at least one document or section, of `units_of`.
    """

    def __init__(self, units: Sequence[Document]) -> None:
        self._units = tuple(units)
        self._passages: dict[int, tuple[Passage, ...]] = {}

    def index(
        self, words: int, embedder: Embedder | None, *, reranker: Reranker | None = None
    ) -> Index:
        """What searches it, in pieces of so many words; `Passage.document` names the unit."""
        if words not in self._passages:
            self._passages[words] = tuple(chunk(self._units, words=words))
        return Index(self._passages[words], embedder, reranker=reranker)


def rankings(
    index: Index, queries: Sequence[str], mode: Mode, *, count: int
) -> list[tuple[str, ...]]:
    """For each question the names of what holds the best passages, the best first.

    Args:
        index: of a shelf.
        queries: questions.
        mode: how they are searched for.
        count: names of each at most.
    """
    found = index.search_many(queries, PASSAGES, mode)
    return [tuple(dict.fromkeys(hit.passage.document for hit in hits))[:count] for hits in found]
