"""A cursor over one JSON object: typed values out, faults with their place collected.

Text is made safe for a screen here, once: control characters become visible pictures, so no
terminal escape and no broken encoding gets any further.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from tunewise.runs.schema import Json
from tunewise.types import JsonValue


def visible(text: str) -> str:
    """The text with control characters as pictures (ESC becomes ␛); line breaks and tabs stay."""
    return text if text.isprintable() else "".join(map(_visible_character, text))


def _visible_character(character: str) -> str:
    code = ord(character)
    if character in "\n\t":
        return character
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    if 0x80 <= code < 0xA0 or 0xD800 <= code < 0xE000:  # C1 controls, lone surrogates
        return "\ufffd"
    return character


def visible_value(value: JsonValue) -> JsonValue:
    """The value with every text in it made visible."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, Mapping):
        return {visible(key): visible_value(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [visible_value(item) for item in value]
    return value


@dataclass(frozen=True, slots=True)
class JsonObject:
    """One JSON object and where it stands; a value of the wrong type becomes a fault."""

    values: Json
    where: str
    """File, line or key, as a fault names it."""
    faults: list[str] = field(repr=False)
    """Where faults go; shared by all cursors of one run folder."""

    def _fault(self, key: str, wanted: str) -> None:
        self.faults.append(f"{self.where}: `{key}` must be {wanted}.")

    def text(self, key: str) -> str | None:
        """A text, or None when the key is missing."""
        value = self.values.get(key)
        if value is None or isinstance(value, str):
            return None if value is None else visible(value)
        self._fault(key, "a text")
        return None

    def required_text(self, key: str) -> str:
        """A text; a fault when the key is missing."""
        if self.values.get(key) is None:
            self._fault(key, "given")
        return self.text(key) or ""

    def number(self, key: str) -> float | None:
        """A finite number, or None when the key is missing."""
        value = self.values.get(key)
        if value is None:
            return None
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
        ):
            self._fault(key, "a finite number")
            return None
        return value

    def required_number(self, key: str) -> float:
        """A finite number; a fault when the key is missing."""
        if self.values.get(key) is None:
            self._fault(key, "given")
        return self.number(key) or 0.0

    def integer(self, key: str, default: int | None = None) -> int | None:
        """A whole number, or the default when the key is missing."""
        value = self.number(key)
        return default if value is None else round(value)

    def flag(self, key: str) -> bool:
        """A truth value; false when the key is missing."""
        value = self.values.get(key)
        if value is not None and not isinstance(value, bool):
            self._fault(key, "true or false")
        return value is True

    def mapping(self, key: str) -> Json:
        """An object as it stands; empty when the key is missing."""
        value = self.values.get(key)
        if isinstance(value, Mapping):
            return cast(Json, visible_value(value))
        if value is not None:
            self._fault(key, "an object")
        return {}

    def object(self, key: str) -> "JsonObject":
        """A cursor over an inner object; over an empty one when the key is missing."""
        return JsonObject(self.mapping(key), f"{self.where}: {key}", self.faults)

    def objects(self, key: str) -> list["JsonObject"]:
        """The items of a list of objects; empty when the key is missing."""
        value = self.values.get(key)
        if value is None:
            return []
        items = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        if not all(isinstance(item, Mapping) for item in items):
            self._fault(key, "a list of objects")
        return [
            JsonObject(item, f"{self.where}: {key}[{position}]", self.faults)
            for position, item in enumerate(items)
            if isinstance(item, Mapping)
        ]

    def texts(self, key: str) -> tuple[str, ...]:
        """The texts of a list; empty when the key is missing."""
        value = self.values.get(key)
        if value is None:
            return ()
        if isinstance(value, str) or not isinstance(value, Sequence):
            self._fault(key, "a list of texts")
            return ()
        return tuple(visible(item) for item in value if isinstance(item, str))

    def numbers(self, key: str) -> dict[str, float]:
        """The finite numbers of an object; other values are left out, they mean `not scorable`."""
        return {
            name: float(value)
            for name, value in self.mapping(key).items()
            if isinstance(value, int | float) and math.isfinite(value)
        }
