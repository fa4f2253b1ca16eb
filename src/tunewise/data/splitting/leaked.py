"""Test rows that are left out, since train, dev or the documents hold them: counted and told."""

from collections.abc import Mapping, Sequence
from typing import Final

from tunewise.types import Example

_HELD: Final = {
    "train": ("is in train too", "are in train too"),
    "dev": ("is in dev too", "are in dev too"),
    "documents": (
        "stands in a document with its answer",
        "stand in a document with their answers",
    ),
}
"""What holds a row -> how that is said of one, and of several."""


def grouped(rows: Sequence[Example], leaked: Mapping[str, str]) -> dict[str, tuple[Example, ...]]:
    """What holds rows (`train`, `dev`, `documents`) -> which; empty ones are not named.

    Args:
        rows: of test.
        leaked: id of a row -> what holds it.
    """
    held = {where: tuple(row for row in rows if leaked.get(row.id) == where) for where in _HELD}
    return {where: some for where, some in held.items() if some}


def about_leaked(counts: Mapping[str, int]) -> str:
    """How many rows are held where: `12 are in train too, 1 is in dev too`; empty for none."""
    known = [(counts[where], words) for where, words in _HELD.items() if counts.get(where)]
    return ", ".join(f"{n:,} {words[n != 1]}" for n, words in known)


def leaked_note(counts: Mapping[str, int]) -> str:
    """One line for a person; empty where nothing is left out.

    Args:
        counts: what holds rows -> how many are left out of test for it.
    """
    if not counts:
        return ""
    total = sum(counts.values())
    rows = "1 row is" if total == 1 else f"{total:,} rows are"
    why = "since repeating them would look like skill"
    return f"{rows} left out of test, {why}: {about_leaked(counts)}."
