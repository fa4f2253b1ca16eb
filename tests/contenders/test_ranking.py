import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from search_rows import METRIC, TOPICS, dev, questions, shelf
from tunewise.contenders.protocol import NotApplicable
from tunewise.contenders.ranking import Ranker
from tunewise.errors import UserError
from tunewise.retrieval.embed import Embedder


class Knowing:
    """Places a question where the document lies that it is about."""

    name = "knowing"

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        about = [(name.removesuffix(".md"), *words) for name, words in TOPICS.items()]
        rows = [[float(any(w in text for w in words)) for words in about] for text in texts]
        return np.array(rows, dtype=np.float32).reshape(len(texts), len(about))


class Contrary:
    """Likes what was found last."""

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        return [float(place) for place, _ in enumerate(texts)]


def missing() -> Embedder:
    raise UserError("The extra is missing.")


def test_words_find_nothing_where_questions_and_documents_share_none(tmp_path: Path) -> None:
    ranker = Ranker(name="bm25", mode="bm25", metric=METRIC, shelf=shelf(tmp_path), load=missing)
    fitted = ranker.fit([], dev())
    assert [answer.text for answer in fitted.answer([questions(1)[0].input], seed=0)] == ["[]"]
    assert fitted.fit.tokens == {"prefilled": 0, "generated": 0, "trained": 0}


@pytest.mark.parametrize("mode", ["dense", "hybrid"])
def test_meaning_finds_the_document_first(tmp_path: Path, mode: str) -> None:
    ranker = Ranker(name=mode, mode=mode, metric=METRIC, shelf=shelf(tmp_path), load=Knowing)
    rows = questions(6)
    answers = ranker.fit([], dev()).answer([row.input for row in rows], seed=0)
    assert [json.loads(answer.text)[0] for answer in answers] == [row.target for row in rows]


def test_the_size_of_passages_is_chosen_on_dev_and_told(tmp_path: Path) -> None:
    fit = Ranker(
        name="dense", mode="dense", metric=METRIC, shelf=shelf(tmp_path), load=Knowing
    ).fit([], dev(9))
    assert [trial["passage_words"] for trial in fit.fit.trials] == [120, 60, 200]
    assert fit.fit.settings == {"search": "dense", "passage_words": 120, "embedder": "knowing"}
    assert len(fit.fit.dev_answers[0]) == 9


def test_a_cross_encoder_has_the_last_word(tmp_path: Path) -> None:
    ranker = Ranker(
        name="reranked",
        mode="dense",
        metric=METRIC,
        shelf=shelf(tmp_path),
        load=Knowing,
        load_reranker=Contrary,
    )
    row = questions(1)[0]
    (answer,) = ranker.fit([], dev()).answer([row.input], seed=0)
    assert json.loads(answer.text)[-1] == row.target


def test_a_model_that_is_not_here_leaves_the_contender_out(tmp_path: Path) -> None:
    ranker = Ranker(name="dense", mode="dense", metric=METRIC, shelf=shelf(tmp_path), load=missing)
    with pytest.raises(NotApplicable, match="extra is missing"):
        ranker.fit([], dev())
