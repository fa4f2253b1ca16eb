"""Turns amounts of money into inline SVG: total cost over requests, and what a saving hangs on.

Pure functions from numbers to text, drawn for a width as in `plots`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from tunewise.report.drawing import (
    Box,
    Role,
    Scale,
    begin_svg,
    draw_area,
    draw_box,
    draw_line,
    draw_path,
    draw_text,
    finish_svg,
    ticks,
    widest,
)
from tunewise.statistics.amounts import BreakEven
from tunewise.wording import cash, count


@dataclass(frozen=True, kw_only=True, slots=True)
class CostLine:
    """What one contender's requests cost in all, in the currency."""

    label: str
    first: float
    """Before the first request."""
    each: float
    """A request."""
    low: float
    high: float
    """The interval of `each`."""
    again: float
    """Of a further training."""
    every: float | None
    """Requests between trainings; None: it is trained once."""
    role: Role

    def total(self, requests: float, each: float) -> float:
        """After so many requests, at a cost of each; a training at that moment is not yet paid."""
        times = 0 if self.every is None else max(0, -int(-requests // self.every) - 1)
        return self.first + times * self.again + each * requests

    def stops(self, until: float) -> list[tuple[float, float]]:
        """Requests from and to which the cost grows evenly, one training after the other."""
        starts = [0.0]
        while self.every and len(starts) < 60 and starts[-1] + self.every < until:
            starts.append(starts[-1] + self.every)
        return list(zip(starts, [*starts[1:], until], strict=True))


def total_cost(
    lines: Sequence[CostLine],
    *,
    even: BreakEven,
    said: str,
    until: float,
    currency: str,
    width: int,
) -> str:
    """What requests have cost so far, with a band for its interval, and the break-even's range."""
    narrow = width < 600
    height, top = (320.0, 34.0) if narrow else (380.0, 34.0)
    bottom = height - 76.0
    highest = max(line.total(until, line.high) for line in lines)
    y_marks = ticks(0, highest or 1.0, at_most=5)
    x_marks = [mark for mark in ticks(0, until, at_most=4 if narrow else 7) if mark <= until]
    left = widest([cash(mark) for mark in y_marks]) + 12
    across, up = Scale(0, until, left, width - 14), Scale(0, y_marks[-1], bottom, top)
    svg = begin_svg(
        width,
        height,
        title="Total cost over requests",
        description="; ".join(
            f"{line.label}: {cash(line.first, currency)} at first, "
            f"{cash(1000 * line.each, currency)} per 1,000 requests"
            for line in lines
        )
        + f"; break-even: {said}",
    )
    for mark in y_marks:
        draw_line(svg, left, up(mark), across.end, up(mark), "grid")
        draw_text(svg, cash(mark), left - 8, up(mark) + 4.5, "tick", "end")
    for mark in x_marks:
        draw_line(svg, across(mark), bottom, across(mark), bottom + 5, "grid")
        near = across(mark) > width - 40
        draw_text(svg, count(mark), across(mark), bottom + 20, "tick", "end" if near else "middle")
    for line in lines:
        for start, end in line.stops(until):
            paid = line.total(end, 0.0)
            area = [(across(n), up(paid + n * line.high)) for n in (start, end)]
            area += [(across(n), up(paid + n * line.low)) for n in (end, start)]
            draw_area(svg, area, line.role)
    for line in lines:
        points = [
            (across(n), up(line.total(end, 0.0) + n * line.each))
            for start, end in line.stops(until)
            for n in (start, end)
        ]
        draw_path(svg, points, f"range {line.role}")
    _draw_names(svg, lines, across, up, until)
    _draw_break_even(svg, even, said, across, bottom, narrow=narrow)
    draw_text(svg, f"{currency} in all, training included", 4, 14, "small")
    draw_text(svg, "requests →", across.end, height - 6, "small", "end")
    return finish_svg(svg)


def _draw_names(
    svg: Element, lines: Sequence[CostLine], across: Scale, up: Scale, until: float
) -> None:
    """Each line's name: above the dearer one, below the other, clear of both bands."""
    dear, *others = sorted(lines, key=lambda line: -line.total(until, line.each))
    at = 0.78 * until
    y = max(30.0, up(dear.total(at, dear.high)) - 14)
    draw_text(svg, dear.label, across(at), y, f"name {dear.role}", "end")
    for line in others:
        y = up(line.total(until, line.low)) + 22
        draw_text(svg, line.label, across.end - 4, y, f"name {line.role}", "end")


def _draw_break_even(
    svg: Element, even: BreakEven, said: str, across: Scale, bottom: float, *, narrow: bool
) -> None:
    """Below the axis: from where to where the training may be recovered, and the estimate."""
    y = bottom + 38.0
    if even.low is None or even.low > across.high:
        draw_text(svg, "never recovered", across.start, y + 4, "small")
        return
    high = across.high if even.high is None else min(even.high, across.high)
    draw_line(svg, across(even.low), y, across(high), y, "within")
    for end in (even.low, *(() if even.high is None else (even.high,))):
        if end <= across.high:
            draw_line(svg, across(end), y - 5, across(end), y + 5, "within")
    if even.value is not None and even.value <= across.high:
        draw_line(svg, across(even.value), 34.0, across(even.value), bottom, "gain")
        draw_box(svg, Box(across(even.value) - 4, y - 4, across(even.value) + 4, y + 4), "other")
    text = f"recovered: {said}" if narrow else f"training recovered after {said} requests"
    draw_text(svg, text, across.start, y + 22, "small")


@dataclass(frozen=True, kw_only=True, slots=True)
class SwingRow:
    """What a saving becomes at two settings of one premise."""

    label: str
    less: float
    more: float
    said: str
    """The two settings in words."""


def tornado(rows: Sequence[SwingRow], *, base: float, title: str, width: int) -> str:
    """A bar for each premise from one setting's saving to the other's, around the saving itself."""
    stacked = width < 600
    ends = [0.0, base, *(end for row in rows for end in (row.less, row.more))]
    marks = ticks(min(ends), max(ends), at_most=4 if stacked else 7)
    names, texts = [row.label for row in rows], [row.said for row in rows]
    left = 24.0 if stacked else widest(names) + 20
    right = width - 24.0 if stacked else width - widest(texts) - 24
    scale = Scale(marks[0], marks[-1], left, right)
    row_height, top = (46.0 if stacked else 32.0), 30.0
    bottom = top + row_height * len(rows)
    svg = begin_svg(
        width,
        bottom + 44,
        title=title,
        description="; ".join(
            f"{row.label} {row.said}: {cash(row.less)} or {cash(row.more)}" for row in rows
        ),
    )
    draw_text(svg, title, 4, 14, "small")
    middles = [top + row_height * i + (30 if stacked else row_height / 2) for i in range(len(rows))]
    bands = [(y - 10, y + 10) for y in middles] if stacked else [(top - 6, bottom)]
    for mark in marks:
        for start, end in bands:
            draw_line(svg, scale(mark), start, scale(mark), end, "zero" if not mark else "grid")
        draw_text(svg, cash(mark), scale(mark), bottom + 18, "tick", "middle")
    for y, row in zip(middles, rows, strict=True):
        if stacked:
            draw_text(svg, row.label, 4, y - 13, "name")
            draw_text(svg, row.said, width - 4, y - 13, "number", "end")
        else:
            draw_text(svg, row.label, left - 14, y + 4.5, "name", "end")
            draw_text(svg, row.said, width - 2, y + 4.5, "number", "end")
        low, high = sorted((row.less, row.more))
        below, above = min(low, base), max(high, base)
        draw_box(svg, Box(scale(below), y - 7, max(scale(above), scale(below) + 1), y + 7), "other")
    for start, end in bands:
        draw_line(svg, scale(base), start, scale(base), end, "gain")
    x = scale(base)
    anchor = "end" if x > width - 90 else "start" if x < 90 else "middle"
    draw_text(svg, f"as reckoned: {cash(base)}", x, bottom + 36, "small", anchor)
    return finish_svg(svg)
