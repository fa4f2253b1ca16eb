"""Turns an order of documents into a judgement: how much of what was wanted stands near its top."""

import math
from functools import partial

from tunewise.metrics.metric import Judgement, Metric
from tunewise.text.rankings import is_meant, read_ranking

DEPTH = 10
"""Names that are looked at, and that a search gives."""


def ranking_metric(name: str) -> Metric:
    """One of `RANKING_METRICS`."""
    measure, _, depth = name.rpartition("_at_")
    score = {"ndcg": ndcg, "recall": recall}[measure]
    return Metric(name=name, binary=False, score=partial(score, depth=int(depth)))


def ndcg(answer: str, target: str, *, depth: int = DEPTH) -> Judgement:
    """Normalised discounted cumulative gain with binary relevance (Järvelin and Kekäläinen 2002).

    The sum over the wanted names found at ranks r up to `depth` of 1 / log2(r + 1), divided by what
    it is where all of them stand on top.
    """
    ranks, wanted = _ranks(answer, target, depth)
    best = sum(_discount(rank) for rank in range(1, min(wanted, depth) + 1))
    value = sum(map(_discount, ranks)) / best if best else 0.0
    return Judgement(value=value, reason=_found_at(ranks, wanted))


def recall(answer: str, target: str, *, depth: int) -> Judgement:
    """The share of the wanted names among the first `depth`."""
    ranks, wanted = _ranks(answer, target, depth)
    value = len(ranks) / wanted if wanted else 0.0
    return Judgement(value=value, reason=_found_at(ranks, wanted))


def _ranks(answer: str, target: str, depth: int) -> tuple[list[int], int]:
    """The ranks, from 1, at which a wanted name first stands, and how many are wanted."""
    left = list(read_ranking(target))
    wanted, ranks = len(left), list[int]()
    for rank, name in enumerate(read_ranking(answer)[:depth], start=1):
        hit = next((one for one in left if is_meant(name, one)), None)
        if hit is not None:
            left.remove(hit)
            ranks.append(rank)
    return ranks, wanted


def _discount(rank: int) -> float:
    return 1 / math.log2(rank + 1)


def _found_at(ranks: list[int], wanted: int) -> str | None:
    if ranks == list(range(1, wanted + 1)):
        return None
    if not ranks:
        return "not found"
    return f"found {len(ranks)} of {wanted}, at {', '.join(map(str, ranks))}"
