"""Rows whose question stands word for word in a document, together with its answer.

An answer alone in a document is what retrieval is for. A question with its answer behind it is the
row itself: whoever reads the document need not understand it.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tunewise.data.documents.document import Document, whole_text
from tunewise.data.splitting.word_hashes import Hashes, Vocabulary, Words, runs
from tunewise.text.answer_text import target_proper
from tunewise.types import Example, Message

MIN_WORDS = 4
"""Words of a question below which it may stand in a document by chance."""
WITHIN = 80
"""Words after the question, about 400 characters, among which its answer must begin."""
_TAIL = 32
"""Words at a question's end by which it is looked up."""
_BATCH = 4_000_000
"""Characters of documents that are looked through at once."""


class _Asked(NamedTuple):
    """A question and its answer as numbers of words, and the rows that are so."""

    question: Hashes
    answer: Hashes
    rows: list[int]


def answered_in(examples: Iterable[Example], documents: Sequence[Document]) -> dict[int, str]:
    """The rows that documents hold: question and, behind it, answer.

    Words are compared without regard to case, punctuation and white space. The question is the
    last turn of the user. The work is linear in rows and documents.

    Args:
        examples: the rows.
        documents: of the project.

    Returns:
        Place of a row among `examples` -> name of the first document that holds it, ascending.
    """
    vocabulary = Vocabulary()
    tables = _by_tail(_asked(examples, vocabulary))
    found: dict[int, str] = {}
    for some in _batches(documents) if tables else ():
        words = vocabulary.words([text for _, text in some])
        ends = np.cumsum(words.counts())
        for length, table in tables.items():
            for asked, start, text in _hits(words, length, table):
                if asked.rows[0] not in found and _holds(words.ids[: ends[text]], start, asked):
                    found.update(dict.fromkeys(asked.rows, some[text][0].name))
    return dict(sorted(found.items()))


def _asked(examples: Iterable[Example], vocabulary: Vocabulary) -> list[_Asked]:
    """What is asked and answered, once each."""
    every: dict[tuple[bytes, bytes], _Asked] = {}
    for row, example in enumerate(examples):
        question = vocabulary.words([_question(example.messages)]).ids
        if len(question) < MIN_WORDS:
            continue
        answer = vocabulary.words([target_proper(example.target)]).ids
        if len(answer):
            key = (question.tobytes(), answer.tobytes())
            every.setdefault(key, _Asked(question, answer, [])).rows.append(row)
    return list(every.values())


def _question(messages: Sequence[Message]) -> str:
    return next((turn.content for turn in reversed(messages) if turn.role == "user"), "")


def _by_tail(asked: Sequence[_Asked]) -> dict[int, dict[int, list[_Asked]]]:
    """Length of a question's tail -> hash of the tail -> who asks so."""
    tables: dict[int, dict[int, list[_Asked]]] = {}
    for one in asked:
        tail = one.question[-_TAIL:]
        alone = Words(ids=tail, text=np.zeros(len(tail), dtype=np.int64), texts=1)
        key = int(runs(alone, len(tail)).hashes[0])
        tables.setdefault(len(tail), {}).setdefault(key, []).append(one)
    return tables


def _batches(documents: Sequence[Document]) -> Iterator[list[tuple[Document, str]]]:
    batch: list[tuple[Document, str]] = []
    size = 0
    for document in documents:
        text = whole_text(document).text
        if batch and size + len(text) > _BATCH:
            yield batch
            batch, size = [], 0
        batch.append((document, text))
        size += len(text)
    if batch:
        yield batch


def _hits(
    words: Words, length: int, table: dict[int, list[_Asked]]
) -> Iterator[tuple[_Asked, int, int]]:
    """Who may be asked in these documents: with the place behind the question, and which text."""
    found = runs(words, length)
    keys: NDArray[np.uint64] = np.array(list(table), dtype=np.uint64)
    for place in np.flatnonzero(np.isin(found.hashes, keys)):
        for asked in table[int(found.hashes[place])]:
            yield asked, int(found.start[place]) + length, int(found.text[place])


def _holds(words: Hashes, end: int, asked: _Asked) -> bool:
    """Whether the question ends there, and its answer begins among the next words.

    Args:
        words: of the documents, to the end of the one in question.
        end: place behind the question.
        asked: question and answer.
    """
    question, answer = asked.question, asked.answer
    begin = end - len(question)
    if begin < 0 or not np.array_equal(words[begin:end], question):
        return False
    behind = words[end : end + WITHIN + len(answer)]
    starts = np.flatnonzero(behind[: len(behind) - len(answer) + 1] == answer[0])
    return any(np.array_equal(behind[at : at + len(answer)], answer) for at in starts)
