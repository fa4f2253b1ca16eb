"""What pages show of numbers: a figure to take away, and a plot in two widths."""

from collections.abc import Callable
from dataclasses import dataclass

from markupsafe import Markup

WIDE, NARROW = 900, 344
"""Drawn widths of each plot in pixels, for a screen and for a phone 390 pixels wide."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One number a reader should take away."""

    value: str
    label: str
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Plot:
    """The same plot for a screen and for a phone; CSS shows one of them."""

    wide: Markup
    narrow: Markup


def both(draw: Callable[[int], str]) -> Plot:
    """A plot drawn in both widths."""
    return Plot(wide=Markup(draw(WIDE)), narrow=Markup(draw(NARROW)))  # noqa: S704  ElementTree's
