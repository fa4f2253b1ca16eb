"""Types a text again as people do: with slips, or in other case and spacing. Nothing else changes.

The slips are those of keyboards (Damerau 1964): a neighbouring key, a letter left out, one typed
twice, two in the wrong order. Digits, links and addresses stay: a slip there asks something else.
"""

import re
from collections.abc import Callable, Mapping

import numpy as np

LETTERS_A_SLIP = 40
"""One slip in so many letters, at least one a text: what is left in mails that nobody reads again
(1 to 3 of 100 letters)."""
MIN_WORD = 4
"""Letters of a word that gets a slip: in shorter ones it makes another word."""

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_LEFT = re.compile(r"\S*(?:://|@|www\.)\S*|\S*\d\S*")
_WORD = re.compile(r"[^\W\d_]+")
_BLANK = re.compile(r"(?<=\S) (?=\S)")
_DOUBLED_BLANKS = 0.2
"""Part of the blanks between words that are typed twice."""


def _neighbours() -> dict[str, str]:
    """Letter -> those beside it on a QWERTY keyboard, in its row and the rows next to it."""
    places = {key: (n, at) for n, row in enumerate(_ROWS) for at, key in enumerate(row)}
    near = {(0, 1), (0, -1), (1, 0), (1, -1), (-1, 0), (-1, 1)}
    return {
        key: "".join(o for o, (m, b) in places.items() if (m - n, b - at) in near)
        for key, (n, at) in places.items()
    }


_NEAR: Mapping[str, str] = _neighbours()


def with_slips(text: str, rng: np.random.Generator) -> str:
    """The text with a slip in every 40th letter or so, never two in one word.

    Args:
        text: as a person wrote it; one without a word of `MIN_WORD` letters comes back as it is.
        rng: chooses the words, the letters and the slips.
    """
    kept = [found.span() for found in _LEFT.finditer(text)]
    words = [
        found.span()
        for found in _WORD.finditer(text)
        if found.end() - found.start() >= MIN_WORD
        and not any(start < found.end() and found.start() < end for start, end in kept)
    ]
    if not words:
        return text
    letters = sum(end - start for start, end in words)
    slips = min(len(words), max(1, round(letters / LETTERS_A_SLIP)))
    slipped = sorted(int(n) for n in rng.choice(len(words), size=slips, replace=False))
    for start, end in (words[n] for n in reversed(slipped)):
        text = text[:start] + _slip(text[start:end], rng) + text[end:]
    return text


def in_other_case(text: str, rng: np.random.Generator) -> str:
    """The text in small letters or in capitals, some of its blanks doubled, and a blank after it.

    Args:
        text: as a person wrote it.
        rng: chooses capitals or small letters, where both differ from the text, and the blanks.
    """
    forms = [form for form in (text.lower(), text.upper()) if form != text] or [text]
    chosen = forms[int(rng.integers(len(forms)))]

    def blank(_: re.Match[str]) -> str:
        return "  " if rng.random() < _DOUBLED_BLANKS else " "

    return _BLANK.sub(blank, chosen) + " "


def _slip(word: str, rng: np.random.Generator) -> str:
    """A word with one slip, never the word itself."""
    ways: list[Callable[[str, int, np.random.Generator], str]] = [_doubled, _dropped]
    at = int(rng.integers(len(word)))
    if word[at].lower() in _NEAR:
        ways.append(_neighbour)
    swaps = [n for n in range(len(word) - 1) if word[n] != word[n + 1]]
    if swaps:
        ways.append(_swapped)
    way = ways[int(rng.integers(len(ways)))]
    return way(word, swaps[int(rng.integers(len(swaps)))] if way is _swapped else at, rng)


def _doubled(word: str, at: int, _: np.random.Generator) -> str:
    return word[: at + 1] + word[at:]


def _dropped(word: str, at: int, _: np.random.Generator) -> str:
    return word[:at] + word[at + 1 :]


def _neighbour(word: str, at: int, rng: np.random.Generator) -> str:
    near = _NEAR[word[at].lower()]
    key = near[int(rng.integers(len(near)))]
    return word[:at] + (key.upper() if word[at].isupper() else key) + word[at + 1 :]


def _swapped(word: str, at: int, _: np.random.Generator) -> str:
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
