"""TF-IDF without scikit-learn weighs every term as scikit-learn does."""

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from tunewise.text.tfidf import TfIdf

TEXTS = [
    "the tent leaks and the tent pole broke",
    "where is my parcel",
    "my parcel is late, my parcel is lost",
    "",
    "дождь дождь 雨 é",
]


@pytest.mark.parametrize("sublinear", [False, True])
def test_weights_are_those_of_scikit_learn(sublinear: bool) -> None:
    theirs = TfidfVectorizer(analyzer=str.split, sublinear_tf=sublinear)
    ours = TfIdf(TEXTS, str.split, sublinear=sublinear)
    new = ["the parcel leaks", "nothing known here", *TEXTS]
    assert np.allclose(ours.learnt.toarray(), theirs.fit_transform(TEXTS).toarray(), atol=1e-15)
    assert np.allclose(ours.rows(new).toarray(), theirs.transform(new).toarray(), atol=1e-15)
    assert len(ours) == len(theirs.vocabulary_)


def test_only_the_commonest_terms_are_kept() -> None:
    ours = TfIdf(["b b b a", "c c a", "d"], str.split, most=3)
    assert ours.rows(["a b c d"]).toarray().round(2).tolist() == [[0.47, 0.62, 0.62]]


def test_texts_without_a_term_are_rows_of_zeros() -> None:
    assert TfIdf(["", " "], str.split).learnt.shape == (2, 0)
