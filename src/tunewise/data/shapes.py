"""Turns one row into an example: chat, ShareGPT, Alpaca, multiple choice, or two columns.

It knows nothing of files and formats, nor of tasks, splits and models.
"""

import difflib
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple, cast

from tunewise.data.faults import Reading, RowError
from tunewise.types import Example, JsonValue, Message

_COLUMNS = (
    ("prompt", "completion"),
    ("prompt", "response"),
    ("input", "output"),
    ("question", "answer"),
    ("text", "label"),
    ("input", "target"),
)
_PREFERENCES = ("chosen", "rejected", "preferred_output", "non_preferred_output")
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

Row = Mapping[str, object]


class _Shaped(NamedTuple):
    messages: tuple[Message, ...]
    target: str
    used: tuple[str, ...]
    """Columns that became input or answer; the others are metadata."""


class Shaper:
    """Recognises the shape of each row and makes an example of it."""

    def __init__(
        self, reading: Reading, input: str | None, output: str | None, group: str | None
    ) -> None:
        self.reading = reading
        self.columns = (input, output) if input and output else None
        self.group = group
        self.shape: tuple[str, int] | None = None
        """Name of the first row's shape, and its line."""

    def check_groups(self, examples: Sequence[Example]) -> None:
        """Blames a group column that no row of the file has; notes the rows without it."""
        if self.group is None or not examples:
            return
        alone = sum(example.group is None for example in examples)
        if alone == len(examples):
            known = sorted({key for example in examples[:100] for key in example.metadata})
            near = difflib.get_close_matches(self.group, known, n=1)
            hint = f'Did you mean "{near[0]}"?' if near else f"Columns: {', '.join(known)}."
            what = f'no row has the group column "{self.group}". {hint}'
            self.reading.fault(1, "group", what)
        elif alone:
            self.reading.note(f"{alone} rows have no {self.group}; each stands for itself.")

    def example(self, row: object, line: int) -> Example:
        """The example that a row is.

        Args:
            row: a JSON value, or a dict from column to cell.
            line: where it begins, for messages about later rows.

        Raises:
            RowError: the row is no example, or is written unlike the first.
        """
        if not isinstance(row, dict):
            raise RowError("no object", "the row is no object. Write {...} with named values.")
        row = cast(dict[str, object], row)
        name, read = self._recognise(row)
        if self.shape is None:
            self.shape = (name, line)
        elif self.shape[0] != name:
            raise RowError(
                "mixed shapes",
                f"is written as {name}, but line {self.shape[1]} as {self.shape[0]}. "
                "Write all rows of a file the same way.",
            )
        shaped = read(row)
        columns = _other_columns(row, shaped.used)
        group = columns.get(self.group) if self.group else None
        if isinstance(group, dict | list):
            raise RowError("group", f"{self.group} is no single value. Write a text or number.")
        return Example(
            id=_id(row, shaped),
            messages=shaped.messages,
            target=shaped.target,
            group=None if group in (None, "") else str(group),
            metadata=_with_document(columns),
        )

    def _recognise(self, row: Row) -> tuple[str, Callable[[Row], _Shaped]]:
        if self.columns:
            question, answer = self.columns
            return f"{question} -> {answer}", lambda row: _pair(row, question, answer)
        if "messages" in row:
            return "chat (messages)", lambda row: self._chat(row, "messages", "role", "content")
        if "conversations" in row:
            return "ShareGPT (conversations)", self._sharegpt
        if any(key in row for key in _PREFERENCES):
            raise RowError(
                "preference pairs",
                "is a preference pair, which a later version trains on. "
                "Give one input and one answer a row.",
            )
        if "question" in row and isinstance(row.get("choices"), list):
            return "multiple choice (question, choices -> letter)", _multiple_choice
        if "instruction" in row and ("output" in row or "response" in row):
            answer = "output" if "output" in row else "response"
            return f"Alpaca (instruction, input -> {answer})", lambda row: _alpaca(row, answer)
        known = next((pair for pair in _COLUMNS if pair[0] in row and pair[1] in row), None)
        if known is None:
            raise RowError("unknown columns", _unknown_columns(row))
        return f"{known[0]} -> {known[1]}", lambda row: _pair(row, *known)

    def _sharegpt(self, row: Row) -> _Shaped:
        return self._chat(row, "conversations", "from", "value")

    def _chat(self, row: Row, column: str, role_key: str, text_key: str) -> _Shaped:
        if any(row.get(key) for key in ("tools", "functions")):
            raise RowError("tools", "offers tools, which are not read yet. Remove such rows.")
        if row.get("weight", 1) not in (1, None):
            raise RowError("weight", "has a weight other than 1. Remove the row or the weight.")
        turns = row[column]
        if not isinstance(turns, list) or not turns:
            raise RowError("no turns", f"{column} is no list of turns. Write [{{...}}, {{...}}].")
        messages = [
            self._turn(turn, number, role_key, text_key)
            for number, turn in enumerate(cast(list[object], turns), 1)
        ]
        _check_order([message.role for message in messages])
        weight = cast(dict[str, object], turns[-1]).get("weight")
        if weight == 0:
            raise RowError(
                "weight 0", "its answer has weight 0, so nothing is learnt. Remove the row."
            )
        roles = [message.role for message in messages]
        if "assistant" in roles[:-1]:
            self.reading.count("several answers; the last is learnt, the others are context.")
        if any(a == b == "user" for a, b in pairwise(roles)):
            self.reading.count("two user turns running; templates such as Gemma's refuse that.")
        return _Shaped(tuple(messages[:-1]), messages[-1].content, (column, "weight"))

    def _turn(self, turn: object, number: int, role_key: str, text_key: str) -> Message:
        if not isinstance(turn, dict):
            raise RowError("turn", f"turn {number} is no object. Write {role_key} and {text_key}.")
        turn = cast(dict[str, object], turn)
        role = self._role(turn.get(role_key), number, role_key, lenient=role_key == "from")
        if any(turn.get(key) for key in ("tool_calls", "function_call")):
            raise RowError("tools", "holds tool calls, which are not read yet. Remove such rows.")
        if turn.get("weight", 1) not in (0, 1, None) or isinstance(turn.get("weight"), bool):
            raise RowError("weight", f"turn {number} has a bad weight. Write 0 or 1.")
        content = turn.get(text_key)
        if isinstance(content, list):
            content = _joined(cast(list[object], content), number)
        if not isinstance(content, str):
            shown = "null" if content is None else "no text"
            raise RowError("content", f"{text_key} of turn {number} is {shown}. Write a text.")
        if not content.strip():
            raise RowError("empty turn", f"the {role} turn {number} is empty. Write its text.")
        known = {role_key, text_key, "weight", "tool_calls", "function_call"}
        for key in sorted(turn.keys() - known):
            self.reading.count(f'the key "{key[:40]}" of a turn is not used.')
        return Message(role=role, content=content)

    def _role(self, role: object, number: int, key: str, *, lenient: bool) -> str:
        if not isinstance(role, str):
            raise RowError("role", f"turn {number} has no {key}. Write one of {', '.join(_ROLES)}.")
        if role in _ROLES:
            return role
        if role == "developer":
            self.reading.count('the role "developer" was read as system.')
            return "system"
        if role in ("tool", "function", "function_call", "observation"):
            raise RowError("tools", f"turn {number} is a tool's, not read yet. Remove such rows.")
        other = _OTHER_NAMES.get(role.strip().lower())
        if lenient and other:
            return other
        near = difflib.get_close_matches(role.strip().lower(), _ROLES, n=1)
        best = other or (near[0] if near else None)
        hint = f'Did you mean "{best}"?' if best else f"Write one of {', '.join(_ROLES)}."
        raise RowError("role", f'turn {number} has the unknown {key} "{role[:40]}". {hint}')


def _joined(parts: list[object], number: int) -> str:
    texts: list[str] = []
    for part in parts:
        text = cast(dict[str, object], part).get("text") if isinstance(part, dict) else None
        if not isinstance(text, str):
            raise RowError("content", f"turn {number} holds more than text. Keep the text only.")
        texts.append(text)
    return "".join(texts)


def _check_order(roles: Sequence[str]) -> None:
    if "assistant" not in roles:
        raise RowError("no answer", "has no assistant turn. Add the answer wanted.")
    if roles[-1] != "assistant":
        raise RowError("no answer", f"ends on a {roles[-1]} turn. End it with the answer wanted.")
    if "system" in roles[1:]:
        raise RowError("system", "has a system turn that is not the first. Move it to the front.")
    if len(roles) < 2 or roles[-2] != "user":
        raise RowError("no question", "no user turn stands before the answer. Add or join turns.")


def _value(row: Row, column: str) -> str:
    """A cell as text: structured answers become compact JSON."""
    if column not in row:
        raise RowError("no column", f'has no column "{column}". {_near(column, row)}')
    value = row[column]
    if value is None or (isinstance(value, str) and not value.strip()):
        raise RowError("empty", f"{column} is empty. Fill it in, or remove the row.")
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _ask(question: str, target: str, *used: str, system: str = "") -> _Shaped:
    turns = [Message(role="user", content=question)]
    if system:
        turns.insert(0, Message(role="system", content=system))
    return _Shaped(tuple(turns), target, used)


def _pair(row: Row, question: str, answer: str) -> _Shaped:
    asked = row.get(question)
    if not isinstance(asked, dict | list | bool):
        return _ask(_value(row, question), _value(row, answer), question, answer)
    raise RowError("input", f"{question} is no text. Write the input as one text.")


def _alpaca(row: Row, answer: str) -> _Shaped:
    instruction, extra = _value(row, "instruction"), row.get("input")
    if extra is not None and not isinstance(extra, str):
        raise RowError("input", "input is no text. Write the input as one text.")
    whole = f"{instruction}\n\n{extra}" if extra and extra.strip() else instruction
    return _ask(whole, _value(row, answer), "instruction", "input", answer)


def _multiple_choice(row: Row) -> _Shaped:
    choices = cast(list[object], row["choices"])
    answer = row.get("answer")
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    if not all(isinstance(choice, str) for choice in choices) or not 2 <= len(choices) <= 26:
        raise RowError("choices", "choices is no list of 2 to 26 texts. Write them as texts.")
    if answer in choices:
        answer = choices.index(answer)
    elif isinstance(answer, str) and answer in letters[: len(choices)] and answer:
        answer = letters.index(answer)
    if isinstance(answer, bool) or not isinstance(answer, int) or not 0 <= answer < len(choices):
        raise RowError("choices", "answer is none of the choices. Write its number from 0.")
    listed = "\n".join(f"{letter}. {text}" for letter, text in zip(letters, choices, strict=False))
    asked = f"{_value(row, 'question')}\n{listed}"
    return _ask(asked, letters[answer], "question", "choices", "answer")


def _unknown_columns(row: Row) -> str:
    if not row:
        return "the row is empty. Write an input and an answer."
    names = ", ".join(f'"{name[:30]}"' for name in list(row)[:6])
    known = ("messages", "conversations", *dict.fromkeys(k for pair in _COLUMNS for k in pair))
    near = [
        f'Did you mean "{match[0]}"?'
        for name in row
        if name not in known and (match := difflib.get_close_matches(name.lower(), known, 1, 0.75))
    ]
    hint = " ".join(near[:2]) or (
        "Name the columns with input and output under [data]; a table needs a header line."
    )
    return f"has the columns {names}, none known as input and answer. {hint}"


def _near(column: str, row: Row) -> str:
    near = difflib.get_close_matches(column, list(row), n=1)
    return f'Did you mean "{near[0]}"?' if near else f"Columns: {', '.join(list(row)[:8])}."


def _other_columns(row: Row, used: Sequence[str]) -> dict[str, JsonValue]:
    """Every column that is neither input nor answer, `meta` and `metadata` spread out."""
    found: dict[str, JsonValue] = {}
    for key, value in row.items():
        if key in used or key == "id":
            continue
        if key in ("meta", "metadata") and isinstance(value, dict):
            for inner, item in cast(dict[str, JsonValue], value).items():
                name = inner if inner not in found and inner not in row else f"{key}.{inner}"
                found[name] = item
        else:
            found[key] = cast(JsonValue, value)
    return found


def _with_document(columns: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The columns with `document` as the name of the file that holds the answer, or without it."""
    keys = [key for key in ("document", "doc") if key in columns] or ["source"]
    named = (columns.get(key) for key in keys)
    document = next((name for name in named if isinstance(name, str) and _is_file(name)), None)
    others = {key: value for key, value in columns.items() if key != "document"}
    return others if document is None else {**others, "document": document}


def _is_file(name: str) -> bool:
    """Whether a text looks like a file's name, with an ending; an address on the web does not."""
    return "://" not in name and re.fullmatch(r".*[^\s./]\.[A-Za-z]\w{0,9}", name) is not None


def _id(row: Row, shaped: _Shaped) -> str:
    own = row.get("id")
    if isinstance(own, bool | float | list | dict):
        raise RowError("id", "id is neither text nor whole number. Write one, or none.")
    if own not in (None, ""):
        return str(own)
    turns = [[message.role, message.content] for message in shaped.messages]
    content = json.dumps([turns, shaped.target], ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()[:16]
