import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewise.text.words import count_words, is_unspaced, main_script, search_terms, words


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
    assert search_terms("東京は") == ["東", "京", "東京", "京は"]
    assert search_terms("ง่ายมาก")[:2] == ["ง่า", "าย"]
    assert search_terms("の") == ["の"]
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


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("Hello, Größe 5", "Latin"),
        ("привет, world", "Cyrillic"),
        ("東京は夏です", "Japanese"),
        ("退货运费谁承担", "Chinese"),
        ("한국어로 쓰인 질문입니다 iPhone", "Korean"),
        ("วันนี้", "Thai"),
        ("नमस्ते", "Devanagari"),
        ("12 …", "Latin"),
    ],
)
def test_the_script_of_most_letters_has_a_name(text: str, script: str) -> None:
    assert main_script([text, "x"]) == script


def test_length_in_words_counts_two_signs_where_there_are_no_spaces() -> None:
    assert count_words("three plain words") == 3
    assert count_words("три слова есть") == 3
    assert count_words("返品は三十日以内に") == 5
    assert count_words("") == 0
