"""Reads tools and their calls from the ways in which rows write them."""

import json
from collections.abc import Mapping
from typing import cast

from tunewise.chat.tools import as_json
from tunewise.data.formats.strict_json import parse
from tunewise.data.layouts.tool_arguments import without_nulls
from tunewise.data.read_log import Reading, RowError
from tunewise.types import JsonValue, Tool, ToolCall

_WRITE_CALLS = 'Write [{"type": "function", "function": {"name": "...", "arguments": "{...}"}}].'
_WRITE_TOOLS = 'Write [{"type": "function", "function": {"name": "...", "parameters": {...}}}].'


def read_tools(value: object, reading: Reading | None = None) -> tuple[Tool, ...]:
    """The tools of a row: OpenAI's list, its older `functions`, or either as JSON text.

    Args:
        value: what stands in the row.
        reading: gets a note of nulls that were left out.

    Raises:
        RowError: they are written in no known way.
    """
    value = _unquoted(value, "tools", _WRITE_TOOLS)
    if value in (None, "", [], ()):
        return ()
    if not isinstance(value, list):
        raise RowError("tools", f"tools is no list. {_WRITE_TOOLS}")
    found: list[Tool] = []
    for number, tool in enumerate(cast(list[object], value), 1):
        tool = _object(tool, f"tool {number}", _WRITE_TOOLS)
        function = _object(tool.get("function") or tool, f"tool {number}", _WRITE_TOOLS)
        if not isinstance(function.get("name"), str) or not function["name"]:
            raise RowError("tools", f"tool {number} has no name. {_WRITE_TOOLS}")
        kind = tool.get("type") if tool.get("function") else "function"
        if kind not in (None, "function"):
            what = f'tool {number} is of the type "{str(kind)[:40]}". Keep functions only.'
            raise RowError("tools", what)
        function = cast(JsonValue, without_nulls(function, reading))
        found.append({"type": "function", "function": function})
    return tuple(found)


def read_calls(value: object, number: int) -> tuple[ToolCall, ...]:
    """The calls in turn `number`: OpenAI's `tool_calls`, one bare call, or either as JSON text.

    Raises:
        RowError: they are written in no known way, or a call's arguments are no JSON object.
    """
    value = _unquoted(value, f"the tool calls of turn {number}", _WRITE_CALLS)
    if value in (None, "", []):
        return ()
    calls = cast(list[object], value) if isinstance(value, list) else [value]
    return tuple(_call(call, number) for call in calls)


def _call(value: object, number: int) -> ToolCall:
    where = f"a tool call of turn {number}"
    call = _object(value, where, _WRITE_CALLS)
    function = _object(call.get("function") or call, where, _WRITE_CALLS)
    name, arguments, own = function.get("name"), function.get("arguments"), call.get("id")
    if not isinstance(name, str) or not name:
        raise RowError("tools", f"{where} has no name. {_WRITE_CALLS}")
    arguments = _unquoted(arguments, f'the arguments of "{name[:40]}" in turn {number}', "Mend it.")
    if not isinstance(arguments, dict):
        what = f'the arguments of "{name[:40]}" in turn {number} are no JSON object. '
        raise RowError("tool arguments", f"{what}Write them as {{...}}, {{}} for none.")
    written = as_json(cast(object, arguments))
    return ToolCall(name=name, arguments=written, id=own if isinstance(own, str) and own else None)


def _unquoted(value: object, what: str, remedy: str) -> object:
    """The value that a JSON text holds; any other value as it is."""
    if not isinstance(value, str) or not value.strip():
        return value
    try:
        return parse(value)
    except json.JSONDecodeError as error:
        said = f"{error.msg} at character {error.pos + 1}"
        raise RowError("tool arguments", f"{what} is no JSON ({said}). {remedy}") from None
    except RowError as fault:
        raise RowError(fault.kind, f"{what} {fault.what}") from None


def _object(value: object, what: str, remedy: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise RowError("tools", f"{what} is no object. {remedy}")
    return cast(dict[str, object], value)
