"""Finds texts that nearly repeat an earlier one: MinHash and LSH propose pairs, exact sets decide.

The likeness of two texts is the Jaccard similarity of their sets of words and pairs of neighbouring
words, without regard to case and punctuation. Runs of 13 words that many texts have in common (an
instruction, a form letter) do not count: texts are compared by what is their own.

What is said of a row depends on that row and earlier ones only, so that rows added at the end
change nothing for the rows before them.

MinHash: Broder (1997); LSH by bands: Leskovec, Rajaraman and Ullman, Mining of Massive Datasets,
chapter 3. With 32 bands of 8 values a pair of similarity 0.8 is proposed with probability
1 - (1 - 0.8^8)^32 = 0.997, one of 0.2 with 0.00008.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, cast

import numpy as np
import rensa  # pyright: ignore[reportMissingTypeStubs]
from numpy.typing import NDArray

from tunewise.data.splitting.word_hashes import Hashes, Runs, Vocabulary, Words, covered, runs
from tunewise.text.comparison import caseless

THRESHOLD = 0.8
BOILERPLATE_RUN = 13
"""Words in a run that may be boilerplate."""
BOILERPLATE_ROWS, BOILERPLATE_SHARE = 10, 0.01
"""A run is boilerplate when at least so many rows, and this share of them, hold it."""
FIRST_BLOCK = 20
"""Boilerplate is learnt from the first 20 rows, then anew whenever the rows have doubled."""

Indices = NDArray[np.int64]

_BANDS, _ROWS_IN_BAND = 32, 8
_SEED = 20_260_101
_SMALL = 64
"""Values of a signature kept, one byte of each, to estimate a similarity."""
_SLACK = 0.22
"""4.4 standard deviations of that estimate at similarity 0.8."""
_NEIGHBOURS = 8
"""In a crowded bucket a row is compared with so many first and so many last rows before it."""
_BATCH = 2_048
_KEPT = 4_000_000
"""Shingles of verified rows that are kept, since a row is compared again and again: 32 MB."""
_COUNTERS = 22
"""Bits of a run's hash that choose its counter: four million counters."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sketches:
    """A batch of texts, small enough to keep for a million rows: 200 bytes a text."""

    keys: Hashes
    """(texts,) hash of the text's comparison form, without regard to case."""
    bands: NDArray[np.uint32]
    """(texts, 32) one hash a band of the signature."""
    small: NDArray[np.uint8]
    """(texts, 64) the low byte of the first values of the signature."""
    comparable: NDArray[np.bool_]
    """(texts,) whether the text has words of its own."""


class Boilerplate:
    """Which runs of words are common to many rows, as known at a row of the data.

    A run is counted once a row, under the high bits of its hash, so that memory is the same for
    any number of rows.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.known: list[NDArray[np.int64]] = []
        """The common runs (their counters) at 20, 40, 80 ... rows."""
        self._counts = np.zeros(1 << _COUNTERS, dtype=np.uint32)

    @property
    def next_stop(self) -> int:
        """The number of rows at which it is learnt anew; no batch may reach beyond it."""
        return FIRST_BLOCK << len(self.known)

    def count(self, found: Runs, texts: int) -> None:
        """Counts the runs of the next rows."""
        self.add(counters_of(found), texts)

    def add(self, counters: NDArray[np.int64], texts: int) -> None:
        """The same, for runs that `counters_of` has reduced to their counters."""
        np.add.at(self._counts, counters, 1)
        self.rows += texts
        if self.rows >= self.next_stop:
            self.learn()

    def learn(self) -> None:
        """Learns what is common in the rows so far."""
        enough = max(BOILERPLATE_ROWS, BOILERPLATE_SHARE * self.rows)
        self.known.append(np.flatnonzero(self._counts >= enough))

    def at(self, row: int) -> NDArray[np.int64]:
        """The common runs as known at a row: learnt from the block of rows before its own."""
        block = max(row // FIRST_BLOCK, 1).bit_length() - 1
        return self.known[min(block, len(self.known) - 1)] if self.known else _NOTHING


_NOTHING = np.zeros(0, dtype=np.int64)


def leaders(texts: Sequence[str], threshold: float = THRESHOLD) -> Indices:
    """The earliest earlier text that each text nearly repeats.

    Args:
        texts: in the order of the data.
        threshold: Jaccard similarity from which two texts are near duplicates.

    Returns:
        (texts,) for each text the index of the earliest text before it that is at least so
        similar (equal ones included), or its own index when there is none. Of pairs at 0.8 more
        than 99% are found; none below the threshold is reported.
    """
    vocabulary, boilerplate = Vocabulary(), Boilerplate()
    batches: list[Sketches] = []
    start = 0
    while start < len(texts):
        end = min(start + _BATCH, boilerplate.next_stop, len(texts))
        batch = texts[start:end]
        words = vocabulary.words(batch)
        found = runs(words, BOILERPLATE_RUN)
        boilerplate.count(found, len(batch))
        if not boilerplate.known:  # fewer rows than the first block
            boilerplate.learn()
        batches.append(sketches(batch, own_words(words, found, boilerplate.at(start))))
        start = end

    def texts_of(rows: Indices) -> list[str]:
        return [texts[int(row)] for row in rows]

    return find_leaders(batches, texts_of, boilerplate, threshold, vocabulary)


def counters_of(found: Runs) -> NDArray[np.int64]:
    """The counters of a batch's runs, a run once a text: what `Boilerplate` needs of it."""
    shift = np.uint64(64 - _COUNTERS)
    places = (found.hashes >> shift).astype(np.int64) | (found.text << _COUNTERS)
    return np.unique(places) & ((1 << _COUNTERS) - 1)


def own_words(words: Words, found: Runs, common: NDArray[np.int64]) -> Words:
    """The words outside the runs that are common to many rows."""
    if not len(common):
        return words
    shift = np.uint64(64 - _COUNTERS)
    is_common = np.isin((found.hashes >> shift).astype(np.int64), common)
    return words.kept(~covered(words, found, is_common, BOILERPLATE_RUN))


def sketches(texts: Sequence[str], words: Words) -> Sketches:
    """MinHash signatures of a batch, reduced to what candidates need.

    Args:
        texts: as they are.
        words: of the same texts, without boilerplate.
    """
    shingles = _shingles(words)
    ends = np.cumsum(np.bincount(shingles.text, minlength=words.texts))
    matrix = cast("Any", rensa).RMinHash.digest_matrix_from_flat_token_hashes(
        shingles.hashes,
        np.concatenate([[0], ends]).astype(np.uint64),
        _BANDS * _ROWS_IN_BAND,
        _SEED,
    )
    values = np.array(matrix.to_rows(), dtype=np.uint32).reshape(len(texts), -1)
    return Sketches(
        keys=np.array([_key(text) for text in texts], dtype=np.uint64),
        bands=_banded(values),
        small=values[:, :_SMALL].astype(np.uint8),
        comparable=words.counts() > 0,
    )


def find_leaders(
    batches: Sequence[Sketches],
    texts_of: Callable[[Indices], Sequence[str]],
    boilerplate: Boilerplate,
    threshold: float = THRESHOLD,
    vocabulary: Vocabulary | None = None,
    order: Indices | None = None,
) -> Indices:
    """`leaders` of rows whose sketches were taken batch by batch.

    Args:
        batches: the sketches of all rows, in order.
        texts_of: gives the texts of some rows again, to verify them.
        boilerplate: as it was when each batch was sketched.
        threshold: as for `leaders`.
        vocabulary: words already known, for speed.
        order: (rows,) the rows, those that count as earlier first; None: as they come.
    """
    if not batches:
        return np.zeros(0, dtype=np.int64)
    keys = np.concatenate([batch.keys for batch in batches])
    order = np.arange(len(keys)) if order is None else order
    # From here on a row is its rank in that order.
    keys = keys[order]
    # Rows whose comparison forms are equal stand for one another.
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    unique = np.sort(first)
    comparable = np.concatenate([batch.comparable for batch in batches])[order[unique]]
    rows = unique[comparable]
    small = np.concatenate([batch.small for batch in batches])[order[rows]]
    pairs = [_NOTHING]
    for band in range(_BANDS):
        values = np.concatenate([batch.bands[:, band] for batch in batches])[order[rows]]
        pairs.append(_bucket_pairs(values, small, threshold))
    codes = np.unique(np.concatenate(pairs))
    later, earlier = rows[codes // len(rows)], rows[codes % len(rows)]
    verify = _Verifier(texts_of, boilerplate, vocabulary or Vocabulary(), order)
    leader = verify.first_alike(later, earlier, threshold)
    found = np.empty_like(order)
    found[order] = order[leader[first[inverse]]]
    return found


def _key(text: str) -> int:
    plain = caseless(text).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(plain, digest_size=8).digest(), "little")


def _shingles(words: Words) -> Runs:
    """Words and pairs of words, text by text."""
    pairs = runs(words, 2)
    text = np.concatenate([words.text, pairs.text])
    order = np.argsort(text, kind="stable")
    return Runs(
        hashes=np.concatenate([words.ids, pairs.hashes])[order], text=text[order], start=order
    )


def _banded(values: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """(texts, 32 · 8) values -> (texts, 32) hashes of the bands."""
    grouped = values.reshape(len(values), _BANDS, _ROWS_IN_BAND).astype(np.uint64)
    hashed = np.zeros(grouped.shape[:2], dtype=np.uint64)
    for position in range(_ROWS_IN_BAND):
        hashed = (hashed ^ grouped[:, :, position]) * np.uint64(0x9E3779B97F4A7C15)
        hashed ^= hashed >> np.uint64(29)
    return (hashed >> np.uint64(32)).astype(np.uint32)


def _bucket_pairs(
    values: NDArray[np.uint32], small: NDArray[np.uint8], threshold: float
) -> Indices:
    """Pairs that share a bucket of one band and look alike, as later · rows + earlier."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    begins = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    start = np.maximum.accumulate(np.where(begins, np.arange(len(order)), 0))
    place = np.arange(len(order)) - start
    found = [_NOTHING]
    for step in range(1, _NEIGHBOURS + 1):  # the last ones before it
        at = np.flatnonzero(place >= step)
        found.append(_alike(order[at], order[at - step], small, threshold))
    for head in range(_NEIGHBOURS):  # the first ones of the bucket
        at = np.flatnonzero(place > head + _NEIGHBOURS)
        found.append(_alike(order[at], order[start[at] + head], small, threshold))
    return np.concatenate(found)


def _alike(later: Indices, earlier: Indices, small: NDArray[np.uint8], threshold: float) -> Indices:
    """The pairs whose estimated similarity is not far below the threshold."""
    kept = [_NOTHING]
    for start in range(0, len(later), 1 << 18):  # 16 MB of bytes at a time
        a, b = later[start : start + (1 << 18)], earlier[start : start + (1 << 18)]
        estimate = np.count_nonzero(small[a] == small[b], axis=1) / _SMALL
        near = estimate >= threshold - _SLACK
        kept.append(a[near] * len(small) + b[near])
    return np.concatenate(kept)


class _Verifier:
    """Compares rows by their exact sets of shingles."""

    def __init__(
        self,
        texts_of: Callable[[Indices], Sequence[str]],
        boilerplate: Boilerplate,
        vocabulary: Vocabulary,
        order: Indices,
    ) -> None:
        self._texts_of = texts_of
        self._boilerplate = boilerplate
        self._vocabulary = vocabulary
        self._order = order
        self._known: dict[int, Hashes] = {}

    def first_alike(self, later: Indices, earlier: Indices, threshold: float) -> Indices:
        """(rows,) for each row, by its rank, its earliest partner that is alike, or itself.

        Args:
            later: (pairs,) the later row of each pair, ascending.
            earlier: (pairs,) its partner, ascending for each later row.
            threshold: similarity from which rows are alike.
        """
        leader = np.arange(len(self._order))
        turn = np.arange(len(later)) - np.searchsorted(later, later)
        for number in range(int(turn.max(initial=-1)) + 1):
            pending = np.flatnonzero((turn == number) & (leader[later] == later))
            for start in range(0, len(pending), _BATCH):
                chosen = pending[start : start + _BATCH]
                a, b = self._order[later[chosen]], self._order[earlier[chosen]]
                alike = self._similarity(a, b) >= threshold
                leader[later[chosen[alike]]] = earlier[chosen[alike]]
        return leader

    def _similarity(self, a: Indices, b: Indices) -> NDArray[np.float64]:
        """(pairs,) Jaccard similarity of rows a and b."""
        sets = self._sets(np.unique(np.concatenate([a, b])))
        left, right = [sets[int(row)] for row in a], [sets[int(row)] for row in b]
        shared = _shared(left, right)
        sizes = np.array([len(i) + len(j) for i, j in zip(left, right, strict=True)])
        return shared / (sizes - shared)

    def _sets(self, rows: Indices) -> Mapping[int, Hashes]:
        """The shingles of some rows (ascending), each as it was sketched."""
        if sum(map(len, self._known.values())) > _KEPT:
            self._known.clear()
        new = np.array([row for row in rows if int(row) not in self._known], dtype=np.int64)
        for block in np.split(new, np.flatnonzero(np.diff(_block(new))) + 1) if len(new) else ():
            words = self._vocabulary.words(self._texts_of(block))
            found = runs(words, BOILERPLATE_RUN)
            own = own_words(words, found, self._boilerplate.at(int(block[0])))
            shingles = _shingles(own)
            cuts = np.cumsum(np.bincount(shingles.text, minlength=own.texts))[:-1]
            each = (np.unique(one) for one in np.split(shingles.hashes, cuts))
            self._known.update(zip(block.tolist(), each, strict=True))
        return self._known


def _shared(left: Sequence[Hashes], right: Sequence[Hashes]) -> Indices:
    """(pairs,) how many shingles the sets of each pair have in common."""
    hashes, number = np.unique(np.concatenate([*left, *right]), return_inverse=True)
    pair = np.repeat(np.arange(2 * len(left)) % len(left), [len(one) for one in (*left, *right)])
    codes = pair * len(hashes) + number
    cut = sum(len(one) for one in left)
    common = np.intersect1d(codes[:cut], codes[cut:], assume_unique=True)
    return np.bincount(common // len(hashes), minlength=len(left))


def _block(rows: Indices) -> Indices:
    """Which doubling of the first 20 rows each row lies in."""
    return np.floor(np.log2(np.maximum(rows // FIRST_BLOCK, 1))).astype(np.int64)
