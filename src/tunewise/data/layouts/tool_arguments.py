"""Compares what calls pass with the parameters that their tools have.

Columnar storage gives all tools the same fields: what a tool does not have comes back as null. Such
nulls are left out; other differences are told.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, cast

from tunewise.data.read_log import Reading
from tunewise.types import JsonValue, Message, Tool, ToolCall

_VALUES = {"default", "const", "enum", "example", "examples"}
"""Keys of a schema that hold values, not schemas."""
_OPEN = {"$ref", "anyOf", "oneOf", "allOf", "patternProperties", "if"}
"""Keys that say more of a schema than is looked at here."""
_Schema = Mapping[str, object]


class ArgumentFault(NamedTuple):
    """A call that does not fit its tool."""

    rule: str
    message: str


def without_nulls(function: _Schema, reading: Reading | None) -> _Schema:
    """A tool's description without nulls where no null can be: they are no schema of anything.

    Args:
        function: name, description and parameters.
        reading: gets a counted note where something was left out.
    """
    if not _holds_null(function):
        return function
    cleaned = cast(_Schema, _cleaned(function, of_properties=False))
    if reading is not None and cleaned != function:
        reading.count("nulls in the description of a tool, which say nothing, were left out.")
    return cleaned


def _holds_null(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_null, cast("dict[str, object]", value).values()))
    if isinstance(value, list):
        return any(map(_holds_null, cast("list[object]", value)))
    return value is None


def _cleaned(value: object, *, of_properties: bool) -> object:
    """A schema, or a map from names to schemas, without its nulls."""
    if isinstance(value, list):
        items = cast("list[object]", value)
        return [_cleaned(item, of_properties=False) for item in items if item is not None]
    if not isinstance(value, dict):
        return value
    members = cast("dict[str, object]", value)
    nulls = [key for key, item in members.items() if item is None]
    # One that stands alone was written on purpose: an argument that is optional.
    kept = nulls if nulls in (["default"], ["const"]) and not of_properties else []
    return {
        key: item
        if key in _VALUES and not of_properties
        else _cleaned(item, of_properties=key == "properties" and not of_properties)
        for key, item in members.items()
        if item is not None or key in kept
    }


def own_arguments(
    turns: Sequence[Message], tools: Sequence[Tool], reading: Reading
) -> list[Message]:
    """The turns, their calls without arguments that are null and no null of the tool's own.

    Args:
        turns: of one conversation.
        tools: what can be called.
        reading: gets counted notes.
    """
    if not any("null" in call.arguments for turn in turns for call in turn.tool_calls):
        return list(turns)
    known = parameters_of(tools)
    return [
        replace(turn, tool_calls=tuple(_own(call, known, reading) for call in turn.tool_calls))
        if turn.tool_calls
        else turn
        for turn in turns
    ]


def _own(call: ToolCall, known: Mapping[str, _Schema], reading: Reading) -> ToolCall:
    arguments = cast("dict[str, object]", json.loads(call.arguments))
    if not _holds_null(arguments):
        return call
    if call.name not in known:
        name = call.name[:40]
        reading.count(f'a call passes null to "{name}", which no tool describes; left as it is.')
        return call
    own = _fitted(arguments, known[call.name])
    if own == arguments:
        return call
    reading.count("arguments that are null and no null of the tool's own were left out.")
    return replace(call, arguments=json.dumps(own, ensure_ascii=False))


def _fitted(value: Mapping[str, object], schema: _Schema) -> dict[str, object]:
    own, required = _properties(schema), _required(schema)
    found: dict[str, object] = {}
    for name, item in value.items():
        inner = own.get(name)
        if item is None:
            stays = _takes_null(inner) or name in required if name in own else _is_open(schema)
            if not stays:
                continue
        found[name] = _fitted_value(item, inner)
    return found


def _fitted_value(value: object, schema: object) -> object:
    inner = cast("dict[str, object]", schema) if isinstance(schema, dict) else {}
    if isinstance(value, dict) and isinstance(inner.get("properties"), dict):
        return _fitted(cast("dict[str, object]", value), inner)
    if isinstance(value, list):
        return [_fitted_value(item, inner.get("items")) for item in cast("list[object]", value)]
    return cast(object, value)


def _takes_null(schema: object) -> bool:
    """Whether null is a value of a schema; where that cannot be told, it is."""
    if not isinstance(schema, dict):
        return True
    inner = cast("dict[str, object]", schema)
    kinds = inner.get("type")
    listed = cast("list[object]", kinds) if isinstance(kinds, list) else [kinds]
    values = inner.get("enum")
    if "null" in listed or inner.get("nullable") is True or "default" in inner:
        return inner.get("default") is None or "null" in listed
    if isinstance(values, list):
        return None in cast("list[object]", values)
    return kinds is None


def parameters_of(tools: Sequence[Tool]) -> dict[str, _Schema]:
    """Tool -> the schema of its arguments, where it has one."""
    found: dict[str, _Schema] = {}
    for tool in tools:
        function = cast("Mapping[str, object]", tool["function"])
        schema = next(
            (function[key] for key in ("parameters", "input_schema") if key in function), None
        )
        if isinstance(schema, dict | None):
            found[str(function["name"])] = cast("_Schema", schema or {})
    return found


def _properties(schema: _Schema) -> Mapping[str, object]:
    """Name -> schema of what can be passed; some write it without the frame of a schema."""
    own = schema.get("properties")
    if isinstance(own, dict):
        return cast("dict[str, object]", own)
    has_frame = "properties" in schema or isinstance(schema.get("type"), str)
    return {} if has_frame or _OPEN & schema.keys() else schema


def _required(schema: _Schema) -> list[object]:
    required = schema.get("required")
    return cast("list[object]", required) if isinstance(required, list) else []


def _is_open(schema: _Schema) -> bool:
    """Whether more may be passed than the schema names."""
    return bool(schema.get("additionalProperties")) or bool(_OPEN & schema.keys())


def argument_faults(calls: Sequence[ToolCall], tools: Sequence[Tool]) -> list[ArgumentFault]:
    """Where calls do not fit the tools of their row."""
    if not calls or not tools:
        return []
    known, names = parameters_of(tools), [_name(tool) for tool in tools]
    found: list[ArgumentFault] = []
    for call in calls:
        if call.name not in names:
            listed = ", ".join(names[:5])
            what = f'Calls "{call.name[:40]}", which is no tool of the row ({listed}).'
            found.append(ArgumentFault("unknown_tool", f"{what} Add it, or correct the call."))
        elif schema := known.get(call.name):
            found += _faults(call, schema)
    return found


def _faults(call: ToolCall, schema: _Schema) -> list[ArgumentFault]:
    passed = cast("dict[str, object]", json.loads(call.arguments))
    own, found = _properties(schema), list[ArgumentFault]()
    unknown = [name for name in passed if name not in own]
    if unknown and not _is_open(schema):
        has = f"has {_listed(own)}" if own else "takes none"
        what = f"Passes {_listed(unknown)} to {call.name}, which {has}."
        remedy = "A model would learn to invent it: correct the call, or the tool's parameters."
        found.append(ArgumentFault("unknown_argument", f"{what} {remedy}"))
    missing = [
        str(name)
        for name in _required(schema)
        if name in own and passed.get(str(name)) is None and not _takes_null(own[str(name)])
    ]
    if missing:
        what = f"Calls {call.name} without {_listed(missing)}, which the tool requires."
        found.append(ArgumentFault("missing_argument", f"{what} Add it, or require it no more."))
    return found


def _listed(names: Sequence[str] | Mapping[str, object]) -> str:
    return ", ".join(f'"{name[:40]}"' for name in list(names)[:5])


def _name(tool: Tool) -> str:
    return str(cast(Mapping[str, JsonValue], tool["function"])["name"])
