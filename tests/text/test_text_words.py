import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewise.text.words import is_unspaced, search_terms, words


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("It's 3 p.m., GRÜẞE!", ["it", "s", "3", "p", "m", "grüsse"]),
        ("退货 iPhone15 のケース", ["退", "货", "iphone15", "の", "ケ", "ー", "ス"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("ง่ายมาก", ["ง่", "า", "ย", "ม", "า", "ก"]),
        ("Ёлка, ёлки", ["ёлка", "ёлки"]),
        ("한국어는 서울에서", ["한국어는", "서울에서"]),
        ("مُحَمَّد", ["محمد"]),
        ("שָׁלוֹם", ["שלום"]),
        ("", []),
    ],
)
def test_a_word_is_what_its_script_calls_one(text: str, wanted: list[str]) -> None:
    assert words(text) == [unicodedata.normalize("NFC", word) for word in wanted]


def test_a_search_looks_for_pairs_of_signs_and_of_syllables_too() -> None:
    assert search_terms("東京は") == ["東", "京", "は", "東京", "京は"]
    assert search_terms("서울에서") == ["서울에서", "서울", "울에", "에서"]
    assert search_terms("12 m²") == ["12", "m2"]
    assert search_terms("plain words") == ["plain", "words"]


def test_scripts_without_spaces_are_known() -> None:
    assert is_unspaced("東京 2020 年の夏")
    assert is_unspaced("ภาษาไทย")
    assert not is_unspaced("한국어는")
    assert not is_unspaced("हिन्दी")
    assert not is_unspaced("plain 東")


@given(st.text())
def test_words_are_the_same_in_nfc_and_nfd(text: str) -> None:
    for split in (words, search_terms):
        assert split(unicodedata.normalize("NFD", text)) == split(text)
        assert split(unicodedata.normalize("NFC", text)) == split(text)
