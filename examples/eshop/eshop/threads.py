"""A thread -> the text that a model is asked with, in the app and in its projects' rows."""

from collections.abc import Sequence
from typing import Protocol

MAX_ASKED = 12_000
"""Characters of a thread that a model sees: its newest messages."""


class Turn(Protocol):
    """A message, of the database or of a file."""

    author: str
    text: str


def thread_text(turns: Sequence[Turn]) -> str:
    """All messages, the oldest first; of a thread too long the newest ones.

    A message is one line, so that nobody writes the desk's turn, or what is known, within it.
    """
    shown = [f"{turn.author.capitalize()}: {' '.join(turn.text.split())}" for turn in turns]
    while len(shown) > 1 and sum(map(len, shown)) > MAX_ASKED:
        del shown[0]
    return "\n".join(shown)[-MAX_ASKED:]


def first_words(turns: Sequence[Turn]) -> str:
    """What the customer wrote first, by which a ticket is sorted."""
    return next((turn.text for turn in turns if turn.author == "customer"), "")


def reply_text(thread: str, facts: Sequence[str]) -> str:
    """A thread and what is known, for a reply that is grounded on both."""
    known = "\n".join(f"- {' '.join(fact.split())}" for fact in facts)
    return f"{thread}\n\nKnown:\n{known or '- nothing'}"
