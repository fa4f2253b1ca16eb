"""Draws the parts of a plot as inline SVG: scales, grids, lines, boxes, texts, markers.

Colours come from the page as CSS classes, so dark mode works. Every text is escaped by ElementTree.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from xml.etree.ElementTree import Element, SubElement, tostring

from tunewise.wording import axis_mark

Role = Literal["challenger", "incumbent", "ceiling", "other"]

FONT = 13.0
"""Size of plot texts in user units; at the drawn width one unit is one pixel."""
CHARACTER = 0.62 * FONT
"""Mean advance of a character, that of a bold or wide system font to be safe."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in user units, y downwards."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: "Box") -> bool:
        """Whether the two share any area."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )


def ticks(low: float, high: float, *, at_most: int) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten) from below `low` to above `high`."""
    span = high - low or 1.0
    raw = span / max(at_most - 1, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10, 20) if m * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    last = max(last, first + 1)
    return [round(i * step, 10) for i in range(first, last + 1)]


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear map from data to user units."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Where a value lies."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def widest(texts: Sequence[str]) -> float:
    """Units that the longest of some texts takes."""
    return max((len(text) for text in texts), default=0) * CHARACTER


def begin_svg(width: float, height: float, *, title: str, description: str) -> Element:
    """An empty plot, with what it shows in words."""
    svg = Element(
        "svg",
        {"viewBox": f"0 0 {width:g} {height:g}", "width": f"{width:g}", "role": "img"},
    )
    svg.set("aria-label", f"{title}. {description}")
    SubElement(svg, "title").text = title
    SubElement(svg, "desc").text = description
    return svg


def finish_svg(svg: Element) -> str:
    """The plot as text."""
    return tostring(svg, encoding="unicode", short_empty_elements=False)


def draw_grid(
    svg: Element,
    scale: Scale,
    marks: Sequence[float],
    bands: Sequence[tuple[float, float]],
    bottom: float,
    *,
    signed: bool,
) -> None:
    """Lines at the marks, within the bands, with their values below."""
    for mark in marks:
        for start, end in bands:
            draw_line(svg, scale(mark), start, scale(mark), end, "grid")
        draw_text(svg, axis_mark(mark, signed=signed), scale(mark), bottom + 17, "tick", "middle")


def draw_line(svg: Element, x1: float, y1: float, x2: float, y2: float, style: str) -> None:
    """A line of a CSS class."""
    ends = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
    SubElement(svg, "line", {k: f"{v:.1f}" for k, v in ends.items()} | {"class": style})


def draw_box(svg: Element, box: Box, role: Role) -> None:
    """A filled box in the colour of a role."""
    SubElement(
        svg,
        "rect",
        {
            "x": f"{box.left:.1f}",
            "y": f"{box.top:.1f}",
            "width": f"{box.right - box.left:.1f}",
            "height": f"{box.bottom - box.top:.1f}",
            "rx": "2",
            "class": f"mark {role}",
        },
    )


def draw_path(svg: Element, points: Sequence[tuple[float, float]], style: str) -> None:
    """Straight lines from point to point, of a CSS class."""
    SubElement(svg, "polyline", {"points": _pairs(points), "class": f"path {style}"})


def draw_area(svg: Element, points: Sequence[tuple[float, float]], role: Role) -> None:
    """A filled area in a faint colour of a role."""
    SubElement(svg, "polygon", {"points": _pairs(points), "class": f"area {role}"})


def _pairs(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def draw_text(
    svg: Element, text: str, x: float, y: float, style: str, anchor: str = "start"
) -> None:
    """A text of a CSS class."""
    attributes = {"x": f"{x:.1f}", "y": f"{y:.1f}", "class": style, "text-anchor": anchor}
    SubElement(svg, "text", attributes).text = text


def draw_marker(svg: Element, x: float, y: float, role: Role) -> None:
    """Diamond: challenger; square: incumbent; ring: ceiling; dot: any other."""
    if role == "challenger":
        corners = f"{x:.1f},{y - 7:.1f} {x + 7:.1f},{y:.1f} {x:.1f},{y + 7:.1f} {x - 7:.1f},{y:.1f}"
        SubElement(svg, "polygon", {"points": corners, "class": f"mark {role}"})
    elif role == "incumbent":
        draw_box(svg, Box(x - 5.5, y - 5.5, x + 5.5, y + 5.5), role)
    else:
        place = {"cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": "5"}
        SubElement(svg, "circle", place | {"class": f"mark {role}"})
