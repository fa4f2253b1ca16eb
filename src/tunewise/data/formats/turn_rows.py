"""Turns files whose rows are the turns of conversations, or lists of them, into conversations.

What cannot be put together surely is an error, with an example of the person's own words. It knows
nothing of files and formats.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import NamedTuple, cast

from tunewise.data.read_log import Numbered, Reading

CHAT_COLUMNS = frozenset({
    "messages", "conversations", "conversation", "dialog", "dialogue", "turns", "chat",
})  # fmt: skip
"""Columns in which a list of turns is known."""
ROLE_COLUMNS = ("role", "from", "speaker", "sender", "author", "author_type", "from_role")
"""Names under which turns say who speaks."""
_TEXTS = ("content", "value", "text", "message", "utterance", "body")
_SURE = {("role", "content"), ("from", "value")}
SPEAKERS = {
    "system", "user", "assistant", "human", "gpt", "chatgpt", "bot", "ai", "model", "customer",
    "agent", "tool", "function", "developer", "observation", "client", "support", "advisor",
}  # fmt: skip
"""Who speaks in conversations."""
_CONVERSATION = re.compile(
    r"(conversation|conv|dialog|dialogue|thread|session|chat|ticket|case|call|interaction)s?"
    r"[ _-]?(id|no|nr|number|key|uuid|index)?",
    re.IGNORECASE,
)
_ANSWERS = {"label", "category", "output", "answer", "completion", "target", "response"}
_OF_A_TURN = ("weight", "tool_calls", "tool_call_id", "name", "function_call")
_MAX_LENGTH = 40


class _TurnKeys(NamedTuple):
    role: str
    text: str


def turn_keys(row: object) -> _TurnKeys | None:
    """Under which names a row says who speaks and what; None: it is no turn."""
    if not isinstance(row, dict):
        return None
    row = cast("dict[str, object]", row)
    for role in ROLE_COLUMNS:
        for text in _TEXTS:
            if role in row and text in row:
                says = str(row[role]).strip().casefold()
                if (role, text) in _SURE or says in SPEAKERS:
                    return _TurnKeys(role, text)
    return None


def are_turns(value: object) -> bool:
    """Whether a value is a list of turns."""
    if not isinstance(value, list) or not value:
        return False
    items = cast("list[object]", value)
    return all(isinstance(item, dict) for item in items) and any(
        keys in _SURE for item in items if (keys := turn_keys(item))
    )


def is_single_turn(row: Mapping[str, object]) -> bool:
    """Whether a row is one turn, and no example of its own."""
    keys = turn_keys(row)
    return keys is not None and not _ANSWERS & (row.keys() - set(keys))


def turns_as_rows(row: Mapping[str, object]) -> str:
    """What is wrong with rows that are turns, and how to write the first one."""
    keys = turn_keys(row) or _TurnKeys("role", "content")
    return (
        f'each row is one turn ("{keys.role}", "{keys.text}"), not a conversation. Write one '
        f"conversation a row: {_example(row, keys)}. Or give the turns of each conversation one "
        'value in a column "conversation_id". Where rows are examples of their own, name their '
        "columns with input and output under [data]."
    )


def _example(row: Mapping[str, object], keys: _TurnKeys) -> str:
    says = shortened(row[keys.text])
    by_assistant = str(row[keys.role]).strip().casefold() in (
        "assistant", "gpt", "chatgpt", "bot", "ai", "model", "agent", "support",
    )  # fmt: skip
    asked, answer = ("...", says) if by_assistant else (says, "...")
    return chat_example(asked, answer)


def chat_example(asked: str, answer: str) -> str:
    """A conversation as it should be written."""
    turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
    return json.dumps({"messages": turns}, ensure_ascii=False)


def shortened(value: object, longest: int = _MAX_LENGTH) -> str:
    """A value as a short text to quote."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def conversations(rows: Iterator[Numbered], reading: Reading) -> Iterator[Numbered]:
    """Rows with lists of turns, and turns that a column puts together, as conversations.

    All other rows are given back as they are.
    """
    first = list(islice(rows, 2))
    every = chain(first, rows)
    column = _conversation_column([row for _, row in first])
    return _lists_named(every, reading) if column is None else _joined(every, column, reading)


def _lists_named(rows: Iterator[Numbered], reading: Reading) -> Iterator[Numbered]:
    for line, row in rows:
        if are_turns(row):
            reading.note("each row is a list of turns; read as a conversation.")
            yield Numbered(line, {"messages": row})
        else:
            yield Numbered(line, row)


def _conversation_column(first: Sequence[object]) -> str | None:
    """The column that says which turns belong together."""
    row = cast("dict[str, object]", first[0]) if first and isinstance(first[0], dict) else {}
    if not is_single_turn(row):
        return None
    named = [name for name in row if _CONVERSATION.fullmatch(name.strip())]
    if len(first) > 1 and isinstance(first[1], dict):
        second = cast("dict[str, object]", first[1])
        named += [name for name in ("id",) if row.get(name) and row[name] == second.get(name)]
    keys = turn_keys(row) or ()
    return next((name for name in named if name not in keys and _is_value(row[name])), None)


def _is_value(value: object) -> bool:
    return isinstance(value, str | int) and value != ""


class _Open(NamedTuple):
    """A conversation of which more turns may follow."""

    name: object
    line: int
    rows: list[dict[str, object]]


def _joined(rows: Iterator[Numbered], column: str, reading: Reading) -> Iterator[Numbered]:
    reading.note(f"each row is one turn; those of one {column} were put together.")
    seen: set[int] = set()
    broken: set[int] = set()
    held: _Open | None = None
    for line, row in rows:
        reading.line = line
        turn = cast("dict[str, object]", row) if isinstance(row, dict) else None
        if turn is None or turn_keys(turn) is None or not _is_value(turn.get(column)):
            what = f"is no turn with a role, a text and a {column}. Fill them in."
            reading.fault(line, "turns", what)
            if held is not None:  # perhaps a turn of it is missing now
                broken.add(held.line)
            continue
        name = turn[column]
        if held is not None and held.name == name:
            held.rows.append(turn)
            continue
        if hash(name) in seen:
            what = f'the turns of {column} "{shortened(name)}" do not follow one another.'
            reading.stop(line, "turns", f"{what} Sort the rows. Rows after it were not read.")
            return
        if held is not None and held.line not in broken:
            yield _conversation(held, column)
        seen.add(hash(name))
        held = _Open(name, line, [turn])
    if held is not None and held.line not in broken:
        yield _conversation(held, column)


def _conversation(held: _Open, column: str) -> Numbered:
    """One row: its turns, and the columns in which all of them agree."""
    first = held.rows[0]
    keys = turn_keys(first) or _TurnKeys("role", "content")
    names = ("role", "content") if keys.role == "role" else ("from", "value")
    turns = [
        {names[0]: row.get(keys.role), names[1]: row.get(keys.text)}
        | {name: row[name] for name in _OF_A_TURN if row.get(name) not in (None, "")}
        for row in held.rows
    ]
    shared = {
        name: value
        for name, value in first.items()
        if name not in (*keys, *_OF_A_TURN) and all(row.get(name) == value for row in held.rows)
    }
    shared[column] = held.name
    return Numbered(held.line, {"messages": turns, **shared})
