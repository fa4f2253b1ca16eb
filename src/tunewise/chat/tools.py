"""Tool calls as text, and text as tool calls.

A call as text is JSON: `{"name": "f", "arguments": {"a": 1}}`, several are a list of those.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, cast

from tunewise.types import JsonValue, Message, Tool, ToolCall


def tool_name(tool: Tool) -> str:
    """What a call of the tool must be named."""
    return str(cast(Mapping[str, JsonValue], tool["function"])["name"])


def written_calls(calls: Sequence[ToolCall]) -> str:
    """Calls as JSON text: one object, or a list of several."""
    objects = [{"name": call.name, "arguments": json.loads(call.arguments)} for call in calls]
    return as_json(objects[0] if len(objects) == 1 else objects)


def as_json(value: object) -> str:
    """The value as JSON, in its own script."""
    return json.dumps(value, ensure_ascii=False)


def answer_with_calls(content: str, calls: Sequence[ToolCall]) -> str:
    """An assistant turn as one text: what it says, and on a line of its own what it calls."""
    if not calls:
        return content
    return (
        f"{content.rstrip()}\n{written_calls(calls)}" if content.strip() else written_calls(calls)
    )


class SaidAndCalled(NamedTuple):
    """What an assistant says, and what it calls."""

    content: str
    calls: tuple[ToolCall, ...]


def read_answer(text: str, tools: Sequence[Tool]) -> SaidAndCalled:
    """The calls that a text holds, in whatever way a model writes them, and what is said first.

    A call is a JSON object with the name of one of the tools and `arguments` (or `parameters`);
    what stands around it - tags, brackets, a code fence - belongs to the model's own format.

    Args:
        text: an answer; `answer_with_calls` gives an equal one back if it has calls.
        tools: what could be called.
    """
    names = {tool_name(tool) for tool in tools}
    calls: list[ToolCall] = []
    begin = position = 0
    while names and (start := text.find("{", position)) >= 0:
        call, end = _call_at(text, start, names)
        position = start + 1 if call is None else end
        if call is not None:
            begin = begin if calls else start
            calls.append(call)
    content = _BEFORE_CALLS.sub("", text[:begin]).rstrip() if calls else text
    return SaidAndCalled(content, tuple(calls))


def written_in(target: str) -> tuple[ToolCall, ...]:
    """The calls that an example's target holds as `answer_with_calls` writes them."""
    try:
        value: object = json.loads(target.rstrip().rpartition("\n")[2])
    except (ValueError, RecursionError):
        return ()
    items = cast("list[object]", value) if isinstance(value, list) else [value]
    calls = [cast("dict[str, object]", item) for item in items if isinstance(item, dict)]
    if len(calls) < len(items) or any(call.keys() != {"name", "arguments"} for call in calls):
        return ()
    if not all(isinstance(call["arguments"], dict) for call in calls):
        return ()
    return tuple(
        ToolCall(name=str(call["name"]), arguments=as_json(call["arguments"])) for call in calls
    )


# The tags of Hermes and Qwen, Mistral and Llama; a code fence; the bracket of a list.
_BEFORE_CALLS = re.compile(r"(?:\s|<tool_call>|\[TOOL_CALLS\]|<\|python_tag\|>|```(?:json)?|\[)+$")


def _call_at(text: str, start: int, names: Collection[str]) -> tuple[ToolCall | None, int]:
    try:
        value, end = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        return None, start
    if not isinstance(value, dict):
        return None, start
    call = cast(dict[str, object], value)
    arguments = call.get("arguments", call.get("parameters"))
    if call.get("name") not in names or not isinstance(arguments, dict):
        return None, start
    return ToolCall(name=str(call["name"]), arguments=as_json(cast(object, arguments))), end


def canonical_answer(text: str, tools: Sequence[Tool]) -> str:
    """A model's answer as `Example.target` would have it; without calls it stays as it is."""
    answer = read_answer(text, tools)
    return answer_with_calls(answer.content, answer.calls) if answer.calls else text


def answered_calls(messages: Sequence[Message]) -> dict[int, int]:
    """Place of each result -> number of the call that it answers, counted over all turns from 0.

    Results without an id answer the calls before them in order.
    """
    answers: dict[int, int] = {}
    waiting: list[tuple[int, str | None]] = []
    made = 0
    for place, turn in enumerate(messages):
        if turn.tool_calls:
            waiting = list(enumerate((call.id for call in turn.tool_calls), made))
            made += len(turn.tool_calls)
        elif turn.role == "tool" and waiting:
            own = [entry for entry in waiting if entry[1] and entry[1] == turn.tool_call_id]
            chosen = own[0] if own else waiting[0]
            answers[place] = chosen[0]
            if len(waiting) > 1:
                waiting.remove(chosen)
    return answers


def as_plain(messages: Sequence[Message], tools: Sequence[Tool]) -> tuple[Message, ...]:
    """The same conversation for a model that knows no tools.

    Tools are listed as JSON in the system turn, calls are JSON in the assistant's turn (as in
    `Example.target`), and results that follow one another are one user turn.
    """
    calls = [call for turn in messages for call in turn.tool_calls]
    answers = answered_calls(messages)
    plain: list[Message] = []
    results: list[str] = []
    for place, turn in enumerate(messages):
        if turn.role == "tool":
            named = f"Result of {calls[answers[place]].name}" if place in answers else "Result"
            results.append(f"{named}: {turn.content}")
            if place + 1 < len(messages) and messages[place + 1].role == "tool":
                continue
            plain.append(Message(role="user", content="\n".join(results)))
            results = []
        else:
            said = answer_with_calls(turn.content, turn.tool_calls)
            plain.append(Message(role=turn.role, content=said, weight=turn.weight))
    return (*_with_tools(plain[:1], tools), *plain[1:]) if tools else tuple(plain)


def _with_tools(first: Sequence[Message], tools: Sequence[Tool]) -> list[Message]:
    listed = as_json([tool["function"] for tool in tools])
    text = (
        f"You can call these functions:\n{listed}\n"
        'To call one, answer with JSON alone: {"name": "...", "arguments": {...}}. '
        "To call several, answer with a list of such objects."
    )
    if first and first[0].role == "system":
        return [replace(first[0], content=f"{first[0].content}\n\n{text}")]
    return [Message(role="system", content=text), *first]
