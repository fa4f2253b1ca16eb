from pathlib import Path

from search_rows import TOPICS, shelf
from tunewise.retrieval.shelf import rankings


def test_a_document_stands_where_its_best_passage_does_and_once(tmp_path: Path) -> None:
    found = shelf(tmp_path).index(20, None)
    (ranking,) = rankings(found, ["tent and warranty"], "bm25", count=10)
    assert ranking[0] == "tent.md"
    assert sorted(ranking) == sorted(TOPICS)


def test_no_more_than_are_wanted_are_named(tmp_path: Path) -> None:
    found = shelf(tmp_path).index(20, None)
    assert [len(one) for one in rankings(found, ["warranty", "nothing"], "bm25", count=2)] == [2, 0]
