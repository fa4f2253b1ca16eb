"""Turns logged requests to a model and its responses into examples, as far as both are there."""

from collections.abc import Mapping
from typing import cast

from tunewise.data.formats.turn_rows import chat_example, shortened
from tunewise.data.layouts.columns import Row, Shaped
from tunewise.data.layouts.conversations import answered, count_user_turns, read_turns
from tunewise.data.layouts.tool_arguments import own_arguments
from tunewise.data.layouts.tools import read_tools
from tunewise.data.read_log import Reading, RowError

_ASKED = ("question", "input", "prompt", "query", "text", "message")
_SAID = ("answer", "output", "completion", "response", "text", "result", "content")


def logged(row: Row, reading: Reading) -> Shaped:
    """A request with `messages`, and a response with `choices` or a message.

    Raises:
        RowError: there is no such conversation, or not just one answer.
    """
    request, response = (_body(row.get(name)) for name in ("request", "response"))
    messages, answer = request.get("messages") or _asked(request), _answer(response)
    if not isinstance(messages, list) or answer is None:
        asked = cast(object, messages or row["request"])
        raise RowError("log", _how_to_write(asked, answer or row["response"]))
    used = ("request", "response")
    return _chat([*cast("list[object]", messages), answer], request.get("tools"), used, reading)


def run_of(row: Row, reading: Reading) -> Shaped:
    """A run with `inputs` and `outputs`, as tracing tools write it: turns, or one text each.

    Raises:
        RowError: there is no such conversation, or not just one text.
    """
    inputs, outputs = row["inputs"], row["outputs"]
    asked = _mapping(inputs)
    messages, answer = asked.get("messages"), _answer(_mapping(outputs))
    used = ("inputs", "outputs")
    if isinstance(messages, list) and answer is not None:
        turns = cast("list[object]", messages)
        return _chat([*turns, answer], asked.get("tools"), used, reading)
    question, said = _only_text(inputs, _ASKED), _only_text(outputs, _SAID)
    if question is None or said is None:
        raise RowError("log", _how_to_write(question or inputs, said or outputs))
    both = [{"role": "user", "content": question}, {"role": "assistant", "content": said}]
    return _chat([*both], None, used, reading)


def unlabelled_log(row: Row) -> str:
    """What is wrong with the lines of a batch, which hold a request or its response alone."""
    if "custom_id" not in row:
        return ""
    messages = _body(row.get("body")).get("messages")
    if messages:
        what = "is a request of a batch without its answer. Join both by custom_id"
        return f"{what}: {chat_example(_last_text(messages), '...')}."
    answer = _answer(_body(row.get("response")))
    what = "is a response of a batch without its request. Join both by custom_id"
    said = "..." if answer is None else shortened(answer.get("content"))
    return f"{what}: {chat_example('...', said)}."


def _chat(turns: list[object], tools: object, used: tuple[str, ...], reading: Reading) -> Shaped:
    known = read_tools(tools, reading)
    own = own_arguments(read_turns(turns, used[0], reading), known, reading)
    messages, target = answered(own, reading)
    count_user_turns(messages, reading)
    return Shaped(messages, (target,), used, known)


def _asked(request: Mapping[str, object]) -> list[object] | None:
    """The turns of a request to OpenAI's newer API: `instructions` and `input`."""
    asked = request.get("input")
    turns = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked
    if not isinstance(turns, list):
        return None
    instructions = request.get("instructions")
    first = (
        [{"role": "system", "content": instructions}]
        if isinstance(instructions, str) and instructions
        else []
    )
    return [*first, *cast("list[object]", turns)]


def _mapping(value: object) -> Mapping[str, object]:
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def _body(value: object) -> Mapping[str, object]:
    """What a logged request or response holds, with or without its frame."""
    outer = _mapping(value)
    return _mapping(outer.get("body")) or outer


def _answer(response: Mapping[str, object]) -> Mapping[str, object] | None:
    """The one message of a response; None where there is none, or several."""
    choices = response.get("choices")
    if isinstance(choices, list) and len(cast("list[object]", choices)) == 1:
        response = _mapping(cast("list[object]", choices)[0])
    output = response.get("output")
    said = [_mapping(item) for item in cast("list[object]", output)] if _is_list(output) else []
    if len(said := [item for item in said if item.get("type") != "reasoning"]) == 1:
        response = said[0]
    message = _mapping(response.get("message")) or response
    if message.get("role") == "assistant" and ("content" in message or "tool_calls" in message):
        kept = ("role", "content", "tool_calls", "function_call")
        return {key: message[key] for key in kept if key in message}
    return None


def _is_list(value: object) -> bool:
    return isinstance(value, list)


def _only_text(value: object, names: tuple[str, ...]) -> str | None:
    if isinstance(value, str):
        return value
    texts = {key: text for key, text in _mapping(value).items() if isinstance(text, str)}
    if len(texts) == 1:
        return next(iter(texts.values()))
    return next((texts[name] for name in names if name in texts), None)


def _last_text(value: object) -> str:
    turns = cast("list[object]", value) if isinstance(value, list) else []
    return shortened(_mapping(turns[-1]).get("content") if turns else cast(object, value))


def _how_to_write(asked: object, said: object) -> str:
    answer = _mapping(said).get("content", said)
    example = chat_example(_last_text(asked), shortened(answer))
    return f"holds no conversation with one answer. Write {example}."
