"""Turns an answer that should be JSON into a value, and values into what can be compared."""

import json
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, TypeAlias, cast

from tunewise.text.answer_text import unfenced
from tunewise.text.comparison import caseless, comparable
from tunewise.types import JsonValue

_DEEPEST = 100

Exact: TypeAlias = dict[str, Any] | list[Any] | str | Decimal | bool | None
"""A JSON value whose numbers are exact."""
Path: TypeAlias = tuple[str, ...]
"""The keys that lead to a leaf; `ITEM` for an item of a list, wherever it stands in it."""
ITEM = "[]"


@dataclass(frozen=True, kw_only=True, slots=True)
class Json:
    """A JSON text as a value."""

    value: Exact

    @property
    def is_object(self) -> bool:
        """Whether it is an object."""
        return isinstance(self.value, dict)


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value without parts, and where it stands; two are equal when we call them equal."""

    path: Path
    kind: str
    value: Hashable

    @property
    def place(self) -> str:
        """The path as a person reads it: `slots.days[]`."""
        return ".".join(self.path).replace(f".{ITEM}", ITEM) or "the value"


def parse_object(text: str) -> dict[str, JsonValue] | None:
    """The JSON object that a text is, or None.

    White space around it and one code fence (see `unfenced`) around it are allowed, prose is not: a
    program that reads the answer would have to guess. NaN and Infinity are not JSON. Whole numbers
    are int, however they are written.
    """
    value = _parsed(text, _plain_number)
    return cast(dict[str, JsonValue], value) if isinstance(value, dict) else None


@lru_cache(maxsize=4_096)
def parse_json(text: str) -> Json | None:
    """The JSON value that a text is, its numbers exact, or None; what is allowed as above."""
    value = _parsed(text, _exact_number)
    if value is _NO_JSON or _depth(value) > _DEEPEST:
        return None
    return Json(value=cast(Exact, value))


_NO_JSON = object()


def _parsed(text: str, number: Callable[[str], object]) -> object:
    inside = unfenced(text)
    try:
        return json.loads(
            (text if inside is None else inside).strip(),
            parse_constant=_no_such_number,
            parse_int=number,
            parse_float=number,
        )
    except (ValueError, InvalidOperation, RecursionError):
        return _NO_JSON


def _no_such_number(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")


def _exact_number(digits: str) -> Decimal:
    return Decimal(digits)


def _plain_number(digits: str) -> int | float:
    exact = Decimal(digits)
    if abs(exact.adjusted()) < 300 and exact == exact.to_integral_value():
        return int(exact)
    value = float(digits)
    return _no_such_number(digits) if value in (float("inf"), float("-inf")) else value


def _depth(value: object) -> int:
    deepest, todo = 0, [(value, 1)]
    while todo:
        here, depth = todo.pop()
        deepest = max(deepest, depth)
        if isinstance(here, dict):
            todo += [(item, depth + 1) for item in cast(dict[str, object], here).values()]
        elif isinstance(here, list):
            todo += [(item, depth + 1) for item in cast(list[object], here)]
    return deepest


def leaves(value: Exact, *, text: Callable[[str], str] = caseless) -> Iterator[Leaf]:
    """The leaves of a JSON value.

    Numbers are equal by value (2 and 2.0); a number never equals a string or a bool. Items of a
    list share one path, so their order does not matter. An empty object or list is a leaf of its
    own, and so is null.

    Args:
        value: from `parse_json`.
        text: the form under which strings are equal.
    """
    todo: list[tuple[Path, Exact]] = [((), value)]
    while todo:
        path, here = todo.pop()
        if isinstance(here, dict) and here:
            inner = [((*path, comparable(key)), item) for key, item in here.items()]
            todo += reversed(inner)
        elif isinstance(here, list) and here:
            todo += [((*path, ITEM), item) for item in reversed(here)]
        else:
            yield Leaf(path, *_leaf(here, text))


def _leaf(value: Exact, text: Callable[[str], str]) -> tuple[str, Hashable]:
    match value:
        case dict():
            return "object", None
        case list():
            return "list", None
        case str():
            return "text", text(value)
        case bool() | None:
            return "literal", value
        case _:
            return "number", value


def canonical(
    value: Exact, *, ordered: bool = True, text: Callable[[str], str] = comparable
) -> Hashable:
    """One value for all JSON values that are equal: the order of keys never counts.

    Args:
        value: from `parse_json`.
        ordered: whether the order of lists counts.
        text: the form under which strings are equal.
    """
    if isinstance(value, dict):
        pairs = Counter(
            (comparable(key), canonical(item, ordered=ordered, text=text))
            for key, item in value.items()
        )
        return "object", frozenset(pairs.items())
    if isinstance(value, list):
        items = [canonical(item, ordered=ordered, text=text) for item in value]
        return "list", tuple(items) if ordered else frozenset(Counter(items).items())
    return _leaf(value, text)


def shown_leaf(leaf: Leaf) -> str:
    """The value of a leaf as JSON writes it, and what it is where that is easily overlooked."""
    match leaf.kind:
        case "text":
            return f"{json.dumps(leaf.value, ensure_ascii=False)[:60]} (text)"
        case "number":
            return f"{str(leaf.value)[:60]} (a number)"
        case "literal":
            return {True: "true", False: "false", None: "null"}[cast("bool | None", leaf.value)]
        case _:
            return "{}" if leaf.kind == "object" else "[]"
