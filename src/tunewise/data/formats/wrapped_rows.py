"""Turns a JSON file that is one single value into rows: wrappers, and tables written by columns.

`{"data": [...]}`, `{"input": [...], "output": [...]}`, and what pandas writes.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, cast

from tunewise.data.formats.strict_json import decode_at
from tunewise.data.formats.turn_rows import CHAT_COLUMNS, are_turns
from tunewise.data.read_log import FileError, Numbered, Reading

_WRAPPERS = (
    "data", "rows", "records", "items", "examples", "samples", "instances", "entries", "results",
    "train", "training", "dev", "validation", "test", "dataset", "questions", "dialogues",
    "dialogs", "conversations", "chats", "tickets", "messages",
)  # fmt: skip
_SHOWN = 4


class _Rows(NamedTuple):
    values: Sequence[object]
    how: str
    """What is noted."""
    key: str | None = None
    """Where the rows lie in the file; None: they have no lines of their own."""


def rows_within(value: object, text: str, line: int, reading: Reading) -> Iterator[Numbered] | None:
    """The rows that the only value of a file holds; None: it is a row itself.

    Args:
        value: what the text says.
        text: JSON, which `strict_json` has accepted.
        line: of the file, where the text begins.
        reading: gets a note of how the value was read.

    Raises:
        FileError: it holds rows in a way that cannot be read surely.
    """
    if isinstance(value, list) and value:
        items = cast("list[object]", value)
        return _numbered(_Rows(items, "is one JSON array on one line; read as its rows."), reading)
    if not isinstance(value, dict) or not value:
        return None
    members = cast("dict[str, object]", value)
    found = _wrapped(members, line) or _by_columns(members, line) or _by_keys(members)
    if found is None:
        return None
    if found.key is None:
        return _numbered(found, reading)
    lines = _lines(text, found.key, line)
    if len(set(lines)) < len(lines):
        return _numbered(found, reading)
    reading.note(found.how)
    return map(Numbered, lines, found.values)


def _numbered(found: _Rows, reading: Reading) -> Iterator[Numbered]:
    reading.note(f"{found.how} The number after the file's name is that of the row.")
    return (Numbered(number, row) for number, row in enumerate(found.values, 1))


def _wrapped(members: Mapping[str, object], line: int) -> _Rows | None:
    """Rows in a list below a key."""
    columns, cells = members.get("columns"), members.get("data")
    if _are_texts(columns) and _are_lists(cells, len(cast("list[str]", columns))):
        names, table = cast("list[str]", columns), cast("list[list[object]]", cells)
        rows = [dict(zip(names, row, strict=True)) for row in table]
        return _Rows(rows, 'holds "columns" and "data" apart, as pandas splits a table; joined.')
    keys = [key for key, value in members.items() if _are_rows(key, value)]
    if len(members) > 1:
        keys = [key for key in keys if key in _WRAPPERS]
    if len(keys) > 1:
        listed = ", ".join(f'"{key[:30]}"' for key in keys[:_SHOWN])
        what = f"holds several lists of rows: {listed}. Write each into a file of its own"
        raise FileError(f"{what}, and name those under [data], as train and test.", line=line)
    if not keys:
        return None
    rows = cast("list[object]", members[keys[0]])
    inner = [row["row"] for row in _objects(rows) if "row_idx" in row and "row" in row]
    rows = inner if len(inner) == len(rows) else rows
    others = ", ".join(f'"{key[:30]}"' for key in list(members)[:_SHOWN] if key != keys[0])
    unused = f" {others} beside it: not used." if others else ""
    return _Rows(rows, f'the rows lie in "{keys[0][:30]}"; read as such.{unused}', keys[0])


def _are_rows(key: str, value: object) -> bool:
    rows = cast("list[object]", value) if isinstance(value, list) else []
    if not rows or are_turns(rows):
        return False
    if all(are_turns(row) for row in rows):
        return True
    objects = [row for row in _objects(rows) if row]
    if len(objects) < len(rows):
        return False
    return key not in CHAT_COLUMNS or all(CHAT_COLUMNS & row.keys() for row in objects)


def _by_columns(members: Mapping[str, object], line: int) -> _Rows | None:
    """A list of values for each column, or pandas' object from row number to value."""
    lists = [value for value in members.values() if _are_scalars(value)]
    if len(members) < 2 or len(lists) not in (0, len(members)):
        return None
    if any(len(cast("list[object]", values)) > 1 for values in lists):
        columns = cast("Mapping[str, list[object]]", members)
        sizes = {name: len(values) for name, values in columns.items()}
        if len(set(sizes.values())) > 1:
            listed = ", ".join(f'"{name[:30]}" {n}' for name, n in list(sizes.items())[:_SHOWN])
            what = f"holds columns of different lengths ({listed}). Give each row all its values."
            raise FileError(what, line=line)
        table = zip(*columns.values(), strict=True)
        rows = [dict(zip(columns, row, strict=True)) for row in table]
        return _Rows(rows, "holds a list for each column; read as rows.")
    inner = [value for value in _objects(members.values()) if value]
    keys = {tuple(value) for value in inner}
    if len(inner) < len(members) or len(keys) > 1 or not all(map(str.isdigit, keys.pop())):
        return None
    columns = cast("Mapping[str, Mapping[str, object]]", members)
    numbers = list(next(iter(columns.values())))
    rows = [{name: values[n] for name, values in columns.items()} for n in numbers]
    return _Rows(rows, "holds a value for each row number, as pandas writes columns; read as rows.")


def _by_keys(members: Mapping[str, object]) -> _Rows | None:
    """An object for each id or row number."""
    rows = _objects(members.values())
    alike = len(rows) == len(members) and len({frozenset(row) for row in rows}) == 1
    numbered = all(map(str.isdigit, members))
    if not alike or not (numbered or len(rows) > 2) or not rows[0]:
        return None
    named = [{"id": key, **row} for key, row in zip(members, rows, strict=True)]
    return _Rows(named, "holds an object for each id; read as rows.")


def _lines(text: str, wanted: str, line: int) -> list[int]:
    """The lines on which the items of the list below a key begin."""
    place = text.index("{") + 1
    while True:
        name, end = decode_at(text, _next(text, place))
        start = _next(text, text.index(":", end) + 1)
        if name == wanted:
            break
        place = decode_at(text, start).end
    found: list[int] = []
    place = _next(text, start + 1)
    counted = 0
    while text[place] != "]":
        line += text.count("\n", counted, place)
        counted = place
        found.append(line)
        place = _next(text, decode_at(text, place).end)
    return found


def _next(text: str, place: int) -> int:
    """The next character that is neither white space nor a comma."""
    while text[place] in " \t\r\n,":
        place += 1
    return place


def _objects(values: Iterable[object]) -> list[dict[str, object]]:
    return [cast("dict[str, object]", value) for value in values if isinstance(value, dict)]


def _are_scalars(value: object) -> bool:
    items = cast("list[object]", value) if isinstance(value, list) else []
    return bool(items) and not any(isinstance(item, list | dict) for item in items)


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(i, str) for i in cast("list[object]", value))


def _are_lists(value: object, width: int) -> bool:
    return isinstance(value, list) and all(
        isinstance(row, list) and len(cast("list[object]", row)) == width
        for row in cast("list[object]", value)
    )
