"""Turns an answer that should be JSON into an object, and objects into what can be compared.

It knows nothing of metrics, tasks or targets.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from tunewise.evaluation.answer_text import unfenced
from tunewise.types import JsonValue


def parse_object(text: str) -> dict[str, JsonValue] | None:
    """The JSON object that a text is, or None.

    White space around it and one code fence (see `unfenced`) around it are allowed, prose is not: a
    program that reads the answer would have to guess. NaN and Infinity are not JSON.
    """
    inside = unfenced(text)
    try:
        value: object = json.loads(
            (text if inside is None else inside).strip(), parse_constant=_no_such_number
        )
    except (ValueError, RecursionError):
        return None
    return cast(dict[str, JsonValue], value) if isinstance(value, dict) else None


def _no_such_number(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")


def flatten(value: JsonValue, path: str = "") -> Iterator[tuple[str, str, JsonValue]]:
    """The leaves of a JSON value as (path, type, value), equal exactly when we call them equal.

    Numbers are equal by value (2 and 2.0), strings after case folding and with white space
    collapsed; a number never equals a string or a bool. Items of a list share one path, so their
    order does not matter. An empty object or list is a leaf of its own, and so is null.
    """
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from flatten(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, Sequence) and not isinstance(value, str) and value:
        for inner in value:
            yield from flatten(inner, f"{path}[]")
    elif isinstance(value, Mapping):
        yield path, "object", None
    elif isinstance(value, str):
        yield path, "string", " ".join(value.split()).casefold()
    elif isinstance(value, Sequence):
        yield path, "list", None
    elif isinstance(value, bool) or value is None:
        yield path, "literal", value
    else:
        yield path, "number", value


def canonical(value: JsonValue) -> str:
    """One text for all objects that are equal: the order of keys does not count, case does."""
    # JSON text keeps true apart from 1, which Python's == does not.
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
