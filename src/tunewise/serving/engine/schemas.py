"""Which JSON schemas an answer can be kept to: what others ignore in silence is refused here.

A schema may say only what a grammar holds to the letter, and no more than compiles in a moment.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn, TypeGuard, cast

from tunewise.serving.protocol import RefusedError
from tunewise.types import JsonValue

MAX_DEPTH = 16
"""Schemas within one another."""
MAX_SCHEMAS = 500
"""In all, those in `$defs` included."""
MAX_CHOICES = 500
"""Values of all `enum`s together."""
MAX_CHARACTERS = 64_000
"""Of the schema as JSON."""
MAX_NAME = 256
"""Characters of a property's name."""
MAX_ITEMS = 256
"""For `minItems` and `maxItems`."""
MAX_LENGTH = 1024
"""For `minLength` and `maxLength`."""
MAX_NUMBER = 10**12
"""For the bounds of numbers."""

LONGEST_PATH = 300
"""Characters of a place in a message."""

_NOTES = frozenset({"title", "description", "default", "examples", "$comment"})
"""Said to people; they bind nothing."""
_TOP = frozenset({"$schema", "$id", "$defs", "definitions"})
_OF_TYPE: Mapping[str, frozenset[str]] = {
    "object": frozenset({"properties", "required", "additionalProperties"}),
    "array": frozenset({"items", "prefixItems", "minItems", "maxItems"}),
    "string": frozenset({"minLength", "maxLength"}),
    "integer": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}),
    "number": frozenset(),
    "boolean": frozenset(),
    "null": frozenset(),
}
_CAPS = {
    "minItems": MAX_ITEMS,
    "maxItems": MAX_ITEMS,
    "minLength": MAX_LENGTH,
    "maxLength": MAX_LENGTH,
}

_UNQUOTABLE = re.compile(r'["\\\x00-\x1f\x7f]')

Schema = Mapping[str, JsonValue]


def check_schema(schema: Schema) -> None:
    """Refuses a schema that an answer cannot be kept to.

    Raises:
        RefusedError: naming the place in the schema.
    """
    try:
        text = json.dumps(schema, allow_nan=False, ensure_ascii=False)
        text.encode()
    except (ValueError, TypeError, RecursionError):  # UnicodeEncodeError is one of the first
        _refuse("$", "is no JSON")
    if len(text) > MAX_CHARACTERS:
        _refuse("$", f"is longer than {MAX_CHARACTERS} characters")
    _Check(schema).run()


def _refuse(path: str, fault: str) -> NoReturn:
    place = path if len(path) <= LONGEST_PATH else f"{path[:LONGEST_PATH]}..."
    raise RefusedError(
        f"The JSON schema of response_format {fault} (at {place}).",
        param="response_format",
        code="invalid_json_schema",
    )


class _Check:
    """One walk through a schema."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._schemas = self._choices = 0
        self._targets: dict[str, JsonValue] = {"#": schema}

    def run(self) -> None:
        for home in ("$defs", "definitions"):
            named = self._schema.get(home, {})
            if not isinstance(named, Mapping):
                _refuse(f"$.{home}", "has definitions that are no object")
            for name, value in cast(Schema, named).items():
                self._targets[f"#/{home}/{name}"] = value
        for reference, value in self._targets.items():
            path = "$" + reference.removeprefix("#").replace("/", ".")
            self._schema_at(value, path, 1, top=reference == "#")
        endless = self._endless()
        if endless is not None:
            _refuse("$" + endless.removeprefix("#").replace("/", "."), "refers to itself")

    def _schema_at(self, value: JsonValue, path: str, depth: int, *, top: bool = False) -> None:
        if not isinstance(value, Mapping):
            _refuse(path, "has a schema that is no object")
        schema = cast(Schema, value)
        self._schemas += 1
        if self._schemas > MAX_SCHEMAS:
            _refuse(path, f"holds more than {MAX_SCHEMAS} schemas")
        if depth > MAX_DEPTH:
            _refuse(path, f"is nested more than {MAX_DEPTH} levels deep")
        said = schema.keys() - _NOTES - (_TOP if top else frozenset())
        forms: dict[str, Callable[[Schema, str, int], None]] = {
            "$ref": self._reference,
            "anyOf": self._any_of,
            "enum": self._enum,
            "const": self._const,
        }
        for keyword, check in forms.items():
            if keyword in said:
                others = said - {keyword} - ({"type"} if keyword in {"enum", "const"} else set())
                if others:
                    _refuse(f"{path}.{min(others)}", f"says {min(others)} beside {keyword}")
                check(schema, path, depth)
                return
        self._typed(schema, said, path, depth)

    def _typed(self, schema: Schema, said: set[str], path: str, depth: int) -> None:
        everything = {"type"}.union(*_OF_TYPE.values())
        types = [] if said - everything else _types(schema, path)
        if unknown := said - {"type"}.union(*(_OF_TYPE[one] for one in types)):
            named = min(unknown - everything or unknown)
            _refuse(f"{path}.{named}", f"says {named}, to which an answer cannot be kept here")
        if "object" in types:
            self._object(schema, path, depth)
        if "array" in types:
            self._array(schema, path, depth)
        for low, high in (("minItems", "maxItems"), ("minLength", "maxLength")):
            _check_counts(schema, path, low, high)
        if "integer" in types:
            _check_bounds(schema, path)

    def _object(self, schema: Schema, path: str, depth: int) -> None:
        named = schema.get("properties", {})
        if not isinstance(named, Mapping):
            _refuse(f"{path}.properties", "has properties that are no object")
        properties = cast(Schema, named)
        for name, value in properties.items():
            if len(name) > MAX_NAME:
                _refuse(f"{path}.properties", f"has a name of more than {MAX_NAME} characters")
            if _UNQUOTABLE.search(name):  # xgrammar would take them for a part of the grammar
                _refuse(f"{path}.properties", 'has a name with ", \\ or a control character')
            self._schema_at(value, f"{path}.properties.{name}", depth + 1)
        required = schema.get("required", [])
        if not _is_list(required) or any(name not in properties for name in required):
            _refuse(f"{path}.required", "requires something that is no property")
        more = schema.get("additionalProperties", False)
        if more is not False and properties:  # A grammar would let them have the others' names.
            _refuse(f"{path}.additionalProperties", "allows more properties beside those it names")
        if not isinstance(more, bool):
            self._schema_at(more, f"{path}.additionalProperties", depth + 1)

    def _array(self, schema: Schema, path: str, depth: int) -> None:
        items = schema.get("items")
        if items is not None and not isinstance(items, bool):
            self._schema_at(items, f"{path}.items", depth + 1)
        first = schema.get("prefixItems", [])
        if not _is_list(first):
            _refuse(f"{path}.prefixItems", "has prefixItems that are no list")
        for place, value in enumerate(first):
            self._schema_at(value, f"{path}.prefixItems[{place}]", depth + 1)

    def _any_of(self, schema: Schema, path: str, depth: int) -> None:
        options = schema["anyOf"]
        if not _is_list(options) or not options:
            _refuse(f"{path}.anyOf", "has an anyOf that is no list of schemas")
        for place, value in enumerate(options):
            self._schema_at(value, f"{path}.anyOf[{place}]", depth + 1)

    def _enum(self, schema: Schema, path: str, _: int) -> None:
        values = schema["enum"]
        if not _is_list(values) or not values:
            _refuse(f"{path}.enum", "has an enum that is no list of values")
        self._choices += len(values)
        if self._choices > MAX_CHOICES:
            _refuse(f"{path}.enum", f"has more than {MAX_CHOICES} values in its enums")
        if "type" in schema:
            types = _types(schema, path)
            for value in values:
                if not any(_is_a(value, one) for one in types):
                    _refuse(f"{path}.enum", "has a value in an enum that is not of its type")

    def _const(self, schema: Schema, path: str, _: int) -> None:
        if "type" in schema and not any(
            _is_a(schema["const"], one) for one in _types(schema, path)
        ):
            _refuse(f"{path}.const", "has a const that is not of its type")

    def _reference(self, schema: Schema, path: str, _: int) -> None:
        if schema["$ref"] not in self._targets:
            _refuse(f"{path}.$ref", f"refers to {str(schema['$ref'])[:80]!r}, which is not in it")

    def _endless(self) -> str | None:
        """What refers to itself without anything written in between: it has no end.

        Found by leaving out what refers to nothing that is left.
        """
        left = {one: set(_at_once(value)) for one, value in self._targets.items()}
        while done := {one for one, following in left.items() if not following}:
            left = {one: left[one] - done for one in left.keys() - done}
        return min(left, default=None)


def _at_once(value: JsonValue) -> list[str]:
    """What a schema refers to before anything of it is written."""
    schema = cast(Schema, value)
    if "$ref" in schema:
        return [str(schema["$ref"])]
    options = cast(Sequence[JsonValue], schema.get("anyOf", []))
    return [following for option in options for following in _at_once(option)]


def _types(schema: Schema, path: str) -> list[str]:
    named = schema.get("type")
    types = [named] if isinstance(named, str) else named
    if not _is_list(types) or not types:
        _refuse(path, "has no type")
    for one in types:
        if not isinstance(one, str) or one not in _OF_TYPE:
            _refuse(f"{path}.type", f"has the type {str(one)[:80]!r}, which JSON does not know")
    return [str(one) for one in types]


def _check_counts(schema: Schema, path: str, low: str, high: str) -> None:
    for name in (low, high):
        value = schema.get(name, 0)
        if not _is_a(value, "integer") or not 0 <= cast(int, value) <= _CAPS[name]:
            _refuse(f"{path}.{name}", f"has a {name} that is not from 0 to {_CAPS[name]}")
    if cast(int, schema.get(low, 0)) > cast(int, schema.get(high, _CAPS[high])):
        _refuse(f"{path}.{low}", f"has a {low} above its {high}")


def _check_bounds(schema: Schema, path: str) -> None:
    for name in _OF_TYPE["integer"]:
        value = schema.get(name, 0)
        if not _is_a(value, "integer") or not -MAX_NUMBER <= cast(int, value) <= MAX_NUMBER:
            _refuse(f"{path}.{name}", f"has a {name} that is no whole number within ±10¹²")


def _is_list(value: object) -> TypeGuard[Sequence[JsonValue]]:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _is_a(value: JsonValue, kind: str) -> bool:
    if kind in {"integer", "number"}:
        whole = isinstance(value, int) or (isinstance(value, float) and kind == "number")
        return whole and not isinstance(value, bool)
    if kind == "object":
        return isinstance(value, Mapping)
    if kind == "array":
        return _is_list(value)
    kinds: dict[str, type] = {"string": str, "boolean": bool, "null": type(None)}
    return isinstance(value, kinds[kind])
