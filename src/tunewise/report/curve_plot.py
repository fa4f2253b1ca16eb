"""Turns a learning curve into inline SVG: quality over rows, with its band up to twice the rows.

Pure functions from numbers to text, drawn for a width as in `plots`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from tunewise.report.drawing import (
    Role,
    Scale,
    begin_svg,
    draw_area,
    draw_line,
    draw_marker,
    draw_path,
    draw_text,
    finish_svg,
    ticks,
    widest,
)
from tunewise.report.plots import Point
from tunewise.wording import axis_mark, count, percent, percent_span

TOP = 40.0


@dataclass(frozen=True, kw_only=True, slots=True)
class FlatLine:
    """A contender that takes nothing from more rows."""

    label: str
    value: float
    """Quality, percent."""
    role: Role = "other"


def learning_curve(
    points: Sequence[Point],
    band: Sequence[Point],
    *,
    flat: FlatLine | None,
    unit: str,
    width: int,
) -> str:
    """Quality (percent) over rows to learn from.

    Args:
        points: as measured, the smallest part first; the last one is all rows there are.
        band: the curve from there to twice the rows.
        flat: what it is held against.
        unit: of the quality.
        width: in pixels.
    """
    narrow = width < 600
    height = 320.0 if narrow else 380.0
    bottom = height - 48.0
    ends = [end for one in (*points, *band) for end in (one.low, one.high)]
    ends += [flat.value] if flat else []
    y_marks = ticks(min(ends), max(ends), at_most=6)
    until, now = band[-1].x, points[-1].x
    x_marks = [mark for mark in ticks(0, until, at_most=4 if narrow else 7) if mark <= until]
    left = widest([axis_mark(mark) for mark in y_marks]) + 12
    across, up = Scale(0, until, left, width - 14.0), Scale(y_marks[0], y_marks[-1], bottom, TOP)
    name, role = points[-1].label, points[-1].role
    svg = begin_svg(
        width,
        height,
        title=f"{unit} of {name} over rows to learn from",
        description="; ".join(
            f"{count(p.x)} rows: {percent(p.value / 100)} "
            f"({percent_span(p.low / 100, p.high / 100)})"
            for p in (*points, band[-1])
        ),
    )
    for mark in y_marks:
        draw_line(svg, left, up(mark), across.end, up(mark), "grid")
        draw_text(svg, axis_mark(mark), left - 8, up(mark) + 4.5, "tick", "end")
    for mark in x_marks:
        draw_line(svg, across(mark), bottom, across(mark), bottom + 5, "grid")
        near = across(mark) > width - 40
        draw_text(svg, count(mark), across(mark), bottom + 20, "tick", "end" if near else "middle")
    edge = [(across(p.x), up(p.high)) for p in band]
    edge += [(across(p.x), up(p.low)) for p in reversed(band)]
    draw_area(svg, edge, role)
    draw_line(svg, across(now), TOP, across(now), bottom, "gain")
    draw_text(svg, f"all {count(now)} rows", across(now), TOP - 8, "small", "middle")
    draw_path(svg, [(across(p.x), up(p.value)) for p in band], f"range {role}")
    for point in points:
        x = across(point.x)
        draw_line(svg, x, up(point.low), x, up(point.high), f"range {role}")
        draw_marker(svg, x, up(point.value), role)
    if flat:
        _draw_flat(svg, flat, band, across, up)
    y = max(TOP + 12, up(band[-1].high) - 8)
    draw_text(svg, name, across.end, y, f"name {role}", "end")
    draw_text(svg, unit, 4, 14, "small")
    draw_text(svg, "rows to learn from →", across.end, height - 6, "small", "end")
    return finish_svg(svg)


def _draw_flat(
    svg: Element, flat: FlatLine, band: Sequence[Point], across: Scale, up: Scale
) -> None:
    """Its line, and its name where the curve is farther away, on the side where it is not."""
    y = up(flat.value)
    draw_line(svg, across.start, y, across.end, y, f"range {flat.role}")
    first, last = band[0].value - flat.value, band[-1].value - flat.value
    at_start = abs(first) >= abs(last)
    below = (first if at_start else last) >= 0
    x, anchor = (across.start + 6, "start") if at_start else (across.end, "end")
    draw_text(svg, flat.label, x, y + 17 if below else y - 7, f"name {flat.role}", anchor)
