"""Turns a text into its words, in any script: one notion of a word for scores, search and likeness.

Scripts with spaces: a word is a run of letters, marks, digits and underscores (a mark belongs to
its letter, as the vowel signs of Devanagari do). Scripts without spaces (Chinese, Japanese, Thai,
Lao, Khmer, Burmese, Tibetan): each sign with its marks is a word, and a search looks for pairs of
neighbouring signs as well, as Lucene's CJKBigramFilter does. Korean has spaces, but its endings
stick to the word, so that a search looks for pairs of syllables, too.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise

import regex

from tunewise.text.comparison import caseless, comparable

_NO_SPACES = "".join(
    rf"\p{{Script={script}}}"
    for script in (
        "Han", "Hiragana", "Katakana", "Bopomofo", "Yi", "Thai", "Lao", "Khmer", "Myanmar",
        "Tibetan", "Tai_Tham", "New_Tai_Lue", "Tai_Viet", "Javanese", "Balinese",
    )
)  # fmt: skip
_SIGN = rf"[{_NO_SPACES}ー々〆〇&&[\p{{L}}\p{{N}}]]\p{{M}}*"
_ASCII = re.compile(r"\w+")
_ASCII_LETTERS = re.compile("[A-Za-z]+")
_WORD = regex.compile(
    rf"{_SIGN}|[[\p{{L}}\p{{M}}\p{{N}}_]--[{_NO_SPACES}ー々〆〇]]+", regex.VERSION1
)
_UNSPACED = regex.compile(rf"(?:{_SIGN})+", regex.VERSION1)
_ONE_SIGN = regex.compile(_SIGN, regex.VERSION1)
_SOUND = regex.compile(rf"(?!\p{{Han}}){_SIGN}", regex.VERSION1)
_HANGUL = regex.compile(r"\p{Script=Hangul}{2,}")
# Arabic vowel signs and the tatweel, Hebrew points: written or left out as one likes.
_POINTS = re.compile("[\u0610-\u061a\u0640\u064b-\u065f\u0670\u0591-\u05bd\u05bf-\u05c7]+")


def words(text: str) -> list[str]:
    """The words of a text in its order, without regard to case, punctuation and white space."""
    folded = caseless(text)
    if folded.isascii():
        return _ASCII.findall(folded)
    return _WORD.findall(_POINTS.sub("", folded))


def search_terms(text: str) -> list[str]:
    """What a search compares: the words, pairs of neighbouring signs, and pairs of syllables.

    A sign of a script without spaces counts alone where it has a meaning of its own (Chinese), or
    stands alone.
    Compatibility characters are one with what they stand for (NFKC): whoever asks for `m2` finds
    `m²`.
    """
    folded = caseless(text)
    if folded.isascii():
        return _ASCII.findall(folded)
    folded = _POINTS.sub("", unicodedata.normalize("NFKC", folded))
    terms = [word for word in _WORD.findall(folded) if not _SOUND.fullmatch(word)]
    for run in _UNSPACED.findall(folded):
        signs = _ONE_SIGN.findall(run)
        terms += [a + b for a, b in pairwise(signs)] or _SOUND.findall(run)
    for run in _HANGUL.findall(folded):
        terms += [a + b for a, b in pairwise(run)]
    return terms


def count_words(text: str) -> int:
    """How long a text is in words: parts between white space, or two signs where it has none.

    A word of Chinese or Japanese has about two signs.
    """
    parts = len(text.split())
    if text.isascii():
        return parts
    signs = len(_ONE_SIGN.findall(text))
    return parts + max(signs - parts, 0) // 2


def main_script(texts: Iterable[str]) -> str:
    """The script of most letters in some texts, as people call it: `Latin`, `Thai`, `Japanese`."""
    counts: Counter[str] = Counter()
    for text in texts:
        if text.isascii():
            counts["LATIN"] += sum(map(len, _ASCII_LETTERS.findall(text)))
        else:
            counts.update(map(_script_of, filter(str.isalpha, comparable(text))))
    kana = counts.pop("HIRAGANA", 0) + counts.pop("KATAKANA", 0)
    if kana and 10 * kana > counts["CJK"]:
        counts["JAPANESE"] = kana + counts.pop("CJK", 0)
    name = max(counts, key=lambda script: counts[script]) if +counts else "LATIN"
    return {"CJK": "Chinese", "HANGUL": "Korean"}.get(name, name.title())


@lru_cache(maxsize=20_000)
def _script_of(letter: str) -> str:
    """The first word of a letter's name in Unicode, which is its script."""
    return regex.split("[ -]", unicodedata.name(letter, "LATIN"))[0]


def is_unspaced(text: str) -> bool:
    """Whether most letters of a text belong to scripts that put no spaces between words."""
    if text.isascii():
        return False
    letters = sum(len(word) for word in _WORD.findall(caseless(text)))
    signs = sum(len(run) for run in _UNSPACED.findall(caseless(text)))
    return 2 * signs > letters
