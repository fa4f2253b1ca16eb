"""Turns examples into hashes of what they say: to the letter, or whatever their spelling.

They are the same in every process, and hold no text.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping

from tunewise.text.comparison import caseless
from tunewise.types import Example, JsonValue, Message, Preference

INPUT_DIGITS = 8
"""Digits of `content_hash` by which a row is known again when its answer was corrected."""


def split_fingerprint(parts: Mapping[str, Iterable[Example]]) -> str:
    """sha256 (hex) over every row with its part, in order: any change of the data changes it."""
    digest = hashlib.sha256()
    for part, examples in parts.items():
        for example in examples:
            row = [part, example.id, *_content(example), example.group, dict(example.metadata)]
            digest.update(json.dumps(row, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()


def content_hash(example: Example) -> str:
    """16 hex digits: `INPUT_DIGITS` over the input, the others over answer and tools as well."""
    turns, *rest = _content(example)
    return _short([turns])[:INPUT_DIGITS] + _short([turns, *rest])[INPUT_DIGITS:]


def preference_hash(pair: Preference) -> str:
    """16 hex digits: `INPUT_DIGITS` over the input, the others over both answers as well."""
    turns: list[JsonValue] = [[*_turn(turn), turn.weight] for turn in pair.messages]
    rest: list[JsonValue] = [pair.chosen, pair.rejected, list(pair.tools)]
    return _short([turns])[:INPUT_DIGITS] + _short([turns, *rest])[INPUT_DIGITS:]


def item_hash(example: Example) -> str:
    """16 hex digits over the comparison form, without regard to case, and without a system turn.

    Trying another system prompt on the same rows is another look at them.
    """
    turns: list[JsonValue] = [
        [caseless(part) if isinstance(part, str) else part for part in _turn(turn)]
        for turn in example.messages
        if turn.role != "system"
    ]
    return _short([turns, caseless(example.target)])


def _content(example: Example) -> list[JsonValue]:
    turns = [[*_turn(turn), turn.weight] for turn in example.messages]
    return [turns, example.target, list(example.tools)]


def _turn(turn: Message) -> list[JsonValue]:
    return [turn.role, turn.content, *([call.name, call.arguments] for call in turn.tool_calls)]


def _short(value: list[JsonValue]) -> str:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).hexdigest()[:16]
