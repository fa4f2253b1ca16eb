"""Turns single columns of a row into input and answer, and what is left of it into metadata."""

import contextlib
import difflib
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

from tunewise.data.read_log import RowError
from tunewise.types import JsonValue, Message, Tool

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_FILE_NAME = re.compile(r".*[^\s./]\.[A-Za-z]\w{0,9}")
_ENCODE = json.JSONEncoder(ensure_ascii=False).encode
_NO_COLUMNS: dict[str, JsonValue] = {}

Row = Mapping[str, object]


class Shaped(NamedTuple):
    """What a row says, whatever it is written as."""

    messages: tuple[Message, ...]
    """The input; empty for a plain text."""
    answers: tuple[str, ...]
    """The target; the better and the worse answer; or the plain text."""
    used: tuple[str, ...]
    """Columns that became input or answer; the others are metadata."""
    tools: tuple[Tool, ...] = ()


def value_of(row: Row, column: str) -> str:
    """A cell as text: structured answers become compact JSON.

    Raises:
        RowError: it is missing or empty.
    """
    if column not in row:
        raise RowError("no column", f'has no column "{column}". {near_column(column, row)}')
    value = row[column]
    if value is None or (isinstance(value, str) and not value.strip()):
        raise RowError("empty", f"{column} is empty. Fill it in, or remove the row.")
    return value if isinstance(value, str) else _ENCODE(value)


def near_column(column: str, row: Row) -> str:
    """What to do about a column that is not there."""
    near = difflib.get_close_matches(column, list(row), n=1)
    return f'Did you mean "{near[0]}"?' if near else f"Columns: {', '.join(list(row)[:8])}."


def system_turn(row: Row, column: str = "system") -> tuple[Message, ...]:
    """The column as a system turn; none where it is empty or missing."""
    text = row.get(column)
    if text is None or text == "":
        return ()
    if not isinstance(text, str):
        raise RowError("system", f"{column} is no text. Write the system prompt as one text.")
    return (Message(role="system", content=text),) if text.strip() else ()


def earlier_turns(row: Row, column: str = "history") -> tuple[Message, ...]:
    """Turns before a row's own question: a list of [question, answer], perhaps as JSON text.

    Their answers are learnt, as those in a conversation are. Anything but a list is no history of
    a conversation and stays metadata.

    Raises:
        RowError: it is a list of something else.
    """
    value = row.get(column)
    if isinstance(value, str) and value.lstrip().startswith("[["):  # a table's cell
        with contextlib.suppress(ValueError, RecursionError):
            value = cast(object, json.loads(value))
    if not isinstance(value, list):
        return ()
    turns: list[Message] = []
    for exchange in cast(list[object], value):
        said = cast(list[object], exchange) if isinstance(exchange, list | tuple) else []
        texts = [text for text in said if isinstance(text, str) and text.strip()]
        if len(said) != 2 or len(texts) != 2:
            raise RowError("history", f'{column} is no list of pairs. Write [["...", "..."], ...].')
        turns.append(Message(role="user", content=texts[0]))
        turns.append(Message(role="assistant", content=texts[1], weight=1))
    return tuple(turns)


def question(text: str, answer: str, *used: str, before: tuple[Message, ...] = ()) -> Shaped:
    """One question and its answer, with the turns before it."""
    return Shaped((*before, Message(role="user", content=text)), (answer,), used)


def pair(row: Row, *, asked: str, answer: str) -> Shaped:
    """Two columns."""
    if isinstance(row.get(asked), dict | list | bool):
        raise RowError("input", f"{asked} is no text. Write the input as one text.")
    before = earlier_turns(row)
    used = (asked, answer, "history") if before else (asked, answer)
    return question(value_of(row, asked), value_of(row, answer), *used, before=before)


def alpaca(row: Row, *, answer: str) -> Shaped:
    """Instruction, perhaps an input below it, and the answer."""
    instruction, extra = value_of(row, "instruction"), row.get("input")
    if extra is not None and not isinstance(extra, str):
        raise RowError("input", "input is no text. Write the input as one text.")
    whole = f"{instruction}\n\n{extra}" if extra and extra.strip() else instruction
    before = earlier_turns(row)
    used = ("instruction", "input", "system", answer, *(("history",) if before else ()))
    return question(whole, value_of(row, answer), *used, before=(*system_turn(row), *before))


def multiple_choice(row: Row) -> Shaped:
    """A question with its choices below it; the answer is a letter."""
    choices = cast(list[object], row["choices"])
    answer = row.get("answer")
    if not all(isinstance(choice, str) for choice in choices) or not 2 <= len(choices) <= 26:
        raise RowError("choices", "choices is no list of 2 to 26 texts. Write them as texts.")
    if answer in choices:
        answer = choices.index(answer)
    elif isinstance(answer, str) and answer in _LETTERS[: len(choices)] and answer:
        answer = _LETTERS.index(answer)
    if isinstance(answer, bool) or not isinstance(answer, int) or not 0 <= answer < len(choices):
        raise RowError("choices", "answer is none of the choices. Write its number from 0.")
    listed = "\n".join(f"{letter}. {text}" for letter, text in zip(_LETTERS, choices, strict=False))
    asked = f"{value_of(row, 'question')}\n{listed}"
    return question(asked, _LETTERS[answer], "question", "choices", "answer")


def plain_text(row: Row, *, column: str) -> Shaped:
    """One column of text."""
    if isinstance(row.get(column), dict | list | bool):
        raise RowError("text", f"{column} is no text. Write it as one text.")
    return Shaped((), (value_of(row, column),), (column,))


def other_columns(row: Row, used: Sequence[str]) -> dict[str, JsonValue]:
    """Every column that is neither input nor answer, `meta` and `metadata` spread out."""
    found: dict[str, JsonValue] | None = None
    for key, value in row.items():
        if key in used or key == "id":
            continue
        found = {} if found is None else found
        if key in ("meta", "metadata") and isinstance(value, dict):
            for inner, item in cast(dict[str, JsonValue], value).items():
                name = inner if inner not in found and inner not in row else f"{key}.{inner}"
                found[name] = item
        else:
            found[key] = cast(JsonValue, value)
    return _NO_COLUMNS if found is None else found


def with_document(columns: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The columns with `document` as the name of the file that holds the answer, or without it."""
    keys = [key for key in ("document", "doc") if key in columns] or ["source"]
    named = (columns.get(key) for key in keys)
    document = next((name for name in named if isinstance(name, str) and _is_file(name)), None)
    others = {key: value for key, value in columns.items() if key != "document"}
    return others if document is None else {**others, "document": document}


def _is_file(name: str) -> bool:
    """Whether a text looks like a file's name, with an ending; an address on the web does not."""
    return "://" not in name and _FILE_NAME.fullmatch(name) is not None


def row_id(row: Row, shaped: Shaped) -> str:
    """The row's own id, or a hash of its content.

    Raises:
        RowError: it has an id that is neither text nor whole number.
    """
    own = row.get("id")
    if own is not None and own != "":
        if isinstance(own, bool | float | list | dict):
            raise RowError("id", "id is neither text nor whole number. Write one, or none.")
        return str(own)
    turns = [
        [turn.role, turn.content, *(f"{call.name}{call.arguments}" for call in turn.tool_calls)]
        for turn in shaped.messages
    ]
    content = _ENCODE([turns, *shaped.answers])
    return hashlib.sha256(content.encode()).hexdigest()[:16]
