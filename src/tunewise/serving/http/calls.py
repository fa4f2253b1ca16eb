"""Calls of tools: what a model is made to write where a call is wanted, and what can be shown of an
answer before it is known whether it calls."""

from collections.abc import Mapping, Sequence
from typing import cast

from tunewise.chat.tools import tool_name
from tunewise.types import JsonValue, Tool

_BEGINS = "{[<`"
"""With one of these begins a call or what stands before it in some model's format: see
`chat.tools.read_answer`."""


def call_schema(tools: Sequence[Tool]) -> dict[str, JsonValue]:
    """A JSON schema of one call of one of the tools, as `read_answer` reads it.

    Args:
        tools: at least one.
    """
    calls = [_schema_of(tool) for tool in tools]
    return calls[0] if len(calls) == 1 else {"anyOf": cast("list[JsonValue]", calls)}


def _schema_of(tool: Tool) -> dict[str, JsonValue]:
    function = cast("Mapping[str, JsonValue]", tool["function"])
    return {
        "type": "object",
        "properties": {
            "name": {"const": tool_name(tool)},
            "arguments": function.get("parameters") or {"type": "object"},
        },
        "required": ["name", "arguments"],
    }


class BeforeCalls:
    """Text in as it is generated; out comes what is said for certain, before any call.

    Attributes:
        shown: characters given so far.
    """

    def __init__(self) -> None:
        self.shown = 0
        self._held = ""
        self._closed = False

    def feed(self, text: str) -> str:
        """What can be shown now. White space waits: before a call it is left out."""
        if self._closed:
            return ""
        self._held += text
        begin = min(
            (place for one in _BEGINS if (place := self._held.find(one)) >= 0),
            default=len(self._held),
        )
        self._closed = begin < len(self._held)
        given = self._held[:begin].rstrip()
        self._held = self._held[len(given) :]
        self.shown += len(given)
        return given
