"""Looks at a batch of rows once and keeps of each what the rules need: hashes, sizes, sketches.

Runs in the main process or in a worker, and remembers nothing of a batch but the words it met.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from tunewise.chat.tools import written_in
from tunewise.data.checks.personal import Match, personal_data
from tunewise.data.checks.row_store import packed_input, unpacked
from tunewise.data.checks.special_tokens import SpecialTokens
from tunewise.data.layouts.tool_arguments import ArgumentFault, argument_faults
from tunewise.data.splitting.near_duplicates import (
    BOILERPLATE_RUN,
    Sketches,
    counters_of,
    own_words,
    sketches,
)
from tunewise.data.splitting.sides import hash_place
from tunewise.data.splitting.units import (
    comparable_text,
    document_of,
    normalised_input,
    own_unit,
)
from tunewise.data.splitting.word_hashes import Hashes, Runs, Vocabulary, runs
from tunewise.text.answer_text import target_proper
from tunewise.text.comparison import comparable
from tunewise.types import Example

LEAK_RUN = BOILERPLATE_RUN
"""Words in a run that a test row must not share with train."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """What to look for."""

    seed: int = 0
    """Salt of the split to come."""
    personal: bool = False
    """Whether to look for secrets and personal data."""
    special: frozenset[str] = frozenset()
    """Special tokens of the project's tokenizer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Columns:
    """What is kept of each row: arrays of one value a row."""

    input: Hashes
    """Hash of the input's comparison form, without regard to case."""
    exact: Hashes
    """Hash of the input as it stands."""
    target: Hashes
    """Hash of the answer's comparison form."""
    group: Hashes
    """Hash of the group; 0 for none."""
    unit: Hashes
    """Hash of the name of the row's own unit."""
    document: Hashes
    """Hash of the name of the document that the row names; 0 for none."""
    place: NDArray[np.float64]
    """Where the row's own unit lies in the split, 0 to 1."""
    input_chars: NDArray[np.uint32]
    """Characters of all turns of the input."""
    target_chars: NDArray[np.uint32]
    """Characters of the answer without the white space around it; 0 where nothing can be seen."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scanned:
    """What was seen in a batch. Rows are numbered from its beginning."""

    columns: Columns
    sketches: Sketches
    counters: NDArray[np.int64]
    """Runs of words, for `Boilerplate.add`."""
    runs: Runs
    """Runs of 13 words of each row; empty unless asked for."""
    matched: NDArray[np.int64]
    """(matches,) places in the table of runs of the test rows, once a row."""
    matched_row: NDArray[np.int64]
    """(matches,) the rows they are in."""
    special: tuple[tuple[int, str], ...]
    """Rows with a special token, and the token."""
    personal: tuple[tuple[int, Match], ...]
    """Rows with secrets or personal data."""
    arguments: tuple[tuple[int, ArgumentFault], ...]
    """Rows with calls that do not fit their tools."""
    shapes: dict[str, tuple[int, int]]
    """Roles of the turns, as `system user assistant` -> rows so written, the first of them."""


NO_RUNS = Runs(
    hashes=np.zeros(0, np.uint64), text=np.zeros(0, np.int64), start=np.zeros(0, np.int64)
)
NONE = np.zeros(0, dtype=np.int64)


class Scanner:
    """Looks at batches of rows.

    Args:
        scope: what to look for.
        table: (runs,) hashes of the runs of 13 words in test rows, ascending.
    """

    def __init__(self, scope: Scope, table: Hashes | None = None) -> None:
        self._scope = scope
        self._table = table if table is not None and len(table) else None
        self._vocabulary = Vocabulary()
        self._special = SpecialTokens(scope.special)

    def counters(self, records: Sequence[bytes]) -> NDArray[np.int64]:
        """The runs of words of some rows, for `Boilerplate.add`."""
        words = self._vocabulary.words([comparable_text(unpacked(record)) for record in records])
        return counters_of(runs(words, BOILERPLATE_RUN))

    def scan(
        self, records: Sequence[bytes], common: NDArray[np.int64], *, keep_runs: bool
    ) -> Scanned:
        """Looks at a batch.

        Args:
            records: rows as `packed` made them.
            common: what is boilerplate, from `Boilerplate.at`.
            keep_runs: whether the runs of 13 words are wanted (of test rows).
        """
        examples = [unpacked(record) for record in records]
        texts = [comparable_text(example) for example in examples]
        words = self._vocabulary.words(texts)
        found = runs(words, BOILERPLATE_RUN)
        own = own_words(words, found, common)
        # Runs that reach out of boilerplate by a word or two are as common as boilerplate.
        own_runs = found if own is words else runs(own, LEAK_RUN)
        matched, matched_row = self._matches(own_runs)
        return Scanned(
            columns=columns_of(examples, self._scope.seed),
            sketches=sketches(texts, own),
            counters=counters_of(found),
            runs=own_runs if keep_runs else NO_RUNS,
            matched=matched,
            matched_row=matched_row,
            special=tuple(self._special_tokens(examples)),
            personal=tuple(_personal(examples)) if self._scope.personal else (),
            arguments=tuple(_arguments(examples)),
            shapes=_shapes(examples),
        )

    def _matches(self, found: Runs) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        if self._table is None or not len(found.hashes):
            return NONE, NONE
        place = np.searchsorted(self._table, found.hashes)
        place[place == len(self._table)] = 0
        hit = self._table[place] == found.hashes
        pairs = np.unique(found.text[hit] * len(self._table) + place[hit])
        return pairs % len(self._table), pairs // len(self._table)

    def _special_tokens(self, examples: Sequence[Example]) -> list[tuple[int, str]]:
        found: list[tuple[int, str]] = []
        for row, example in enumerate(examples):
            token = self._special.first_in("\n".join(_texts(example, thoughts=False)))
            if token is not None:
                found.append((row, token))
        return found


def short_hash(text: str) -> int:
    """A hash of 64 bits, the same in every process."""
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def columns_of(examples: Sequence[Example], seed: int) -> Columns:
    """What is kept of each row.

    Args:
        examples: the rows.
        seed: salt of the split to come.
    """
    units = [own_unit(example) for example in examples]
    answers = [comparable(example.target) for example in examples]
    return Columns(
        input=_hashed([normalised_input(example) for example in examples]),
        exact=_hashed([packed_input(example) for example in examples]),
        target=_hashed(answers),
        group=np.array(
            [0 if e.group is None else short_hash(e.group) for e in examples], dtype=np.uint64
        ),
        unit=_hashed(units),
        document=np.array(
            [short_hash(name) if name else 0 for name in map(document_of, examples)],
            dtype=np.uint64,
        ),
        place=np.array([hash_place("split", seed, unit) for unit in units]),
        input_chars=np.array(
            [sum(len(turn.content) for turn in example.messages) for example in examples],
            dtype=np.uint32,
        ),
        target_chars=np.array(
            [
                len(e.target.strip()) if answer else 0
                for e, answer in zip(examples, answers, strict=True)
            ],
            dtype=np.uint32,
        ),
    )


def _hashed(texts: Sequence[str]) -> Hashes:
    return np.array([short_hash(text) for text in texts], dtype=np.uint64)


def _texts(example: Example, *, thoughts: bool = True) -> list[str]:
    target = example.target if thoughts else target_proper(example.target)
    return [*(turn.content for turn in example.messages), target]


def _personal(examples: Sequence[Example]) -> list[tuple[int, Match]]:
    return [
        (row, match)
        for row, example in enumerate(examples)
        for match in personal_data("\n".join(_texts(example)))
    ]


def _arguments(examples: Sequence[Example]) -> list[tuple[int, ArgumentFault]]:
    found: list[tuple[int, ArgumentFault]] = []
    for row, example in enumerate(examples):
        if example.tools:
            made = [call for turn in example.messages for call in turn.tool_calls]
            calls = [*made, *written_in(example.target)]
            faults = dict.fromkeys(argument_faults(calls, example.tools))
            found += [(row, fault) for fault in faults]
    return found


def _shapes(examples: Sequence[Example]) -> dict[str, tuple[int, int]]:
    shapes: dict[str, tuple[int, int]] = {}
    for row, example in enumerate(examples):
        roles = " ".join([*(turn.role for turn in example.messages), "assistant"])
        rows, first = shapes.get(roles, (0, row))
        shapes[roles] = (rows + 1, first)
    return shapes
