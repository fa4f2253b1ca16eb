import numpy as np

from tunewise.data.splitting.word_hashes import Vocabulary, covered, runs


def test_equal_words_have_equal_numbers_in_every_vocabulary() -> None:
    one, other = Vocabulary().words(["a b a", "", "b c"]), Vocabulary().words(["b"])
    assert one.text.tolist() == [0, 0, 0, 2, 2]
    assert one.counts().tolist() == [3, 0, 2]
    assert one.ids[0] == one.ids[2] != one.ids[1]
    assert one.ids[1] == one.ids[3] == other.ids[0]


def test_runs_stay_within_their_text_and_are_equal_where_their_words_are() -> None:
    words = Vocabulary().words(["a b c d", "x", "b c d", "c b d"])
    found = runs(words, 3)
    assert found.text.tolist() == [0, 0, 2, 3]
    assert found.hashes[1] == found.hashes[2]
    assert len(set(found.hashes.tolist())) == 3
    assert len(runs(Vocabulary().words(["a b", ""]), 3).hashes) == 0
    assert len(runs(Vocabulary().words([]), 13).hashes) == 0


def test_the_words_of_chosen_runs_are_covered() -> None:
    words = Vocabulary().words(["a b c d e", "f g"])
    found = runs(words, 2)
    chosen = np.isin(found.start, [1, 3])
    assert covered(words, found, chosen, 2).tolist() == [
        False,
        True,
        True,
        True,
        True,
        False,
        False,
    ]


def test_a_vocabulary_forgets_before_it_grows_without_limit(monkeypatch) -> None:
    monkeypatch.setattr("tunewise.data.splitting.word_hashes._MAX_KNOWN", 100)
    vocabulary = Vocabulary()
    first = vocabulary.words([f"w{n}" for n in range(1000)]).ids
    assert len(vocabulary) <= 100
    assert np.array_equal(vocabulary.words([f"w{n}" for n in range(1000)]).ids, first)
