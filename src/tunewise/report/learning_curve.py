"""What more rows to learn from would bring, in words and numbers, for terminal and page."""

from dataclasses import dataclass
from itertools import pairwise

from tunewise.report import curve_plot, plots
from tunewise.report.figures import role_of
from tunewise.report.pictures import Plot, both
from tunewise.runs.learning_curve import ContenderCurve, CurvePoint, Expected
from tunewise.runs.schema import Run
from tunewise.wording import (
    count,
    in_points,
    percent,
    percent_span,
    points,
    points_span,
    significant,
)

TUNED = "fine_tune"


@dataclass(frozen=True, kw_only=True, slots=True)
class CurveRow:
    """A number of rows in the table."""

    rows: str
    quality: str
    interval: str
    gain: str
    gain_interval: str
    against: str
    against_interval: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CurveShown:
    """One contender's curve on the page."""

    contender: str
    sentence: str
    against: str
    """What it is held against; empty where there is nothing."""
    rows: tuple[CurveRow, ...]
    plot: Plot | None


def curve_lines(run: Run) -> list[str]:
    """A line a curve: what the last doubling brought, and what the next one is expected to."""
    return [
        f"More rows for {one.contender}: {_last_doubling(run, one)}{_next_doubling(one)}"
        for one in (run.learning_curve.curves if run.learning_curve else ())
    ]


def curves_shown(run: Run) -> list[CurveShown]:
    """Every curve, for the page."""
    return [
        CurveShown(
            contender=one.contender,
            sentence=f"{_judged(one)} {_capital(_last_doubling(run, one))}{_next_doubling(one)}"
            f"{_held_against(one)}",
            against=one.against.contender if one.against else "",
            rows=tuple(_rows(one)),
            plot=_plot(run, one),
        )
        for one in (run.learning_curve.curves if run.learning_curve else ())
    ]


def curves_missing(run: Run) -> list[str]:
    """Why a curve that was asked for is not there, and how to get that of a fine-tune."""
    if run.learning_curve is None:
        return []
    lines = [f"{name}: no curve, {why}." for name, why in run.learning_curve.missing.items()]
    asked = run.learning_curve.of(TUNED) or TUNED in run.learning_curve.missing
    if run.contender(TUNED) and not asked:
        lines.append(
            f"{TUNED}: no curve, since one takes another training, on half of the rows. With "
            f'"{TUNED}" in `decision.curves` it is done, and says flat, rising or that it cannot '
            "be said; `tunewise decide --dry-run` tells what it takes."
        )
    return lines


def learner(run: Run) -> ContenderCurve | None:
    """Whose curve says what more labels bring: that of what training was held against, if any."""
    curves = [one for one in (run.learning_curve.curves if run.learning_curve else ()) if one.band]
    held = run.learning_curve and run.rival and run.learning_curve.of(run.rival.name)
    return held if held and held.band else next(iter(curves), None)


def gain_with(one: ContenderCurve, share: float) -> str:
    """What a curve expects from more rows: `+1.2 (−0.5 to +3.0)`.

    Args:
        one: with a band.
        share: further rows as a share of those there are.
    """
    if share <= 0:
        return "no rows to learn from"
    if share > 1:
        return "not known beyond twice the rows"
    n = one.rows * (1.0 + share)
    pairs = pairwise(one.band)
    left, right = next((a, b) for a, b in pairs if a.n <= n <= b.n or b is one.band[-1])
    way = min(1.0, (n - left.n) / (right.n - left.n))

    def between(first: float, last: float) -> float:
        return first + way * (last - first)

    low, high = between(left.gain_low, right.gain_low), between(left.gain_high, right.gain_high)
    return f"{points(between(left.gain, right.gain))} ({points_span(low, high)})"


def tuned_curve(run: Run) -> str:
    """What is known of a fine-tune's curve, after `may lift it`."""
    one = run.learning_curve.of(run.plan.challenger) if run.learning_curve else None
    if one is None or one.doubled is None:
        return "; by how much was not measured in this run."
    return f": {_last_doubling(run, one).rstrip('.')}."


def _judged(one: ContenderCurve) -> str:
    first, last = one.points[0].n, one.points[-1].n
    how = (
        f"judged on {count(one.judged)} rows of train and dev, each by what was learned without it"
        if one.scored == "folds"
        else f"judged on the {count(one.judged)} rows of dev"
    )
    return f"{one.contender} learned from {count(first)} to {count(last)} rows and was {how}."


def _last_doubling(run: Run, one: ContenderCurve) -> str:
    """`from half of its rows to all 212, +4.2 points (+1.0 to +7.4): rising.`"""
    if one.doubled is None:
        return "it cannot learn from fewer rows than there are."
    text = f"from half of its rows to all {count(one.rows)}, "
    low, high = one.doubled.low, one.doubled.high
    if one.says is None or low is None or high is None:
        why = one.doubled.method
        return f"{text}{points(one.doubled.value)} points; too few rows to tell ({why})."
    said = {
        "flat": f"flat, so less than {in_points(run.decision.minimum_gain)}",
        "rising": "rising",
        "cannot say": "that is neither shown to be flat nor to rise",
    }[one.says]
    return f"{text}{points(one.doubled.value)} points ({points_span(low, high)}): {said}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _next_doubling(one: ContenderCurve) -> str:
    if not one.forecast:
        return ""
    twice = one.forecast[-1]
    return (
        f" Twice as many are expected to bring {points(twice.gain)} points "
        f"({points_span(twice.gain_low, twice.gain_high)})."
    )


def _held_against(one: ContenderCurve) -> str:
    if one.against is None:
        return ""
    now = _with_interval(one.against.points[-1])
    text = f" Against {one.against.contender}, which takes nothing from more rows: {now} now"
    if one.against.forecast:
        text += f", {_with_interval(one.against.forecast[-1])} with twice as many"
    return f"{text}, on the rows of dev."


def _with_interval(point: CurvePoint) -> str:
    if point.low is None or point.high is None:
        return f"{points(point.value)} points"
    return f"{points(point.value)} points ({points_span(point.low, point.high)})"


def _rows(one: ContenderCurve) -> list[CurveRow]:
    held = {p.n: p for p in (*one.against.points, *one.against.forecast)} if one.against else {}
    return [
        *(_row(count(p.n), p, None, held.get(p.n)) for p in one.points),
        *(
            _row(
                f"{count(p.n)}, expected at {significant(p.n / one.rows)} times",
                CurvePoint(n=p.n, value=p.value, low=p.low, high=p.high),
                p,
                held.get(p.n),
            )
            for p in one.forecast
        ),
    ]


def _row(rows: str, point: CurvePoint, later: Expected | None, held: CurvePoint | None) -> CurveRow:
    return CurveRow(
        rows=rows,
        quality=percent(point.value),
        interval=""
        if point.low is None or point.high is None
        else percent_span(point.low, point.high),
        gain="" if later is None else points(later.gain),
        gain_interval="" if later is None else points_span(later.gain_low, later.gain_high),
        against="" if held is None else points(held.value),
        against_interval=""
        if held is None or held.low is None or held.high is None
        else points_span(held.low, held.high),
    )


def _plot(run: Run, one: ContenderCurve) -> Plot | None:
    """None where no curve could be drawn."""
    if not one.band:
        return None
    role = role_of(run, one.contender)

    def point(p: CurvePoint | Expected) -> plots.Point:
        low, high = (p.value if end is None else end for end in (p.low, p.high))
        return plots.Point(
            label=one.contender,
            x=float(p.n),
            value=100 * p.value,
            low=100 * low,
            high=100 * high,
            role=role,
        )

    flat = one.against and curve_plot.FlatLine(
        label=one.against.contender,
        # As far below or above as it is on the rows that both answered.
        value=100 * (one.points[-1].value - one.against.points[-1].value),
        role=role_of(run, one.against.contender),
    )
    return both(
        lambda width: curve_plot.learning_curve(
            [point(p) for p in one.points],
            [point(p) for p in one.band],
            flat=flat,
            unit=f"{run.metric}, %",
            width=width,
        )
    )
