"""Ranks documents without a language model: by words, by meaning, by both, or read once more.

The answer is the list of the best names; the metrics of `ranking_metrics` judge it.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tunewise.contenders.protocol import NotApplicable
from tunewise.contenders.race import Race
from tunewise.errors import UserError
from tunewise.metrics.by_name import Metric, quality
from tunewise.metrics.ranking_metrics import DEPTH
from tunewise.retrieval.embed import Embedder, Reranker
from tunewise.retrieval.index import Index, Mode
from tunewise.retrieval.shelf import Shelf, rankings
from tunewise.text.rankings import write_ranking
from tunewise.types import Answer, Example, Fit, Input

SIZES = (120, 60, 200)
"""Words of a passage that are tried on dev; ties go to the first."""


@dataclass(frozen=True, kw_only=True)
class FittedRanker:
    """Searches, for each replica in its own index."""

    indexes: dict[int, Index]
    """seed -> where it searches."""
    mode: Mode
    fit: Fit
    clock: Callable[[], float]

    @property
    def seeds(self) -> tuple[int, ...]:
        """See `Fitted.seeds`."""
        return tuple(self.indexes)

    def answer(self, inputs: Sequence[Input], *, seed: int) -> list[Answer]:
        """The best names for each input; `seconds` is the wall time of the batch."""
        began = self.clock()
        texts = ranked(self.indexes[seed], inputs, self.mode)
        seconds = self.clock() - began
        return [
            Answer(
                example_id=item.id,
                contender=self.fit.contender,
                seed=seed,
                text=text,
                seconds=seconds,
            )
            for item, text in zip(inputs, texts, strict=True)
        ]


@dataclass(frozen=True, kw_only=True)
class Ranker:
    """One way to search; the words of a passage are chosen on dev.

    Args:
        name: `bm25`, `dense`, `hybrid` or `reranked`.
        mode: how passages are found.
        metric: the primary one.
        shelf: what is ranked.
        load: gives the embedding model; not asked by the mode `bm25`.
        load_reranker: gives the cross-encoder that reads what was found once more; None: none does.
    """

    name: str
    mode: Mode
    metric: Metric
    shelf: Shelf
    load: Callable[[], Embedder]
    load_reranker: Callable[[], Reranker] | None = None
    clock: Callable[[], float] = field(default=time.perf_counter)

    def fit(self, train: Sequence[Example], race: Race) -> FittedRanker:
        """Chooses the size of passages on dev; nothing is learned from train.

        Raises:
            NotApplicable: a model that it needs is not on this machine.
        """
        began = self.clock()
        try:
            embedder = None if self.mode == "bm25" else self.load()
            reranker = self.load_reranker() if self.load_reranker else None
        except UserError as missing:
            raise NotApplicable(str(missing)) from missing
        wanted = [example.target for example in race.dev]
        asked = [example.input for example in race.dev]
        tried: list[tuple[float, int, Index, list[str]]] = []
        for words in SIZES if race.dev else SIZES[:1]:
            index = self.shelf.index(words, embedder, reranker=reranker)
            texts = ranked(index, asked, self.mode)
            value = quality(self.metric, texts, wanted) if wanted else 0.0
            tried.append((value, words, index, texts))
        _, words, index, texts = max(tried, key=lambda one: one[0])
        return FittedRanker(
            indexes={0: index},
            mode=self.mode,
            clock=self.clock,
            fit=Fit(
                contender=self.name,
                settings={
                    "search": self.mode,
                    "passage_words": words,
                    **({"embedder": embedder.name} if embedder else {}),
                },
                seconds=self.clock() - began,
                tokens={"prefilled": 0, "generated": 0, "trained": 0},
                dev_answers={0: tuple(texts)},
                trials=tuple(
                    {"passage_words": size, "dev": round(value, 4), "dev_examples": len(wanted)}
                    for value, size, _, _ in tried
                ),
            ),
        )


def ranked(index: Index, inputs: Sequence[Input], mode: Mode) -> list[str]:
    """The answer to each input."""
    found = rankings(index, [item.text for item in inputs], mode, count=DEPTH)
    return [write_ranking(names) for names in found]
