"""Finds rows that are pieces of one conversation: every answer a row, with the turns before it.

Such a row holds the answer of the rows before it as an earlier turn, so that on another side of a
split it gives their targets away. What is said of a row depends on it and earlier rows only.
"""

from collections import defaultdict
from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

from tunewise.chat.tools import answer_with_calls
from tunewise.text.comparison import comparable
from tunewise.types import Example, Message

WAYS_ON = 3
"""A conversation that goes on in more ways than this is a common opening, such as a greeting."""


class _Mark(NamedTuple):
    """A place in a conversation behind an answer."""

    said: bytes
    """Hash of all turns up to there, but for the system's."""
    on: bytes
    """The same with the turn after it; empty at the end."""


def pieces(examples: Sequence[Example]) -> list[int]:
    """(rows,) the earlier row whose conversation each row goes on from, or begins; else itself.

    Args:
        examples: all rows, in the order of the file.
    """
    found = list(range(len(examples)))
    if not any(turn.role == "assistant" for row in examples for turn in row.messages):
        return found
    ended: dict[bytes, int] = {}  # the whole of a conversation -> the first row that is it
    begun: dict[bytes, tuple[int, bytes]] = {}  # a part -> the first row, and how it goes on
    ways: defaultdict[bytes, set[bytes]] = defaultdict(set)
    for row, example in enumerate(examples):
        *parts, end = _marks(example)
        longest = next((mark for mark in reversed(parts) if mark.said in ended), None)
        if longest is not None:
            if len(ways[longest.said]) < WAYS_ON:
                ways[longest.said].add(longest.on)
            if longest.on in ways[longest.said]:
                found[row] = ended[longest.said]
        elif end.said in begun:
            found[row], on = begun[end.said]
            ways[end.said].add(on)
        ended.setdefault(end.said, row)
        for mark in parts:
            begun.setdefault(mark.said, (row, mark.on))
    return found


def _marks(example: Example) -> list[_Mark]:
    """A mark behind each answer of a row, its target last."""
    turns = [turn for turn in example.messages if turn.role != "system"]
    turns.append(Message(role="assistant", content=example.target))
    said = b""
    hashes: list[bytes] = []
    for turn in turns:
        text = comparable(answer_with_calls(turn.content, turn.tool_calls)).casefold()
        written = f"{turn.role}\0{text}".encode("utf-8", "surrogatepass")
        said = blake2b(said + written, digest_size=16).digest()
        hashes.append(said)
    after = [*hashes[1:], b""]
    return [
        _Mark(here, on)
        for turn, here, on in zip(turns, hashes, after, strict=True)
        if turn.role == "assistant"
    ]
