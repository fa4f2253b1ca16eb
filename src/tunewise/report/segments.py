"""Where a fine-tune helps and where it hurts, and what the labels allow: for terminal and page."""

from dataclasses import dataclass

from tunewise.report import plots
from tunewise.report.pictures import Plot, both
from tunewise.runs.schema import Run
from tunewise.runs.segments import Segment
from tunewise.wording import (
    count,
    listed,
    p_value,
    percent,
    percent_span,
    plural,
    points,
    points_span,
)

MAX_PLOTTED = 16
"""Segments in the plot; the table holds all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentRow:
    """One segment in the table."""

    name: str
    rows: str
    a: str
    b: str
    difference: str
    interval: str
    p: str
    worse: bool


def segment_lines(run: Run) -> list[str]:
    """What is shown to get worse, and what labels allow; nothing where neither is known."""
    lines: list[str] = []
    if run.segments and (worse := [one for one in run.segments.items if one.worse]):
        named = [
            f"{_name(one)} ({points(one.delta)} points on {plural(one.n, 'row')})" for one in worse
        ]
        lines.append(f"Where it hurts: {run.segments.a} is worse on {listed(named)}.")
    if run.label_noise and run.label_noise.ceiling is not None:
        lines.append(label_noise_sentence(run))
    return lines


def segments_sentence(run: Run) -> str:
    """How many segments get worse, for the page."""
    if not run.segments:
        return ""
    items, a, b = run.segments.items, run.segments.a, run.segments.b
    tested = [one for one in items if one.p is not None]
    worse = [one for one in tested if one.worse]
    lower = [one for one in tested if one.delta < 0]
    said = (
        f"{a} against {b} on {plural(len(items), 'part')} of the test rows. "
        f"Shown to get worse, by chance in at most 5 of 100 such tables (Holm): {count(len(worse))}"
        f" of the {count(len(tested))} with rows enough to tell"
    )
    if len(lower) > len(worse):
        said += f"; below {b}, but no more than chance could make: {count(len(lower) - len(worse))}"
    return f"{said}. Each row counts by itself, so a part's quality is a mean of single scores."


def label_noise_sentence(run: Run) -> str:
    """How far labels agree, and what follows."""
    noise = run.label_noise
    if noise is None:
        return ""
    said = (
        f"{plural(noise.inputs, 'input')} stand{'s' if noise.inputs == 1 else ''} in the data with "
        f"more than one label; these agree in {percent(noise.agreement)}"
    )
    if noise.low is None or noise.high is None:
        return f"{said}: too few to say what labels like these allow."
    said += f" ({percent_span(noise.low, noise.high)})"
    if noise.ceiling is None:
        return f"{said}, by the metric of this run."
    return (
        f"{said}: no model can be right in more than {percent(noise.ceiling)} of rows labelled "
        "like these. Where a repeated row is a copy and no second label, it is less."
    )


def segment_rows(run: Run) -> list[SegmentRow]:
    """Every segment, those that get worse first."""
    return [
        SegmentRow(
            name=_name(one),
            rows=count(one.n) if one.units == one.n else f"{count(one.n)} in {count(one.units)}",
            a=percent(one.a),
            b=percent(one.b),
            difference=points(one.delta),
            interval=_interval(one) or "too few rows to tell",
            p="" if one.p_adjusted is None else p_value(one.p_adjusted),
            worse=one.worse,
        )
        for one in (run.segments.items if run.segments else ())
    ]


def segments_plot(run: Run) -> Plot | None:
    """The differences that have an interval; None where there is none."""
    if not run.segments:
        return None
    other = run.segments.b
    shown = [one for one in run.segments.items if one.low is not None and one.high is not None]
    rows = [
        plots.IntervalRow(
            label=_name(one),
            value=100 * one.delta,
            low=100 * (one.low or 0.0),
            high=100 * (one.high or 0.0),
            text=f"{points(one.delta)} ({_interval(one)})",
            role="challenger" if one.worse else "other",
        )
        for one in shown[:MAX_PLOTTED]
    ]
    if not rows:
        return None
    return both(
        lambda width: plots.forest(
            rows,
            reference=other,
            minimum_gain=100 * run.decision.minimum_gain,
            unit="points",
            width=width,
        )
    )


def _name(one: Segment) -> str:
    return f"{one.by}: {one.value}"


def _interval(one: Segment) -> str:
    return "" if one.low is None or one.high is None else points_span(one.low, one.high)
