"""Recognises by the names of its columns how a row is written, and what it is for.

What `[data]` says comes first.
"""

import difflib
from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple, cast

from tunewise.data.formats.turn_rows import is_single_turn, turns_as_rows
from tunewise.data.layouts.annotations import is_label_studio, is_prodigy, label_studio, prodigy
from tunewise.data.layouts.chat_rows import chat, prompted
from tunewise.data.layouts.columns import Row, Shaped, alpaca, multiple_choice, pair, plain_text
from tunewise.data.layouts.preferences import PairColumns, preferred
from tunewise.data.layouts.request_logs import logged, run_of, unlabelled_log
from tunewise.data.read_log import Reading, RowError
from tunewise.project.settings import Data

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
_PERHAPS_CHATS = ("dialog", "dialogue", "turns", "chat")
"""Columns that often hold texts: of turns only where there is a list of them."""


TURNS = "turns as rows"
"""The kind of fault of a file whose rows are single turns."""
HALF_A_LOG = "half a log"
"""The kind of fault of a request without its answer, or the other way round."""


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
    chat_column = _chat_column(row)
    columns = _pair_columns(row)
    if chat_column and not (columns and kind == "preferences"):
        return _chat(chat_column, reading)
    return _preference(columns, reading) if columns else _two_columns(row, kind, reading)


def _chat_column(row: Row) -> str | None:
    for column in _CHATS:
        if column in row and not _is_text_of_pair(row, column):
            return column
    return next((column for column in _PERHAPS_CHATS if _may_be_turns(row.get(column))), None)


def _is_text_of_pair(row: Row, column: str) -> bool:
    """Whether what is named a conversation is a text beside columns of another kind."""
    value = row[column]
    if column == "messages" or not isinstance(value, str):
        return False
    return bool(value.strip()) and value.lstrip()[0] not in "[{"


def _may_be_turns(value: object) -> bool:
    if isinstance(value, str) and value.lstrip().startswith("[{"):
        return True
    turns = cast("list[object]", value) if isinstance(value, list) else []
    return bool(turns) and isinstance(turns[0], dict)


def _pair_columns(row: Row) -> PairColumns | None:
    if "preferred_output" in row or "non_preferred_output" in row:
        return PairColumns("input", "preferred_output", "non_preferred_output")
    if "chosen" in row or "rejected" in row:
        asked = next((name for name in ("prompt", "question", "input") if name in row), None)
        return PairColumns(asked, "chosen", "rejected")
    return None


def _two_columns(row: Row, kind: Kind, reading: Reading) -> Shape:
    if is_prodigy(row):
        return Shape("Prodigy's tasks (text -> label)", "examples", prodigy)
    if is_label_studio(row):
        return Shape("Label Studio's tasks (data -> choice)", "examples", label_studio)
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
    if isinstance(row.get("request"), dict) and "response" in row:
        return Shape("log (request -> response)", "examples", partial(logged, reading=reading))
    if "inputs" in row and "outputs" in row:
        read = partial(run_of, reading=reading)
        return Shape("run (inputs -> outputs)", "examples", read)
    if is_single_turn(row):
        raise RowError(TURNS, turns_as_rows(row))
    if what := unlabelled_log(row):
        raise RowError(HALF_A_LOG, what)
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
    hint = (
        f"{_hints(row)} `tunewise init FOLDER` finds such columns; or name them with input and "
        "output under [data]; a table needs a header line."
    )
    return f"has the columns {names}, none known as input and answer. {hint.strip()}"


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
