"""Turns passages or examples into something that can be searched, by words and by meaning.

Words: BM25 over stems. Meaning: cosine of sentence embeddings. Both: reciprocal rank fusion. The
same question always brings the same answer; ties go to what came first.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, cast

import bm25s  # pyright: ignore[reportMissingTypeStubs]
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix  # pyright: ignore[reportMissingTypeStubs]

from tunewise.errors import UserError
from tunewise.retrieval.chunk import Passage
from tunewise.retrieval.embed import Embedder, Reranker
from tunewise.retrieval.stems import Stems
from tunewise.text.comparison import comparable
from tunewise.text.tfidf import TfIdf
from tunewise.types import Example

Mode = Literal["bm25", "dense", "hybrid"]
"""By words, by meaning, or by both."""

FUSION = 60
"""k of reciprocal rank fusion (Cormack, Clarke and Büttcher 2009)."""
RERANKED = 20
"""Hits that a cross-encoder puts into a new order."""

Scores = NDArray[np.float64]
_Sparse: TypeAlias = Any
"""A scipy sparse matrix; scipy has no types."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hit:
    """A passage found."""

    passage: Passage
    score: float
    """Higher is better; comparable within one search only."""


class Index:
    """Passages that can be searched.

    Args:
        passages: from `chunk`, at least one.
        embedder: needed for the modes `dense` and `hybrid`.
        reranker: a cross-encoder that reads the question with each of the best `RERANKED` hits and
            puts them into its own order.
    """

    def __init__(
        self,
        passages: Sequence[Passage],
        embedder: Embedder | None = None,
        *,
        reranker: Reranker | None = None,
    ) -> None:
        self.passages = tuple(passages)
        self._embedder = embedder
        self._reranker = reranker
        texts = [passage.text for passage in self.passages]
        self._words = _Words(texts)
        self._vectors = None if embedder is None else embedder.encode(texts)

    @property
    def modes(self) -> tuple[Mode, ...]:
        """The modes that can be searched in."""
        return ("bm25",) if self._embedder is None else ("bm25", "dense", "hybrid")

    def search(self, query: str, k: int, mode: Mode | None = None) -> list[Hit]:
        """The best passages for one question; see `search_many`."""
        return self.search_many([query], k, mode)[0]

    def search_many(
        self, queries: Sequence[str], k: int, mode: Mode | None = None
    ) -> list[list[Hit]]:
        """The best passages for each question, best first.

        By words alone there may be fewer than k: a passage that shares no stem with the question
        is not found.

        Args:
            queries: questions.
            k: passages wanted for each.
            mode: None takes `hybrid` where there is an embedder, else `bm25`.

        Raises:
            UserError: the mode needs an embedder and there is none.
        """
        chosen = mode or self.modes[-1]
        if chosen not in self.modes:
            raise UserError(
                f"Search by {chosen} needs sentence embeddings. Run: pip install 'tunewise[dense]'"
            )
        likeness = self._likeness(queries) if chosen != "bm25" else None
        return [
            self._best(query, k, chosen, None if likeness is None else likeness[row])
            for row, query in enumerate(queries)
        ]

    def _best(self, query: str, k: int, mode: Mode, likeness: Scores | None) -> list[Hit]:
        if mode == "dense" and likeness is not None:
            scores, order = likeness, _order(likeness)
        else:
            scores = self._words.scores(query)
            order = _order(scores, found_only=True)
            if likeness is not None:
                scores = fused([order, _order(likeness)], len(self.passages))
                order = _order(scores, found_only=True)
        depth = k if self._reranker is None else max(k, RERANKED)
        hits = [
            Hit(passage=self.passages[place], score=float(scores[place])) for place in order[:depth]
        ]
        return (self._reranked(query, hits) if self._reranker else hits)[:k]

    def _reranked(self, query: str, hits: Sequence[Hit]) -> list[Hit]:
        assert self._reranker is not None  # noqa: S101 - the only caller checks
        scores = self._reranker.score(query, [hit.passage.text for hit in hits])
        again = [
            Hit(passage=hit.passage, score=score) for hit, score in zip(hits, scores, strict=True)
        ]
        return sorted(again, key=lambda hit: -hit.score)

    def _likeness(self, queries: Sequence[str]) -> Scores:
        """Cosine of every question with every passage: (queries, passages)."""
        assert self._embedder is not None  # noqa: S101 - the mode was checked
        assert self._vectors is not None  # noqa: S101
        return (self._embedder.encode(queries) @ self._vectors.T).astype(np.float64)


class ExampleIndex:
    """Training examples that can be searched for the ones to show in a prompt.

    Args:
        examples: in the order that decides ties.
        embedder: nearest means by meaning where there is one, by words otherwise.
    """

    def __init__(self, examples: Sequence[Example], embedder: Embedder | None = None) -> None:
        self.examples = tuple(examples)
        self._embedder = embedder
        self._texts = [example.input.text for example in self.examples]
        self._words = _Words(self._texts)
        self._vectors = None if embedder is None else embedder.encode(self._texts)
        self._spread: list[int] = []

    def nearest(self, text: str, k: int) -> list[Example]:
        """The k examples nearest to one input; see `nearest_many`."""
        return self.nearest_many([text], k)[0]

    def nearest_many(self, texts: Sequence[str], k: int) -> list[list[Example]]:
        """The k examples whose inputs are nearest to each text, best first.

        Where fewer than k share a stem with the text, `diverse` ones fill up. There are fewer than
        k only if there are fewer examples.
        """
        if self._embedder is not None and self._vectors is not None:
            likeness = (self._embedder.encode(texts) @ self._vectors.T).astype(np.float64)
            orders = [_order(row) for row in likeness]
        else:
            orders = [_order(self._words.scores(text), found_only=True) for text in texts]
        return [self._filled(order, k) for order in orders]

    def diverse(self, k: int) -> list[Example]:
        """A fixed set of k examples that lie far apart; the first k of a larger set are the same.

        Greedy k-center (Gonzalez 1985): the example nearest to the mean, then again and again the
        one farthest from all chosen, by cosine over embeddings or, without an embedder, TF-IDF.
        """
        if len(self._spread) < min(k, len(self.examples)):
            self._spread = _farthest_first(self._rows(), min(k, len(self.examples)))
        return [self.examples[place] for place in self._spread[:k]]

    def _filled(self, order: Sequence[int], k: int) -> list[Example]:
        chosen = list(order[:k])
        if len(chosen) < k:
            self.diverse(2 * k)  # enough to find k that are not chosen yet
            chosen += [place for place in self._spread if place not in chosen]
        return [self.examples[place] for place in chosen[:k]]

    def _rows(self) -> _Sparse:
        """Unit rows (examples, features)."""
        if self._vectors is not None:
            return csr_matrix(self._vectors)
        return TfIdf(self._texts, self._words.stems.features).learnt


@dataclass(frozen=True, kw_only=True, slots=True)
class Recall:
    """How often retrieval brought a passage of the document that holds the answer."""

    value: float
    """Share of the examples, 0 to 1."""
    n: int
    """Examples that name their document."""
    k: int
    """Passages looked at for each."""


def recall_at_k(
    retrieved: Sequence[Sequence[str]], examples: Sequence[Example], k: int
) -> Recall | None:
    """Recall over the examples whose metadata names a `document`; None where none does.

    The name is the file's path inside the folder of documents, or its last part.

    Args:
        retrieved: passage ids for each example, best first (`Answer.passages`).
        examples: as many, in the same order.
        k: only the first k passages count.
    """
    found: list[bool] = []
    for ids, example in zip(retrieved, examples, strict=True):
        document = example.metadata.get("document")
        if isinstance(document, str) and document:
            names = [passage_id.rpartition("#")[0] for passage_id in ids[:k]]
            wanted = comparable(document)
            found.append(any(f"/{comparable(name)}".endswith(f"/{wanted}") for name in names))
    return Recall(value=sum(found) / len(found), n=len(found), k=k) if found else None


def fused(orders: Sequence[Sequence[int]], count: int) -> Scores:
    """Reciprocal rank fusion: the sum over rankings of 1 / (60 + rank), ranks from 1.

    Args:
        orders: rankings of places 0 to count - 1, best first; a place may be missing from one.
        count: how many places there are.
    """
    scores = np.zeros(count)
    for order in orders:
        for rank, place in enumerate(order, start=1):
            scores[place] += 1 / (FUSION + rank)
    return scores


class _Bm25(Protocol):
    def get_scores_from_ids(self, query_tokens_ids: list[int]) -> NDArray[np.float32]: ...


class _Words:
    """BM25 (Lucene's variant, k1 = 1.5, b = 0.75) over stems."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._count = len(texts)
        self._vocabulary: dict[str, int] = {}
        self.stems = Stems(texts)
        ids = [
            [self._vocabulary.setdefault(one, len(self._vocabulary)) for one in self.stems.of(text)]
            for text in texts
        ]
        self._bm25: _Bm25 | None = None
        if self._vocabulary:
            logging.getLogger("bm25s").setLevel(logging.WARNING)  # it sets itself to DEBUG
            retriever = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
            retriever.index(  # pyright: ignore[reportUnknownMemberType]
                (ids, dict(self._vocabulary)), show_progress=False
            )
            self._bm25 = cast(_Bm25, retriever)

    def scores(self, query: str) -> Scores:
        """BM25 of every text, (texts,); 0 where no stem is shared."""
        stems = self.stems.of(query)
        known = [self._vocabulary[stem] for stem in stems if stem in self._vocabulary]
        if self._bm25 is None or not known:
            return np.zeros(self._count)
        return self._bm25.get_scores_from_ids(known).astype(np.float64)


def _order(scores: Scores, *, found_only: bool = False) -> list[int]:
    """Places by falling score, ties by place; with `found_only` without those that score 0."""
    order = np.argsort(-scores, kind="stable")
    return [int(place) for place in order if not found_only or scores[place] > 0]


def _farthest_first(rows: _Sparse, count: int) -> list[int]:
    mean = np.asarray(rows.mean(axis=0)).reshape(-1)
    place = int(np.argmax(rows @ mean))
    chosen: list[int] = []
    nearest = np.full(rows.shape[0], -np.inf)  # likeness to the nearest one chosen
    while len(chosen) < count:
        chosen.append(place)
        nearest = np.maximum(nearest, (rows @ rows[place].T).toarray().reshape(-1))
        nearest[chosen] = np.inf
        place = int(np.argmin(nearest))
    return chosen
