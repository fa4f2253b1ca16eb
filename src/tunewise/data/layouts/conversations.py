"""Turns a list of turns, as OpenAI or ShareGPT write them, into messages and an answer."""

import difflib
import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Literal, NamedTuple, cast

from tunewise.chat.tools import answer_with_calls
from tunewise.data.formats.strict_json import parse
from tunewise.data.layouts.tools import read_calls
from tunewise.data.read_log import Reading, RowError
from tunewise.types import Message, ToolCall

_ROLES = ("system", "user", "assistant")
_OTHER_NAMES = {
    "human": "user",
    "customer": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "ai": "assistant",
    "model": "assistant",
    "agent": "assistant",
}
_CALL_ROLES = ("function_call", "tool_call")
"""ShareGPT's: the turn's text is the call."""
_TOOL_ROLES = ("tool", "function", "observation", "function_response", "tool_response")
_KNOWN_KEYS = {"weight", "tool_calls", "function_call", "tool_call_id", "name"}


class Conversation(NamedTuple):
    """Messages up to the answer, and the answer."""

    messages: tuple[Message, ...]
    target: str


class _Keys(NamedTuple):
    role: str
    text: str


_OPENAI = _Keys("role", "content")
_SHAREGPT = _Keys("from", "value")


def read_turns(value: object, column: str, reading: Reading) -> list[Message]:
    """The turns in the order given; an assistant turn without a weight has weight 1.

    Args:
        value: a list of objects with `role` and `content`, or with `from` and `value`; or that
            list as JSON text, as it stands in a table.
        column: where it was found, for messages.
        reading: gets counted notes.

    Raises:
        RowError: a turn that nobody could use.
    """
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = parse(value)
        except json.JSONDecodeError as error:
            what = f"{column} is no JSON ({error.msg} at character {error.pos + 1})."
            raise RowError("no turns", f"{what} Write [{{...}}, {{...}}].") from None
    if not isinstance(value, list) or not value:
        raise RowError("no turns", f"{column} is no list of turns. Write [{{...}}, {{...}}].")
    turns = cast(list[object], value)
    first = turns[0]
    keys = _SHAREGPT if isinstance(first, dict) and "from" in first else _OPENAI
    return [_turn(turn, number, keys, reading) for number, turn in enumerate(turns, 1)]


def _turn(turn: object, number: int, keys: _Keys, reading: Reading) -> Message:
    if not isinstance(turn, dict):
        what = f"turn {number} is no object. Write {keys.role} and {keys.text}."
        raise RowError("turn", what)
    turn = cast(dict[str, object], turn)
    role, content = turn.get(keys.role), turn.get(keys.text)
    # Nearly every turn of nearly every file.
    if len(turn) == 2 and role in _ROLES and isinstance(content, str) and content.strip():
        weight = 1 if role == "assistant" else None
        return Message(role=cast(str, role), content=content, weight=weight)
    calls: tuple[ToolCall, ...] = ()
    if role in _CALL_ROLES and keys is _SHAREGPT:
        role, calls, content = "assistant", read_calls(content, number), ""
    role = _role(role, number, keys, reading)
    if role == "assistant":
        calls = calls or read_calls(turn.get("tool_calls") or turn.get("function_call"), number)
    elif turn.get("tool_calls"):
        raise RowError("tools", f"turn {number}, a {role}'s, calls tools. Only assistants can.")
    for key in turn.keys() - _KNOWN_KEYS - set(keys):
        if turn[key] is not None:
            reading.count(f'the key "{key[:40]}" of a turn is not used.')
    answers = turn.get("tool_call_id")
    return Message(
        role=role,
        content=_content(content, role, number, keys, has_calls=bool(calls)),
        weight=_weight(turn.get("weight"), role, number, reading),
        tool_calls=calls,
        tool_call_id=answers if role == "tool" and isinstance(answers, str) else None,
    )


def _content(value: object, role: str, number: int, keys: _Keys, *, has_calls: bool) -> str:
    if isinstance(value, list):
        value = _joined(cast(list[object], value), number)
    if value is None and has_calls:
        return ""
    if not isinstance(value, str):
        shown = "null" if value is None else "no text"
        raise RowError("content", f"{keys.text} of turn {number} is {shown}. Write a text.")
    if not value.strip() and not has_calls and role != "tool":
        raise RowError("empty turn", f"the {role} turn {number} is empty. Write its text.")
    return value


def _joined(parts: list[object], number: int) -> str:
    texts: list[str] = []
    for part in parts:
        text = cast(dict[str, object], part).get("text") if isinstance(part, dict) else None
        if not isinstance(text, str):
            raise RowError("content", f"turn {number} holds more than text. Keep the text only.")
        texts.append(text)
    return "".join(texts)


def weight_of(value: object, what: str) -> Literal[0, 1]:
    """A weight as it was written; none is 1.

    Raises:
        RowError: it is neither 0 nor 1.
    """
    if value is None or (value == 1 and not isinstance(value, bool)):
        return 1
    if value == 0 and not isinstance(value, bool):
        return 0
    raise RowError("weight", f"{what} has a bad weight. Write 0 or 1.")


def _weight(value: object, role: str, number: int, reading: Reading) -> Literal[0, 1] | None:
    weight = weight_of(value, f"turn {number}")
    if role == "assistant":
        return weight
    if value is not None and weight == 1:
        reading.count("a weight of 1 on a turn that is no assistant's; only answers are learnt.")
    return None


def _role(role: object, number: int, keys: _Keys, reading: Reading) -> str:
    known = ", ".join(_ROLES)
    if not isinstance(role, str):
        raise RowError("role", f"turn {number} has no {keys.role}. Write one of {known}.")
    if role in _ROLES:
        return role
    if role == "developer":
        reading.count('the role "developer" was read as system.')
        return "system"
    if role in _TOOL_ROLES:
        return "tool"
    other = _OTHER_NAMES.get(role.strip().lower())
    if keys is _SHAREGPT and other:
        return other
    near = difflib.get_close_matches(role.strip().lower(), _ROLES, n=1)
    best = other or (near[0] if near else None)
    hint = f'Did you mean "{best}"?' if best else f"Write one of {known}."
    raise RowError("role", f'turn {number} has the unknown {keys.role} "{role[:40]}". {hint}')


def answered(turns: Sequence[Message], reading: Reading) -> Conversation:
    """The conversation up to its last answer of weight 1; what follows that is dropped, counted.

    Raises:
        RowError: there is no such answer, or the turns are in no order that a model could learn.
    """
    roles = [turn.role for turn in turns]
    _check_order(turns, roles)
    last = len(turns) - 1
    while last >= 0 and not turns[last].weight:
        last -= 1
    if last < 0:
        what = "all its answers have weight 0, so that nothing is learnt. Remove the row."
        raise RowError("weight 0", what)
    if last < len(turns) - 1:
        reading.count("the turns after the last answer of weight 1 were left out.")
    if last == 0 or roles[last - 1] not in ("user", "tool"):
        what = "no user turn stands before the answer. Add or join turns."
        raise RowError("no question", what)
    if "assistant" in roles[:last]:
        reading.count("several answers; those of weight 1 are learnt, the last is asked for.")
        turns = _greeting_is_context(turns, reading)
    messages, target = tuple(turns[:last]), turns[last]
    return Conversation(messages, answer_with_calls(target.content, target.tool_calls))


def _greeting_is_context(turns: Sequence[Message], reading: Reading) -> Sequence[Message]:
    if not turns[0].weight:
        return turns
    reading.count("an answer before any question; it is context, not learnt.")
    return [replace(turns[0], weight=0), *turns[1:]]


def check_input(turns: Sequence[Message], what: str) -> tuple[Message, ...]:
    """The turns as an input that waits for its answer; earlier answers are context.

    Raises:
        RowError: they are in no order that a model could learn.
    """
    roles = [turn.role for turn in turns]
    if roles[-1] not in ("user", "tool"):
        raise RowError("no question", f"{what} ends on a turn of {roles[-1]}. End it on user.")
    _check_tools(turns)
    if "system" in roles[1:]:
        raise RowError("system", "has a system turn that is not the first. Move it to the front.")
    return tuple(replace(turn, weight=0) if turn.weight else turn for turn in turns)


def count_user_turns(messages: Sequence[Message], reading: Reading) -> None:
    """Notes two user turns running, with a template that refuses them."""
    if any(a.role == b.role == "user" for a, b in pairwise(messages)):
        reading.count("two user turns running; templates such as Gemma's refuse that.")


def _check_order(turns: Sequence[Message], roles: Sequence[str]) -> None:
    if "assistant" not in roles:
        raise RowError("no answer", "has no assistant turn. Add the answer wanted.")
    if roles[-1] != "assistant":
        raise RowError("no answer", f"ends on a {roles[-1]} turn. End it with the answer wanted.")
    if "system" in roles[1:]:
        raise RowError("system", "has a system turn that is not the first. Move it to the front.")
    if "tool" in roles:
        _check_tools(turns)


def _check_tools(turns: Sequence[Message]) -> None:
    """Every result must follow the call that it answers."""
    made: set[str | None] = set()
    before = ""
    for number, turn in enumerate(turns, 1):
        if turn.tool_calls:
            made = {call.id for call in turn.tool_calls}
        elif turn.role == "tool":
            if before not in ("assistant", "tool") or not made:
                what = f"turn {number} is a tool's result, but no call stands before it."
                raise RowError("tools", f"{what} Add the assistant's tool_calls.")
            if turn.tool_call_id is not None and turn.tool_call_id not in made:
                what = f'turn {number} answers the call "{turn.tool_call_id[:40]}", which'
                raise RowError("tools", f"{what} no turn before it made. Correct tool_call_id.")
        else:
            made = set()
        before = turn.role
