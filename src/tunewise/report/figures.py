"""Chooses what the page draws: the key numbers and the plots of a run, each in two widths."""

from tunewise import wording
from tunewise.decision.economics import Payback
from tunewise.report import plots
from tunewise.report.pictures import Figure, Plot, both
from tunewise.report.sentences import seeds
from tunewise.runs.schema import ContenderResult, Run


def role_of(run: Run, name: str) -> plots.Role:
    """The part a contender plays, which decides its colour and shape."""
    if name == run.plan.challenger:
        return "challenger"
    if name == run.plan.incumbent:
        return "incumbent"
    contender = run.contender(name)
    return "ceiling" if contender and contender.ceiling else "other"


def key_figures(run: Run) -> list[Figure]:
    """The gain, then what is saved, or tokens where prices are not known, latency and quality of
    what is recommended, where measured."""
    best = run.contender(run.recommended) or run.challenger or run.rival
    other = run.rival if best is run.challenger else run.challenger
    figures: list[Figure] = []
    if best is None:
        return figures
    beside = f"{other.name} " if other else ""
    if run.gain:
        span = wording.points_span(run.gain.low, run.gain.high)
        interval = f"{wording.stated_confidence(run.gain)} interval {span}"
        figures.append(
            Figure(
                value=wording.points(run.gain.delta),
                label=f"points, {run.gain.a} against {run.gain.b}",
                detail=interval if run.gain.computed else "no interval",
            )
        )
    saved = run.economics and other and run.economics.against(run.rival and run.rival.name)
    if saved and run.economics:
        figures.append(
            Figure(
                value=wording.cash(saved.per_1000_requests.value, run.economics.currency),
                label=f"saved in 1,000 requests, {run.economics.challenger} against "
                f"{saved.contender}",
                detail=_interval_of(saved, run.economics.confidence),
            )
        )
    elif best.tokens:
        theirs = wording.mean_tokens(other.tokens.total) if other and other.tokens else ""
        figures.append(
            Figure(
                value=wording.mean_tokens(best.tokens.total),
                label=f"tokens a request, {best.name}",
                detail=f"{beside}{theirs}" if theirs else "",
            )
        )
    if best.latency:
        theirs = wording.milliseconds(other.latency.p50) if other and other.latency else ""
        figures.append(
            Figure(
                value=wording.milliseconds(best.latency.p50),
                label=f"median latency, {best.name}",
                detail=f"{beside}{theirs}" if theirs else "",
            )
        )
    span = wording.percent_span(best.quality.lower, best.quality.upper)
    each = seeds(best)
    figures.append(
        Figure(
            value=wording.percent(best.quality.value),
            label=f"{run.metric} of {best.name}",
            detail=(f"95% interval {span}" if best.quality.computed else "no interval")
            + (f"; {each}" if each else ""),
        )
    )
    return figures


def _interval_of(saved: Payback, confidence: float) -> str:
    low, high = saved.per_1000_requests.low, saved.per_1000_requests.high
    if low is None or high is None:
        return "no interval"
    return f"{wording.whole_percent(confidence)} interval {wording.cash_span(low, high)}"


def forest(run: Run) -> Plot | None:
    """Differences to the incumbent, largest first; None without any comparison."""
    reference = run.plan.incumbent
    if reference is None:
        return None
    items = [item for c in run.measured if (item := run.difference(c.name, reference)) is not None]
    if not items:
        return None
    rows = [
        plots.IntervalRow(
            label=item.a,
            value=100 * item.delta,
            low=100 * item.low,
            high=100 * item.high,
            text=f"{wording.points(item.delta)} ({wording.points_span(item.low, item.high)})",
            role=role_of(run, item.a),
        )
        for item in sorted(items, key=lambda item: -item.delta)
    ]
    return both(
        lambda width: plots.forest(
            rows,
            reference=reference,
            minimum_gain=100 * run.decision.minimum_gain,
            unit="points",
            width=width,
        )
    )


def scatter(run: Run) -> Plot | None:
    """Quality against prompt tokens; None when no tokens were counted."""
    points = [
        plots.Point(
            label=c.name,
            x=c.tokens.prompt,
            value=100 * c.quality.value,
            low=100 * c.quality.lower,
            high=100 * c.quality.upper,
            role=role_of(run, c.name),
        )
        for c in run.measured
        if c.tokens
    ]
    if not points:
        return None
    return both(
        lambda width: plots.scatter(
            points, x_unit="prompt tokens", y_unit=f"{run.metric}, %", width=width
        )
    )


def latency(run: Run) -> Plot | None:
    """Latency, fastest first; None when none was measured."""
    rows = [
        plots.LatencyRow(
            label=c.name,
            p50=c.latency.p50,
            low=c.latency.p50_low,
            high=c.latency.p50_high,
            text=_latency_text(c),
            role=role_of(run, c.name),
        )
        for c in sorted(run.measured, key=lambda c: c.latency.p50 if c.latency else 0.0)
        if c.latency
    ]
    if not rows:
        return None
    return both(lambda width: plots.latency(rows, width=width))


def _latency_text(contender: ContenderResult) -> str:
    if contender.latency is None:
        return ""
    text = wording.milliseconds(contender.latency.p50)
    first = contender.latency.first_token_p50
    return text if first is None else f"{text}, first token {wording.milliseconds(first)}"
