"""Recognises by the names of its columns how a row is written, and what it is for.

What `[data]` says comes first. It knows nothing of files, and reads no row.
"""

import difflib
from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

from tunewise.data.chat_rows import chat, prompted
from tunewise.data.columns import Row, Shaped, alpaca, multiple_choice, pair, plain_text
from tunewise.data.faults import Reading, RowError
from tunewise.data.preferences import PairColumns, preferred
from tunewise.settings import Data

Kind = Literal["examples", "preferences", "texts", "ratings"]
"""What a row is for."""

_FOR_MODELS = (("prompt", "completion"), ("prompt", "response"))
_PAIRS = (
    ("input", "output"),
    ("question", "answer"),
    ("text", "label"),
    ("input", "target"),
)
_CHATS = ("messages", "conversations", "conversation")


class Shape(NamedTuple):
    """How a row is written."""

    name: str
    kind: Kind
    read: Callable[[Row], Shaped]
    """Raises RowError where the row is not what its columns promise."""


def recognise(row: Row, data: Data, kind: Kind, reading: Reading) -> Shape:
    """The shape of a row.

    Args:
        row: column -> value.
        data: the columns that a person named.
        kind: what rows are wanted for; decides where a row could be read in two ways.
        reading: gets the notes of whoever reads rows of this shape.

    Raises:
        RowError: no known shape has these columns.
    """
    if data.chosen and data.rejected:
        return _preference(PairColumns(data.input, data.chosen, data.rejected), reading)
    if data.input and data.output:
        return _pair(data.input, data.output)
    if data.messages:
        return _chat(data.messages, reading)
    if data.text:
        return _text(data.text)
    chat_column = next((column for column in _CHATS if column in row), None)
    columns = _pair_columns(row)
    if chat_column and not (columns and kind == "preferences"):
        return _chat(chat_column, reading)
    return _preference(columns, reading) if columns else _two_columns(row, kind, reading)


def _pair_columns(row: Row) -> PairColumns | None:
    if "preferred_output" in row or "non_preferred_output" in row:
        return PairColumns("input", "preferred_output", "non_preferred_output")
    if "chosen" in row or "rejected" in row:
        asked = next((name for name in ("prompt", "question", "input") if name in row), None)
        return PairColumns(asked, "chosen", "rejected")
    return None


def _two_columns(row: Row, kind: Kind, reading: Reading) -> Shape:
    if kind == "texts" and "text" in row:
        return _text("text")
    if "question" in row and isinstance(row.get("choices"), list):
        return Shape("multiple choice (question, choices -> letter)", "examples", multiple_choice)
    if "instruction" in row and ("output" in row or "response" in row):
        answer = "output" if "output" in row else "response"
        read = partial(alpaca, answer=answer)
        return Shape(f"Alpaca (instruction, input -> {answer})", "examples", read)
    for asked, answer in _FOR_MODELS:
        if asked in row and answer in row:
            name = f"{asked} -> {answer}"
            if isinstance(row.get("label"), bool):
                name, rated = f"{name}, rated by label", True
            else:
                rated = False
            read = partial(prompted, reading=reading, asked=asked, answer=answer)
            return Shape(name, "ratings" if rated else "examples", read)
    for asked, answer in _PAIRS:
        if asked in row and answer in row:
            return _pair(asked, answer)
    if "text" in row and not _hints(row):
        return _text("text")
    raise RowError("unknown columns", _unknown_columns(row))


def _chat(column: str, reading: Reading) -> Shape:
    return Shape(f"chat ({column})", "examples", partial(chat, reading=reading, column=column))


def _preference(columns: PairColumns, reading: Reading) -> Shape:
    asked = f"{columns.prompt}, " if columns.prompt else ""
    name = f"preferences ({asked}{columns.chosen} over {columns.rejected})"
    return Shape(name, "preferences", partial(preferred, reading=reading, columns=columns))


def _pair(asked: str, answer: str) -> Shape:
    return Shape(f"{asked} -> {answer}", "examples", partial(pair, asked=asked, answer=answer))


def _text(column: str) -> Shape:
    return Shape(f"plain text ({column})", "texts", partial(plain_text, column=column))


def _unknown_columns(row: Row) -> str:
    if not row:
        return "the row is empty. Write an input and an answer."
    names = ", ".join(f'"{name[:30]}"' for name in list(row)[:6])
    hint = _hints(row) or (
        "Name the columns with input and output under [data]; a table needs a header line."
    )
    return f"has the columns {names}, none known as input and answer. {hint}"


def _hints(row: Row) -> str:
    """Known names that the row's own are near to."""
    pairs = (*_FOR_MODELS, *_PAIRS)
    known = (*_CHATS, *dict.fromkeys(name for both in pairs for name in both))
    near = [
        f'Did you mean "{match[0]}"?'
        for name in row
        if name not in known and (match := difflib.get_close_matches(name.lower(), known, 1, 0.75))
    ]
    return " ".join(near[:2])
