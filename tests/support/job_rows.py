"""Rows as people upload them for fine-tuning."""

import json
from collections.abc import Iterable
from typing import Any

LABELS = ("refund", "delivery", "other")
SYSTEM = "Say what the message is about: refund, delivery or other."


def chat_rows(count: int, *, start: int = 0) -> list[dict[str, Any]]:
    """Conversations whose label is no secret: the message names it."""
    return [
        {
            "messages": [
                {"role": "system", "content": SYSTEM},
                {"role": "user", "content": f"message {n} of {LABELS[n * 7 % 3]}"},
                {"role": "assistant", "content": LABELS[n * 7 % 3]},
            ]
        }
        for n in range(start, start + count)
    ]


def pair_rows(count: int) -> list[dict[str, Any]]:
    """Preferences in OpenAI's form."""
    return [
        {
            "input": {"messages": [{"role": "user", "content": f"Is number {n} fine?"}]},
            "preferred_output": [{"role": "assistant", "content": "It is."}],
            "non_preferred_output": [{"role": "assistant", "content": "No!"}],
        }
        for n in range(count)
    ]


def jsonl(rows: Iterable[Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()
