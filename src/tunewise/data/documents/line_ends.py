"""Joins words that were cut at the end of a line, as printed pages have them."""

import re

_CUT = re.compile(r"([^\W\d_]{2,})[-\u2010][ \t]*\n[ \t]*([^\W\d_]+)")
_WORD = re.compile(r"[^\W\d_]+(?:[-\u2010][^\W\d_]+)*")
_HANGING = frozenset(
    {
        "and",
        "or",
        "to",
        "und",
        "oder",
        "bzw",
        "bis",
        "et",
        "ou",
        "y",
        "o",
        "e",
        "och",
        "eller",
        "en",
    }
)
"""Words that follow a hyphen which stands for the rest of a compound: "Vor- und Nachteile"."""


def join_cut_words(text: str) -> str:
    """Text in which "effi-" at a line's end and "ciently" below are one word again.

    Whether the hyphen belongs to the word is judged by the other words of the text: "well-" and
    "known" keep it where both halves, or the word with its hyphen, stand elsewhere.
    """
    if not _CUT.search(text):
        return text
    words = {word.lower() for word in _WORD.findall(_CUT.sub(" ", text))}

    def joined(cut: re.Match[str]) -> str:
        first, second = cut[1], cut[2]
        if second.lower() in _HANGING:
            return f"{first}- {second}"
        whole, hyphenated = first + second, f"{first}-{second}"
        if not second[0].islower() and not first.isupper():
            return hyphenated  # Baden-Württemberg
        if whole.lower() in words:
            return whole
        parts_known = first.lower() in words and second.lower() in words
        return hyphenated if parts_known or hyphenated.lower() in words else whole

    before = ""
    while before != text:  # a word may be cut twice
        before, text = text, _CUT.sub(joined, text)
    return text
