"""Turns counts into inline SVG: a histogram of lengths, and bars for labels.

Pure functions from numbers to text, drawn for a width as in `plots`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunewise.report.drawing import (
    CHARACTER,
    Box,
    Scale,
    begin_svg,
    draw_box,
    draw_line,
    draw_text,
    finish_svg,
    ticks,
    widest,
)
from tunewise.statistics.distributions import quantile
from tunewise.wording import axis_mark, count

_TAIL = 0.995
"""Quantile behind which lengths share the last bar."""
_MAX_NAME = 34


@dataclass(frozen=True, kw_only=True, slots=True)
class BarRow:
    """One bar with its name and its numbers in words."""

    label: str
    value: float
    text: str
    marked: bool = False
    """Whether it is drawn in the colour of what needs attention."""


def histogram(values: NDArray[np.int64], *, unit: str, context: int | None, width: int) -> str:
    """How many rows have which length; a dashed line at the context, if it is in sight.

    Args:
        values: (rows,) lengths, at least one.
        unit: of the lengths.
        context: the model's window; None: not known.
        width: of the plot.
    """
    narrow = width < 600
    end, longest = float(max(np.quantile(values, _TAIL), 1.0)), float(values.max())
    end = longest if longest < 1.5 * end else end
    if context is not None and context < 2 * longest:
        end = max(end, 1.15 * context)
    marks = ticks(0, end, at_most=5 if narrow else 9)
    bins = 20 if narrow else 40
    edges = np.linspace(0, marks[-1], bins + 1)
    rows, _ = np.histogram(np.minimum(values, marks[-1]), bins=edges)
    beyond = int(np.count_nonzero(values > marks[-1]))
    height, bottom, top = (230.0, 186.0, 30.0) if narrow else (270.0, 226.0, 30.0)
    across = Scale(0, marks[-1], 48, width - 22)
    row_marks = ticks(0, max(int(rows.max()), 1), at_most=4)
    up = Scale(0, row_marks[-1], bottom, top)
    svg = begin_svg(
        width,
        height,
        title=f"Rows by length in {unit}",
        description=(
            f"{count(len(values))} rows: median {count(quantile(values, 0.5))}, "
            f"longest {count(float(values.max()))}"
        ),
    )
    for mark in row_marks:
        draw_line(svg, across.start, up(mark), across.end, up(mark), "grid")
        draw_text(svg, axis_mark(mark), across.start - 8, up(mark) + 4.5, "tick", "end")
    for mark in marks:
        anchor = "end" if mark == marks[-1] else "middle"
        draw_text(svg, count(mark), across(mark), bottom + 18, "tick", anchor)
    for number, low, high in zip(rows.tolist(), edges[:-1], edges[1:], strict=True):
        if number:
            outside = context is not None and high > context
            box = Box(across(float(low)) + 0.7, up(number), across(float(high)) - 0.7, bottom)
            draw_box(svg, box, "incumbent" if outside else "other")
    if context is not None and context <= marks[-1]:
        draw_line(svg, across(context), top - 6, across(context), bottom, "gain")
        text = f"context {count(context)}"
        leftwards = across(context) > width - len(text) * CHARACTER
        draw_text(svg, text, across(context), top - 12, "small", "end" if leftwards else "start")
    draw_text(svg, "rows", 4, 14, "small")
    tail = f"; {count(beyond)} longer in the last bar" if beyond else ""
    draw_text(svg, f"{unit}{tail} →", across.end, height - 6, "small", "end")
    return finish_svg(svg)


def bars(rows: Sequence[BarRow], *, title: str, width: int) -> str:
    """Horizontal bars from 0, with names and numbers beside them."""
    stacked = width < 600
    names = [_clipped(row.label, 28 if stacked else _MAX_NAME) for row in rows]
    name_width = widest(names)
    text_width = widest([row.text for row in rows])
    left, right = (4.0, width - 4.0) if stacked else (name_width + 18, width - text_width - 14)
    scale = Scale(0, max([row.value for row in rows] + [1.0]), left, right)
    row_height = 40.0 if stacked else 26.0
    svg = begin_svg(
        width,
        row_height * len(rows) + 10,
        title=title,
        description="; ".join(f"{row.label[:60]}: {row.text}" for row in rows),
    )
    for number, (row, name) in enumerate(zip(rows, names, strict=True)):
        y = 5 + row_height * number + (28 if stacked else row_height / 2)
        role = "incumbent" if row.marked else "other"
        if stacked:
            draw_text(svg, name, 4, y - 12, f"name {role}")
            draw_text(svg, row.text, width - 4, y - 12, "number", "end")
        else:
            draw_text(svg, name, left - 12, y + 4.5, f"name {role}", "end")
            draw_text(svg, row.text, width - 2, y + 4.5, "number", "end")
        draw_box(svg, Box(left, y - 6, max(scale(row.value), left + 1), y + 6), role)
    return finish_svg(svg)


def _clipped(text: str, most: int) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= most else one_line[: most - 1] + "…"
