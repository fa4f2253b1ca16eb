"""Turns texts into words as numbers, and runs of words into hashes, in whole arrays.

The numbers depend on nothing but the words: they are the same in every process and every run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from tunewise.text.words import words as words_of

Hashes = NDArray[np.uint64]

_MAX_KNOWN = 400_000
_BASE = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """The words of a batch of texts, one text after the other."""

    ids: Hashes
    """(words,) a number for each word; equal words have equal numbers."""
    text: NDArray[np.int64]
    """(words,) which text of the batch each word stands in, ascending."""
    texts: int
    """Texts in the batch, those without words included."""

    def kept(self, mask: NDArray[np.bool_]) -> "Words":
        """The same texts with only the words where `mask` (words,) is true."""
        return Words(ids=self.ids[mask], text=self.text[mask], texts=self.texts)

    def counts(self) -> NDArray[np.int64]:
        """(texts,) how many words each text has."""
        return np.bincount(self.text, minlength=self.texts)


@dataclass(frozen=True, kw_only=True, slots=True)
class Runs:
    """Every run of n words within one text."""

    hashes: Hashes
    """(runs,)"""
    text: NDArray[np.int64]
    """(runs,) which text of the batch each run stands in."""
    start: NDArray[np.int64]
    """(runs,) position of its first word in `Words.ids`."""


class Vocabulary(dict[str, int]):
    """Word -> 64-bit number, by BLAKE2b; it remembers the words it has met, up to a limit."""

    def __missing__(self, word: str) -> int:
        if len(self) >= _MAX_KNOWN:
            self.clear()
        digest = blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        number = self[word] = int.from_bytes(digest, "little")
        return number

    def words(self, texts: Sequence[str]) -> Words:
        """The words of the texts, without regard to case, punctuation and white space."""
        ids: list[int] = []
        counts: list[int] = []
        for text in texts:
            found = words_of(text)
            counts.append(len(found))
            ids += map(self.__getitem__, found)
        return Words(
            ids=np.array(ids, dtype=np.uint64),
            text=np.repeat(np.arange(len(texts)), counts),
            texts=len(texts),
        )


def runs(words: Words, n: int) -> Runs:
    """The runs of n words, hashed; a text with fewer than n words has none."""
    starts = max(len(words.ids) - n + 1, 0)
    hashes = np.zeros(starts, dtype=np.uint64)
    for k in range(n):
        hashes = hashes * _BASE + words.ids[k : k + starts]
    inside = words.text[:starts] == words.text[n - 1 : n - 1 + starts]
    return Runs(
        hashes=_mixed(hashes[inside]),
        text=words.text[:starts][inside],
        start=np.flatnonzero(inside),
    )


def covered(words: Words, found: Runs, chosen: NDArray[np.bool_], n: int) -> NDArray[np.bool_]:
    """(words,) whether a word lies in any of the chosen runs of n words."""
    steps = np.zeros(len(words.ids) + 1, dtype=np.int64)
    starts = found.start[chosen]
    np.add.at(steps, starts, 1)
    np.add.at(steps, starts + n, -1)
    return np.cumsum(steps[:-1]) > 0


def _mixed(hashes: Hashes) -> Hashes:
    """The finish of SplitMix64: every bit depends on every bit."""
    hashes = (hashes ^ (hashes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    hashes = (hashes ^ (hashes >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return hashes ^ (hashes >> np.uint64(31))
