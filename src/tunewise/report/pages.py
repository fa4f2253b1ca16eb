"""What every page of ours shares: its templates, and texts of people and models shown short.

Everything goes through Jinja's autoescape: a text is text, never markup.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from tunewise.wording import count, in_points, percent, plural

SHOWN_BYTES, FULL_BYTES = 360, 6_000
"""Escaped bytes of one text shown at once, and in its details; together they keep 1 MB."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """A text of a person or a model, shown short and in full where it is longer."""

    short: str
    full: str | None
    left_out: int
    """Characters that not even the full text shows."""


def page_template(name: str) -> Template:
    """A template of the report, with every value escaped."""
    return _environment().get_template(name)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("tunewise.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    said = {"count": count, "percent": percent, "in_points": in_points, "plural": plural}
    cast("Any", environment).globals.update(said)
    return environment


def with_code(text: str) -> Markup:
    """The text escaped, with what stands between backticks as code."""
    parts = [escape(part) for part in text.split("`")]
    if len(parts) % 2 == 0:  # a backtick without its partner
        return escape(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if position % 2 else part
        for position, part in enumerate(parts)
    )


def clip(text: str, *, full: int = FULL_BYTES) -> Clip:
    """A text short, and in full up to so many escaped bytes."""
    short, whole = _within(text, SHOWN_BYTES), _within(text, full)
    if short == text:
        return Clip(short=text, full=None, left_out=0)
    return Clip(short=short.rstrip() + "…", full=whole, left_out=len(text) - len(whole))


def _within(text: str, limit: int) -> str:
    """The longest beginning of the text whose escaped form has at most `limit` bytes."""
    head = text[:limit]
    while (size := len(str(escape(head)).encode())) > limit:
        head = head[: min(len(head) - 1, len(head) * limit // size)]
    return head
