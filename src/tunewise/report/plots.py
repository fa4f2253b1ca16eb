"""Turns numbers into inline SVG: forest plot, scatter, latency, interval bar.

Pure functions from records to text. Colours come from the page as CSS classes, so dark mode works;
roles differ in shape too, so colour is never the only sign. Every text is escaped by ElementTree.
Each plot is drawn for a width: 720 for a screen, 360 for a phone, where names stand above lines.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from tunewise.report.drawing import (
    CHARACTER,
    FONT,
    Box,
    Role,
    Scale,
    begin_svg,
    draw_box,
    draw_grid,
    draw_line,
    draw_marker,
    draw_text,
    finish_svg,
    ticks,
    widest,
)
from tunewise.wording import axis_mark, count, percent, percent_span


@dataclass(frozen=True, kw_only=True, slots=True)
class IntervalRow:
    """One line of a forest plot, in the unit of the axis."""

    label: str
    value: float
    low: float
    high: float
    text: str
    """The numbers in words, shown beside the line."""
    role: Role = "other"


@dataclass(frozen=True, kw_only=True, slots=True)
class LatencyRow:
    """Milliseconds of one contender."""

    label: str
    p50: float
    text: str
    low: float | None = None
    high: float | None = None
    """The interval of the median; None where there is none."""
    role: Role = "other"


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """One contender of the scatter: tokens across, quality (percent) up, with its interval."""

    label: str
    x: float
    value: float
    low: float
    high: float
    role: Role = "other"


def forest(
    rows: Sequence[IntervalRow],
    *,
    reference: str,
    minimum_gain: float,
    unit: str,
    width: int,
) -> str:
    """Differences to a reference with their intervals, in points; a line at 0 and at the gain."""
    stacked = width < 600
    ends = [0.0, minimum_gain, *(r.low for r in rows), *(r.high for r in rows)]
    marks = ticks(min(ends), max(ends), at_most=5 if stacked else 8)
    name_width = widest([r.label for r in rows])
    text_width = widest([r.text for r in rows])
    left, right = (20.0, width - 20.0) if stacked else (name_width + 18, width - text_width - 18)
    scale = Scale(marks[0], marks[-1], left, right)
    row_height, top = (44.0 if stacked else 30.0), 26.0
    bottom = top + row_height * len(rows)
    svg = begin_svg(
        width,
        bottom + 50,
        title=f"Difference to {reference}",
        description="; ".join(f"{r.label}: {r.text}" for r in rows),
    )
    middles = [top + row_height * i + (31 if stacked else row_height / 2) for i in range(len(rows))]
    # On a phone the lines stop beside the intervals, so that none runs through the texts between.
    bands = [(y - 9, y + 9) for y in middles] if stacked else [(top - 6, bottom)]
    draw_grid(svg, scale, marks, bands, bottom, signed=True)
    gain_x = scale(minimum_gain)
    for start, end in bands:
        draw_line(svg, scale(0), start, scale(0), end, "zero")
        draw_line(svg, gain_x, start, gain_x, end, "gain")
    near_edge = gain_x + 13 * CHARACTER > width
    draw_text(svg, "worth it", gain_x, top - 11, "small", "end" if near_edge else "middle")
    for y, row in zip(middles, rows, strict=True):
        _draw_texts(svg, row, y, left=left, width=width, stacked=stacked)
        draw_line(svg, scale(row.low), y, scale(row.high), y, f"range {row.role}")
        draw_marker(svg, scale(row.value), y, row.role)
    draw_text(svg, f"← worse than {reference}", left, bottom + 40, "small", "start")
    draw_text(svg, f"better, {unit} →", right, bottom + 40, "small", "end")
    return finish_svg(svg)


def shares(rows: Sequence[IntervalRow], *, title: str, unit: str, width: int) -> str:
    """Shares with their intervals on an axis from 0 to 100."""
    stacked = width < 600
    name_width = widest([r.label for r in rows])
    text_width = widest([r.text for r in rows])
    left, right = (20.0, width - 20.0) if stacked else (name_width + 18, width - text_width - 18)
    scale = Scale(0.0, 100.0, left, right)
    row_height, top = (44.0 if stacked else 30.0), 8.0
    bottom = top + row_height * len(rows)
    svg = begin_svg(
        width,
        bottom + 42,
        title=title,
        description="; ".join(f"{r.label}: {r.text}" for r in rows),
    )
    middles = [top + row_height * i + (31 if stacked else row_height / 2) for i in range(len(rows))]
    bands = [(y - 9, y + 9) for y in middles] if stacked else [(top, bottom)]
    draw_grid(svg, scale, ticks(0.0, 100.0, at_most=6), bands, bottom, signed=False)
    for y, row in zip(middles, rows, strict=True):
        _draw_texts(svg, row, y, left=left, width=width, stacked=stacked)
        draw_line(svg, scale(row.low), y, scale(row.high), y, f"range {row.role}")
        draw_marker(svg, scale(row.value), y, row.role)
    draw_text(svg, unit, right, bottom + 36, "small", "end")
    return finish_svg(svg)


def latency(rows: Sequence[LatencyRow], *, width: int) -> str:
    """Median as a bar from 0, its interval as a thin line over its end, in milliseconds."""
    stacked = width < 600
    longest = max([r.high or r.p50 for r in rows] + [1.0])
    marks = ticks(0, longest, at_most=4 if stacked else 7)
    name_width = widest([r.label for r in rows])
    text_width = widest([r.text for r in rows])
    left, right = (10.0, width - 20.0) if stacked else (name_width + 18, width - text_width - 18)
    scale = Scale(0, marks[-1], left, right)
    row_height, top = (44.0 if stacked else 30.0), 8.0
    bottom = top + row_height * len(rows)
    svg = begin_svg(
        width,
        bottom + 42,
        title="Latency of one request",
        description="; ".join(f"{r.label}: {r.text}" for r in rows),
    )
    middles = [top + row_height * i + (31 if stacked else row_height / 2) for i in range(len(rows))]
    bands = [(y - 9, y + 9) for y in middles] if stacked else [(top, bottom)]
    draw_grid(svg, scale, marks, bands, bottom, signed=False)
    for y, row in zip(middles, rows, strict=True):
        _draw_texts(svg, row, y, left=left, width=width, stacked=stacked)
        draw_box(svg, Box(scale(0), y - 6, max(scale(row.p50), scale(0) + 1), y + 6), row.role)
        if row.low is not None and row.high is not None:
            draw_line(svg, scale(row.low), y, scale(row.high), y, "within")
            for end in (row.low, row.high):
                draw_line(svg, scale(end), y - 4, scale(end), y + 4, "within")
    draw_text(svg, "milliseconds; bar: median, line: its 95% interval", left, bottom + 36, "small")
    return finish_svg(svg)


def _draw_texts(
    svg: Element,
    row: IntervalRow | LatencyRow,
    y: float,
    *,
    left: float,
    width: int,
    stacked: bool,
) -> None:
    """A row's name and its numbers: beside its line, on a phone above it."""
    if stacked:
        draw_text(svg, row.label, 4, y - 14, f"name {row.role}", "start")
        draw_text(svg, row.text, width - 4, y - 14, "number", "end")
    else:
        draw_text(svg, row.label, left - 12, y + 4.5, f"name {row.role}", "end")
        draw_text(svg, row.text, width - 2, y + 4.5, "number", "end")


def scatter(points: Sequence[Point], *, x_unit: str, y_unit: str, width: int) -> str:
    """Quality (percent) against prompt tokens, with intervals and labels that do not overlap."""
    narrow = width < 600
    height = 340.0 if narrow else 380.0
    lowest, highest = min(p.low for p in points), max(p.high for p in points)
    y_marks = ticks(lowest, highest, at_most=6)
    x_marks = ticks(0, max([p.x for p in points] + [1.0]), at_most=4 if narrow else 7)
    across = Scale(0, x_marks[-1], 46, width - 22)
    up = Scale(y_marks[0], y_marks[-1], height - 48, 30)
    svg = begin_svg(
        width,
        height,
        title=f"{y_unit} against {x_unit}",
        description="; ".join(
            f"{p.label}: {percent(p.value / 100)} ({percent_span(p.low / 100, p.high / 100)}) at "
            f"{count(p.x)}"
            for p in points
        ),
    )
    for mark in y_marks:
        draw_line(svg, across.start, up(mark), across.end, up(mark), "grid")
        draw_text(svg, axis_mark(mark), across.start - 8, up(mark) + 4.5, "tick", "end")
    for mark in x_marks:
        draw_line(svg, across(mark), up.start, across(mark), up.start + 5, "grid")
        anchor = "end" if mark == x_marks[-1] else "middle"
        draw_text(svg, count(mark), across(mark), up.start + 20, "tick", anchor)
    draw_text(svg, y_unit, 4, 14, "small", "start")
    draw_text(svg, f"{x_unit} →", across.end, height - 6, "small", "end")
    for point in points:
        x = across(point.x)
        draw_line(svg, x, up(point.low), x, up(point.high), f"range {point.role}")
    for point in points:
        draw_marker(svg, across(point.x), up(point.value), point.role)
    centres = [(across(p.x), up(p.value)) for p in points]
    frame = Box(across.start + 2, up.end - 12, width - 2.0, up.start - 2)
    lines = [Box(across(p.x) - 2, up(p.high), across(p.x) + 2, up(p.low)) for p in points]
    boxes = place_labels([p.label for p in points], centres, frame, keep_free=lines)
    for point, centre, box in zip(points, centres, boxes, strict=True):
        leftwards = box.right <= centre[0]
        near = box.right if leftwards else box.left
        middle = (box.top + box.bottom) / 2
        if math.hypot(near - centre[0], middle - centre[1]) > 22:
            draw_line(svg, *centre, near, middle, "leader")
        anchor = "end" if leftwards else "start"
        draw_text(svg, point.label, near, box.bottom - 4, f"name {point.role}", anchor)
    return finish_svg(svg)


def interval_bar(row: IntervalRow, *, width: int = 120) -> str:
    """A value from 0 to 100 with its interval, as small as a word."""
    svg = begin_svg(width, 16, title=f"{row.label}: {row.text}", description="0 to 100")
    scale = Scale(0, 100, 6, width - 6)
    draw_line(svg, scale(0), 8, scale(100), 8, "grid")
    draw_line(svg, scale(row.low), 8, scale(row.high), 8, f"range {row.role}")
    draw_marker(svg, scale(row.value), 8, row.role)
    return finish_svg(svg)


def place_labels(
    labels: Sequence[str],
    centres: Sequence[tuple[float, float]],
    frame: Box,
    *,
    keep_free: Sequence[Box] = (),
) -> list[Box]:
    """A box for each label near its point, clear of markers, `keep_free` and the other labels.

    Greedy: right of the point first, then left, then ever farther up and down. Where nothing is
    clear, other labels still are avoided before markers and lines.
    """
    obstacles = [*(Box(x - 7, y - 7, x + 7, y + 7) for x, y in centres), *keep_free]
    placed: list[Box] = []
    for label, (x, y) in zip(labels, centres, strict=True):
        wide, tall = len(label) * CHARACTER, FONT + 4
        candidates = [
            box
            for distance in range(10, 400, 6)
            for rise in _rises(distance)
            for box in (
                Box(x + 11, y + rise - tall / 2, x + 11 + wide, y + rise + tall / 2),
                Box(x - 11 - wide, y + rise - tall / 2, x - 11, y + rise + tall / 2),
            )
        ]
        inside = [b for b in candidates if _within(b, frame)] or candidates[:1]
        legible = [b for b in inside if not any(map(b.overlaps, placed))] or inside[:1]
        clear = (b for b in legible if not any(map(b.overlaps, obstacles)))
        placed.append(next(clear, legible[0]))
    return placed


def _rises(distance: int) -> tuple[float, ...]:
    return (0.0,) if distance == 10 else (10.0 - distance, distance - 10.0)


def _within(box: Box, frame: Box) -> bool:
    return (
        box.left >= frame.left
        and box.right <= frame.right
        and box.top >= frame.top
        and box.bottom <= frame.bottom
    )
