import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from tunewise.metrics.by_name import metric_named, side_metrics
from tunewise.project.settings import RANKING_METRICS
from tunewise.text.rankings import write_ranking

DOCUMENTS = [f"{name}.md" for name in "abcdefghijklmno"]


def value(metric: str, answer: list[str], target: list[str]) -> float:
    return metric_named(metric).score(write_ranking(answer), write_ranking(target)).value


@given(st.permutations(DOCUMENTS), st.sets(st.sampled_from(DOCUMENTS), min_size=1))
def test_ndcg_is_that_of_scikit_learn(order: list[str], wanted: set[str]) -> None:
    relevance = np.array([[float(name in wanted) for name in order]])
    ranks = np.arange(len(order), 0, -1.0)[None]
    expected = ndcg_score(relevance, ranks, k=10)
    assert value("ndcg_at_10", order, sorted(wanted)) == pytest.approx(expected)


def test_ndcg_of_a_single_document_by_hand() -> None:
    assert value("ndcg_at_10", ["a.md", "b.md"], ["a.md"]) == 1
    assert value("ndcg_at_10", ["b.md", "a.md"], ["a.md"]) == pytest.approx(1 / math.log2(3))
    assert value("ndcg_at_10", ["b.md", "c.md"], ["a.md"]) == 0
    assert value("ndcg_at_10", DOCUMENTS, ["k.md"]) == 0, "the eleventh is not looked at"


@pytest.mark.parametrize(("depth", "expected"), [(1, 0.0), (5, 0.5), (10, 1.0)])
def test_recall_is_the_share_of_what_was_wanted(depth: int, expected: float) -> None:
    order = ["x.md", "a.md", *DOCUMENTS[2:7], "b.md"]
    assert value(f"recall_at_{depth}", order, ["a.md", "b.md"]) == expected


def test_a_name_counts_once_however_often_it_is_given() -> None:
    assert value("recall_at_5", ["a.md", "a.md"], ["a.md", "b.md"]) == 0.5
    assert value("ndcg_at_10", ["s.md#One", "s.md#Two"], ["s.md"]) == 1


@pytest.mark.parametrize("answer", ["", "not a list", "{}", "null", '["unclosed"'])
def test_an_answer_that_names_nothing_is_wrong(answer: str) -> None:
    for name in RANKING_METRICS:
        assert metric_named(name).score(answer, "a.md").value == 0


def test_the_reason_says_where_it_was_found() -> None:
    score = metric_named("ndcg_at_10").score
    assert score('["b.md", "a.md"]', "a.md").reason == "found 1 of 1, at 2"
    assert score('["b.md"]', "a.md").reason == "not found"
    assert score(json.dumps(["a.md", "b.md"]), '["b.md", "a.md"]').reason is None


def test_recalls_are_shown_beside_it() -> None:
    shown = side_metrics("search", metric_named("ndcg_at_10"))
    assert [metric.name for metric in shown] == ["recall_at_1", "recall_at_5"]
