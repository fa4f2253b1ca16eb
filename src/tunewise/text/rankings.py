"""Answers that put documents into an order: how they are written, read and compared with a name.

A name is a document's path inside the folder of documents, or its last part; `path#heading` is one
of its sections, by the heading as it is written there.
"""

import json
from collections.abc import Sequence
from typing import cast

from tunewise.text.comparison import comparable

SECTION = "#"
"""Between a document's name and a heading in it."""


def write_ranking(names: Sequence[str]) -> str:
    """A JSON list, the best name first."""
    return json.dumps(list(names), ensure_ascii=False)


def read_ranking(text: str) -> tuple[str, ...]:
    """The names of a JSON list, or one a line; each once, in the form that is compared."""
    names = _listed(text)
    if names is None:
        names = text.splitlines()
    return tuple(dict.fromkeys(name for one in names if (name := comparable(one))))


def _listed(text: str) -> list[str] | None:
    """The texts of a JSON list; None where it is none of texts alone."""
    try:
        found = cast(object, json.loads(text))
    except (ValueError, RecursionError):
        return None
    items = cast(list[object], found) if isinstance(found, list) else [None]
    names = [item for item in items if isinstance(item, str)]
    return names if len(names) == len(items) else None


def is_meant(name: str, wanted: str) -> bool:
    """Whether a name that was found is the one that was wanted: itself, or a section of it.

    Args:
        name: a whole path, with a heading or without.
        wanted: a path or its last parts, with a heading or without.
    """
    document = name if SECTION in wanted else name.partition(SECTION)[0]
    return f"/{document}".endswith(f"/{wanted}")
