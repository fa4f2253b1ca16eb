"""Turns JSON text into values, strictly: no NaN, no duplicate keys, no broken characters."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple, NoReturn, cast

from tunewise.data.read_log import RowError

_DEEPEST = 100
_MAX_NUMBER = 300


class Decoded(NamedTuple):
    """A value within a text."""

    value: object
    end: int
    """Index of the first character after it."""


def parse(text: str) -> object:
    """The one value that a text is.

    Raises:
        RowError: it is JSON that others would read in one way or another, or nested too deep.
        json.JSONDecodeError: it is no JSON.
    """
    try:
        value = _STRICT.decode(text)
    except RecursionError:
        raise _too_deep() from None
    check_value(value, text)
    return value


def decode_at(text: str, start: int) -> Decoded:
    """The value that begins at `start`; `check_value` is left to the caller.

    Raises:
        RowError: it is JSON that others would read in one way or another, or nested too deep.
        json.JSONDecodeError: it is no JSON.
    """
    try:
        return Decoded(*_STRICT.raw_decode(text, start))
    except RecursionError:
        raise _too_deep() from None


def end_of_value(text: str, start: int) -> int:
    """Where a value ends that `decode_at` refused with a RowError.

    Raises:
        RowError: it is nested too deep.
        json.JSONDecodeError: it is no JSON.
    """
    try:
        return _LENIENT.raw_decode(text, start)[1]
    except RecursionError:
        raise _too_deep() from None


def check_value(value: object, text: str) -> None:
    """Refuses what the decoder lets through: depth, NUL, half characters.

    Raises:
        RowError: naming which.
    """
    if text.count("[") + text.count("{") > _DEEPEST and _depth(value) > _DEEPEST:
        raise _too_deep()
    if "\\u0000" in text and any("\0" in string for string in _strings(value)):
        raise RowError("NUL", "holds a NUL character. Remove it.")
    if "\\ud" in text or "\\uD" in text:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise RowError(
                "half a character", "holds half a character (a lone surrogate). Write it again."
            ) from None


def explain(line: str, error: json.JSONDecodeError, *, cut: bool = False) -> str:
    """What is wrong with a line that is no JSON, and what to do.

    Args:
        line: the line that `error` points into.
        error: what the decoder said.
        cut: whether the file ends here.
    """
    near = line[error.pos : error.pos + 1]
    before = line[: error.pos].rstrip()[-1:]
    remedy = "Mend this row."
    if near == "\0":
        return "holds a NUL character. Remove it."
    if cut or "Unterminated" in error.msg:
        remedy = "It seems cut off. Complete or remove it."
    elif near == "'":
        remedy = "Use double quotes."
    elif "control character" in error.msg:
        remedy = r"Write \n for a line break and \t for a tab."
    elif before == "," or near == ",":
        remedy = "Remove the comma too many."
    elif re.match(r"None|True|False", line[error.pos :]):
        remedy = "Write null, true or false, as JSON does."
    elif "Extra data" in error.msg:
        remedy = "Put each row on a line of its own."
    return f"is not JSON at column {error.colno} ({error.msg}). {remedy}"


def _too_deep() -> RowError:
    return RowError("depth", f"is nested deeper than {_DEEPEST} levels. Flatten it.")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, n in Counter(key for key, _ in pairs).items() if n > 1)
        raise RowError("duplicate key", f'has the key "{twice[:40]}" twice. Keep one of them.')
    return found


def _constant(name: str) -> NoReturn:
    raise RowError("no number", f"holds {name}, which is no JSON. Write null or a number.")


def _integer(digits: str) -> int:
    if len(digits) > _MAX_NUMBER:
        raise RowError(
            "long number", f"holds a number of {len(digits)} digits. Write it as text, in quotes."
        )
    return int(digits)


def _decimal(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        _constant(digits[:20])
    return value


_STRICT = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_constant=_constant,
    parse_int=_integer,
    parse_float=_decimal,
)
_LENIENT = json.JSONDecoder(parse_constant=str, parse_int=str, parse_float=str)


def _strings(value: object) -> Iterator[str]:
    """Every text in a JSON value, names included. The value is known not to be deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in cast(list[object], value):
            yield from _strings(item)
    elif isinstance(value, dict):
        for key, item in cast(dict[str, object], value).items():
            yield key
            yield from _strings(item)


def _depth(value: object) -> int:
    deepest, todo = 0, [(value, 1)]
    while todo:
        here, depth = todo.pop()
        deepest = max(deepest, depth)
        inner: list[object] = []
        if isinstance(here, dict):
            inner = list(cast(dict[str, object], here).values())
        elif isinstance(here, list):
            inner = cast(list[object], here)
        todo += [(item, depth + 1) for item in inner if isinstance(item, dict | list)]
    return deepest
