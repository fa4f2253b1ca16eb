import json
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from places import ROOT
from tunewise.data.documents.read import read_documents
from tunewise.errors import UserError
from tunewise.retrieval.chunk import Passage, chunk
from tunewise.retrieval.index import ExampleIndex, Index, fused, recall_at_k
from tunewise.types import Example, Message

MANUALS = ROOT / "examples" / "product_manuals"


def passage(number: int, text: str) -> Passage:
    return Passage(id=f"a.md#{number}", document="a.md", heading="", text=text)


PASSAGES = [
    passage(1, "Wash the jacket at 40 degrees."),
    passage(2, "The tent weighs two kilograms."),
    passage(3, "Charge the headlamp for three hours."),
    passage(4, "Washing machines harm the tent."),
]


class TopicEmbedder:
    """Places a text by which of a few words it holds: meaning for which no stem is shared."""

    name = "topics"
    topics = (("wash", "clean", "laundry"), ("weigh", "heavy"), ("charge", "battery"))

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = [
            [sum(word in text.lower() for word in words) + 0.01 for words in self.topics]
            for text in texts
        ]
        matrix = np.array(rows, dtype=np.float32).reshape(len(texts), len(self.topics))
        return matrix / np.linalg.norm(matrix, axis=1, keepdims=True)


def found(index: Index, query: str, k: int = 10, mode: str | None = None) -> list[str]:
    return [hit.passage.id for hit in index.search(query, k, mode)]


def test_words_are_found_by_their_stems_best_first() -> None:
    index = Index(PASSAGES)
    assert found(index, "washing a tent") == ["a.md#4", "a.md#1", "a.md#2"]


def test_a_passage_that_shares_no_stem_is_not_found_by_words() -> None:
    assert found(Index(PASSAGES), "how heavy is it") == []
    assert found(Index(PASSAGES), "") == []
    assert found(Index(PASSAGES), "is it the") == []


def test_single_digits_count_as_words() -> None:
    index = Index([passage(1, "Kestrel 4 tent"), passage(2, "Kestrel 2 tent")])
    assert found(index, "kestrel 2", 1) == ["a.md#2"]


def test_meaning_finds_what_words_do_not() -> None:
    index = Index(PASSAGES, TopicEmbedder())
    assert found(index, "how heavy is it", 1, "dense") == ["a.md#2"]
    assert found(index, "how heavy is it", 1) == ["a.md#2"]


def test_ties_go_to_the_passage_that_comes_first() -> None:
    index = Index([passage(n, "the same words") for n in range(1, 6)], TopicEmbedder())
    for mode in index.modes:
        assert found(index, "same words", 3, mode) == ["a.md#1", "a.md#2", "a.md#3"]


def test_hybrid_is_reciprocal_rank_fusion_with_k_60() -> None:
    scores = fused([[0, 1, 2], [2, 0]], 4)
    assert scores == pytest.approx([1 / 61 + 1 / 62, 1 / 62, 1 / 63 + 1 / 61, 0])
    index = Index(PASSAGES, TopicEmbedder())
    (first, *_) = index.search("wash the jacket", 4, "hybrid")
    assert first.passage.id == "a.md#1"
    assert first.score == pytest.approx(2 / 61)


def test_without_an_embedder_only_words_can_be_searched() -> None:
    index = Index(PASSAGES)
    assert index.modes == ("bm25",)
    with pytest.raises(UserError, match=r"tunewise\[dense\]"):
        index.search("tent", 3, "hybrid")


def test_many_questions_at_once_give_what_one_at_a_time_gives() -> None:
    index = Index(PASSAGES, TopicEmbedder())
    queries = ["wash the jacket", "battery", "how heavy"]
    assert index.search_many(queries, 2) == [index.search(query, 2) for query in queries]


def test_a_reranker_has_the_last_word_over_the_best_hits() -> None:
    class ShortestFirst:
        def score(self, query: str, texts: Sequence[str]) -> list[float]:
            return [-float(len(text)) for text in texts]

    index = Index(PASSAGES, reranker=ShortestFirst())
    hits = index.search("washing a tent", 2)
    assert [hit.passage.id for hit in hits] == ["a.md#1", "a.md#2"]
    assert hits[0].score == -len(PASSAGES[0].text)


def test_passages_without_any_word_can_be_indexed_and_find_nothing() -> None:
    assert found(Index([passage(1, "…"), passage(2, "!")]), "tent") == []


# --- recall


def example(number: int, text: str = "q", document: str | None = None) -> Example:
    return Example(
        id=str(number),
        messages=(Message(role="user", content=text),),
        target="t",
        metadata={} if document is None else {"document": document},
    )


def test_recall_counts_the_examples_whose_document_is_among_the_first_k() -> None:
    examples = [example(1, document="a.md"), example(2, document="b.md"), example(3)]
    retrieved = [["b.md#1", "a.md#9"], ["b.md#2"], ["a.md#1"]]
    recall = recall_at_k(retrieved, examples, 1)
    assert recall is not None
    assert (recall.value, recall.n, recall.k) == (0.5, 2, 1)
    recall = recall_at_k(retrieved, examples, 2)
    assert recall is not None
    assert recall.value == 1


def test_a_document_may_be_named_by_the_last_part_of_its_path_but_not_by_half_a_name() -> None:
    retrieved = [["manuals/tent.md#1"]]
    for name, value in (("tent.md", 1), ("manuals/tent.md", 1), ("ent.md", 0)):
        recall = recall_at_k(retrieved, [example(1, document=name)], 1)
        assert recall is not None
        assert recall.value == value


def test_there_is_no_recall_where_no_example_names_a_document() -> None:
    assert recall_at_k([["a.md#1"]], [example(1)], 1) is None


@pytest.mark.skipif(not (MANUALS / "docs").is_dir(), reason="the example project is not here")
def test_words_alone_find_the_right_manual_for_nine_questions_of_ten() -> None:
    rows = [
        json.loads(line)
        for path in sorted(MANUALS.glob("*.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    examples = [
        example(number, row["input"], row.get("document")) for number, row in enumerate(rows)
    ]
    index = Index(chunk(read_documents(MANUALS / "docs"), words=120))
    hits = index.search_many([one.input.text for one in examples], 3)
    recall = recall_at_k([[hit.passage.id for hit in row] for row in hits], examples, 3)
    assert recall is not None
    assert recall.n >= 100
    assert recall.value >= 0.9


# --- examples

QUESTIONS = [
    example(0, "my tent has a hole"),
    example(1, "my tent has a tear"),
    example(2, "where is my order"),
    example(3, "the tent is wet"),
    example(4, "battery of the headlamp"),
]


def test_nearest_examples_share_words_best_first() -> None:
    index = ExampleIndex(QUESTIONS)
    nearest = index.nearest("a tear in the tent", 2)
    assert [one.id for one in nearest] == ["1", "3"]


def test_nearest_goes_by_meaning_where_there_is_an_embedder() -> None:
    index = ExampleIndex(QUESTIONS, TopicEmbedder())
    assert [one.id for one in index.nearest("how do I charge it", 1)] == ["4"]


def test_where_too_few_share_a_word_diverse_ones_fill_up_without_repeats() -> None:
    index = ExampleIndex(QUESTIONS)
    nearest = index.nearest("order", 4)
    assert nearest[0].id == "2"
    assert len({one.id for one in nearest}) == 4
    assert len(index.nearest("zzz", 99)) == len(QUESTIONS)


@pytest.mark.parametrize("embedder", [None, TopicEmbedder()])
def test_diverse_examples_are_different_fixed_and_nested(
    embedder: TopicEmbedder | None,
) -> None:
    chosen = [one.id for one in ExampleIndex(QUESTIONS, embedder).diverse(4)]
    assert len(set(chosen)) == 4
    assert [one.id for one in ExampleIndex(QUESTIONS, embedder).diverse(4)] == chosen
    assert [one.id for one in ExampleIndex(QUESTIONS, embedder).diverse(2)] == chosen[:2]


def test_diverse_examples_lie_far_apart() -> None:
    twins = [example(n, "my tent has a hole") for n in range(8)]
    others = [example(8, "where is my order"), example(9, "battery of the headlamp")]
    chosen = ExampleIndex([*twins, *others]).diverse(3)
    assert {one.input.text for one in chosen} == {
        "my tent has a hole",
        "where is my order",
        "battery of the headlamp",
    }


def test_examples_without_any_word_are_still_examples() -> None:
    index = ExampleIndex([example(0, "?"), example(1, "!")])
    assert [one.id for one in index.nearest("tent", 2)] == ["0", "1"]
