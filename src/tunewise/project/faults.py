"""Turns what is wrong with a configuration into one message: each fault with the line of its key.

What is wrong with a single value, pydantic found by the annotations of the settings; here it is
said in words.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from tunewise.errors import UserError
from tunewise.project.constraints import AUTO, OWN_WORDS, suggest

Key = tuple[str, ...]
"""The parts of a dotted key."""


class SettingsError(UserError):
    """Settings that cannot be taken, all of them together.

    Args:
        faults: key -> what is wrong with it and what to do, in the order of the file.
        message: the same with `file:line`.
    """

    def __init__(self, faults: Sequence[tuple[Key, str]], message: str) -> None:
        super().__init__(message)
        self.faults = tuple(faults)


class Faults:
    """Collects faults of one configuration, each with the line its key stands on."""

    def __init__(self, source: Path, text: str) -> None:
        self.source = source
        self.lines = _key_lines(text)
        self.overridden: set[Key] = set()
        self.options: dict[Key, str] = {}
        """Of those, the ones that an option of the command gave -> its name, as in `--seed`."""
        self._found: list[tuple[int, str, Key, str]] = []

    def add(self, key: Key, what: str) -> None:
        """Notes that `key` is wrong: `what` says what is wrong and what to do."""
        name = ".".join(key)
        inside = any(key[:n] in self.overridden for n in range(1, len(key) + 1))
        around = any(other[: len(key)] == key for other in self.overridden)
        if inside or (around and key not in self.lines):
            option = self.options.get(key)
            said = f"{option} ({name})" if option else f"--set {name}"
            self._found.append((0, f"{said}: {what}", key, what))
            return
        known = (key[:n] for n in range(len(key), 0, -1) if key[:n] in self.lines)
        line = self.lines.get(next(known, ()), 1)
        self._found.append((line, f"{self.source}:{line}: {name}: {what}", key, what))

    def raise_any(self) -> None:
        """Raises all faults as one SettingsError, in the order of the file."""
        if self._found:
            found = sorted(self._found)
            message = "\n".join(said for _, said, _, _ in found)
            raise SettingsError([(key, what) for _, _, key, what in found], message)


def in_words(error: ValidationError, schema: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is wrong with the keys of one table: each key with what to do about it.

    Args:
        error: as pydantic found it.
        schema: the JSON Schema of the table, which says what its keys may be.
    """
    properties: Mapping[str, Any] = schema["properties"]
    found: dict[tuple[str, str], None] = {}
    said: set[tuple[object, ...]] = set()
    for fault in error.errors(include_url=False):
        key, item = str(fault["loc"][0]), fault["loc"][1:2]
        # Of a value that may be either of two, the first says what is wrong with it.
        place = (key, *(part for part in item if isinstance(part, int)))
        if place not in said:
            said.add(place)
            found[key, _said(fault, key, properties)] = None
    return list(found)


def _said(fault: ErrorDetails, key: str, properties: Mapping[str, Any]) -> str:
    schema: Mapping[str, Any] = properties.get(key, {})
    value, kinds = fault["input"], schema.get("anyOf", [schema])
    merged: dict[str, Any] = {name: what for kind in kinds for name, what in kind.items()}
    in_list = schema.get("type") == "array" and len(fault["loc"]) > 1
    match fault["type"]:
        case code if code == OWN_WORDS and not in_list:
            return fault["msg"]
        case "unexpected_keyword_argument":
            return f"unknown key. {suggest(key, tuple(properties))}"
        case "literal_error" if isinstance(value, str):
            named: Mapping[str, Any] = merged["items"] if in_list else merged
            choices: list[str] = named.get("enum", [named.get("const")])
            return f'"{value}" is unknown. {suggest(value, choices)}'
        case "greater_than_equal" | "less_than_equal" | "finite_number":
            low, high = merged["minimum"], merged["maximum"]
            as_typed = str if merged["type"] == "integer" else "{:g}".format
            return f"is out of range. Choose from {as_typed(low)} to {as_typed(high)}."
        case "too_short":
            return f"must name at least {merged['minItems']}. Add to it or remove it."
        case _ if schema.get("type") == "array":
            return 'must be a list of texts, none empty. Write it as ["a", "b"].'
        case "bool_type" if AUTO in (kind.get("const") for kind in kinds):
            return f'must be true, false or "auto", not {_shown(value)}.'
        case code:
            wanted, advice = _WANTED.get(code, _WANTED["string_type"])
            return f"must be {wanted}, not {_shown(value)}. {advice}"


_WANTED = {
    "int_type": ("a whole number", "Write it as 3."),
    "float_type": ("a number", "Write one without quotes."),
    "bool_type": ("true or false", "Write it without quotes."),
    "string_type": ("a text", "Write it in quotes."),
    "dict_type": ("a table", "Write each of its keys on a line under a head of its own."),
}
"""pydantic's types of errors -> what is wanted, and how to write it."""


def _key_lines(text: str) -> dict[Key, int]:
    """The line on which each key or table header first stands; tomllib does not tell."""
    lines: dict[Key, int] = {}
    table: Key = ()
    inside: str | None = None
    for number, line in enumerate(text.split("\n"), 1):
        if inside is None:
            if header := re.match(r"\s*\[+([^\]]+)\]", line):
                table = _key_parts(header.group(1))
                lines.setdefault(table, number)
            elif entry := re.match(r"""\s*((?:[\w.-]|"[^"]*"|'[^']*'|\s)+?)\s*=""", line):
                lines.setdefault((*table, *_key_parts(entry.group(1))), number)
        for quotes in re.findall(r'"""|' + "'''", line):
            inside = quotes if inside is None else None if inside == quotes else inside
    return lines


def _key_parts(dotted: str) -> Key:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))


def _shown(value: object) -> str:
    if isinstance(value, str):
        return f'"{value[:40]}"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, list):
        return "a list"
    return "a table" if isinstance(value, dict) else str(value)
