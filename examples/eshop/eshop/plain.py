"""Text from outside -> text that can be kept and shown."""

import re

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control signs, terminal escapes among them; not \t and \n
    "\u200e\u200f\u202a-\u202e\u2066-\u2069"  # marks that turn the direction of text
    "\ud800-\udfff\ufffe\uffff]"  # halves of characters, and what is none
)
_FIGURE = re.compile(r"\d+(?:[.,:]\d+)*")


def clean(text: str, limit: int) -> str:
    """The text without signs that nobody sees, with \\n as line ends, cut to `limit` characters."""
    return _UNSEEN.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).strip()[:limit]


def figures(text: str) -> set[str]:
    """The numbers of a text as they are written, thousands and trailing zeros made alike."""
    return {_value(found) for found in _FIGURE.findall(text)}


def figures_without_source(text: str, source: str) -> list[str]:
    """Numbers that a text states and its source does not, in the order of the text."""
    known = figures(source)
    found = (figure for figure in _FIGURE.findall(text) if _value(figure) not in known)
    return list(dict.fromkeys(found))


def _value(figure: str) -> str:
    whole = re.sub(r",(?=\d{3}(?:\D|$))", "", figure)
    return re.sub(r"[.,]0+$", "", whole)
