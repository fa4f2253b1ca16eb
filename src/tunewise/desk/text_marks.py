"""Marks in two texts what the other lacks."""

import re
from difflib import SequenceMatcher
from typing import NamedTuple

from markupsafe import Markup, escape

MAX_PIECES = 600
"""Words, spaces and signs of a text beyond which nothing is marked: it would take too long."""
_PIECES = re.compile(r"\s+|\w+|[^\w\s]")


class Marked(NamedTuple):
    """Both texts, escaped, with what differs in `<mark>`."""

    a: Markup
    b: Markup


def marked(a: str, b: str) -> Marked:
    """Two texts side by side.

    Args:
        a: one text.
        b: the other.
    """
    left, right = _PIECES.findall(a), _PIECES.findall(b)
    if a == b or max(len(left), len(right)) > MAX_PIECES:
        return Marked(escape(a), escape(b))
    first, second = Markup(""), Markup("")
    matcher = SequenceMatcher(None, left, right, autojunk=False)
    for tag, a_from, a_to, b_from, b_to in matcher.get_opcodes():
        first += _part("".join(left[a_from:a_to]), marks=tag != "equal")
        second += _part("".join(right[b_from:b_to]), marks=tag != "equal")
    return Marked(first, second)


def _part(text: str, *, marks: bool) -> Markup:
    return Markup("<mark>{}</mark>").format(text) if marks and text else escape(text)
