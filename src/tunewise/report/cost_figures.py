"""Chooses what the page draws of money: total cost over requests, and what a saving hangs on."""

from tunewise.decision.economics import Economics, Swing
from tunewise.report import cost_plots
from tunewise.report.costs import break_even_span
from tunewise.report.figures import role_of
from tunewise.report.pictures import Plot, both
from tunewise.runs.schema import Run
from tunewise.statistics.amounts import BreakEven
from tunewise.wording import cash, rough, setting, stated_share, whole_percent


def total_cost(run: Run) -> Plot | None:
    """What all requests so far have cost, the training included; None where that is not known."""
    found, mine, other = run.economics, run.challenger, run.rival
    if found is None or mine is None or other is None or mine.cost is None or other.cost is None:
        return None
    one = found.against(other.name)
    if one is None or one.training is None or one.break_even_requests is None:
        return None
    again = 0.0 if found.training is None else found.training.compute
    every = None if found.training is None else found.training.every_months
    lines = [
        cost_plots.CostLine(
            label=c.name,
            first=one.training if c is mine else 0.0,
            each=c.cost.per_1000_requests / 1000.0,
            low=(c.cost.per_1000_requests if c.cost.per_1000_low is None else c.cost.per_1000_low)
            / 1000.0,
            high=(
                c.cost.per_1000_requests if c.cost.per_1000_high is None else c.cost.per_1000_high
            )
            / 1000.0,
            again=again if c is mine else 0.0,
            every=every * found.monthly_requests
            if c is mine and every and found.monthly_requests
            else None,
            role=role_of(run, c.name),
        )
        for c in (mine, other)
        if c.cost is not None
    ]
    even = one.break_even_requests
    year = found.monthly_requests * found.horizon_months if found.monthly_requests else None
    return both(
        lambda width: cost_plots.total_cost(
            lines,
            even=even,
            said=break_even_span(even),
            until=_until(even, year),
            currency=found.currency,
            width=width,
        )
    )


def _until(even: BreakEven, year: int | None) -> float:
    """Requests that the plot shows: to well behind break-even, or a year of them."""
    if even.high is not None and even.high > 0:
        return 1.7 * even.high
    if even.value:
        return 3.0 * even.value
    return float(year or 1_000_000)


def tornado(run: Run) -> Plot | None:
    """What the saving hangs on; None where it is not known."""
    found, other = run.economics, run.rival
    one = None if found is None or other is None else found.against(other.name)
    if found is None or one is None or one.in_horizon is None or not found.tornado:
        return None
    base = one.in_horizon.value
    rows = [
        cost_plots.SwingRow(
            label=_PREMISES[swing.premise],
            less=swing.saves_less,
            more=swing.saves_more,
            said=_premise(swing, found),
        )
        for swing in found.tornado
        if swing.saves_less != swing.saves_more
    ]
    title = f"Saved in {found.horizon_months} months, {found.currency}"
    return both(lambda width: cost_plots.tornado(rows, base=base, title=title, width=width))


_PREMISES = {
    "requests a month": "requests a month",
    "utilisation": "how busy machines are",
    "retraining": "months to the next training",
    "labelling": "labels",
    "sampled requests": "which requests were sampled",
}


def _premise(swing: Swing, found: Economics) -> str:
    """The two settings: `50,000 or 200,000`."""
    match swing.premise:
        case "sampled requests":
            return f"{whole_percent(found.confidence)} interval"
        case "utilisation":
            return f"{stated_share(swing.less)} or {stated_share(swing.more)}"
        case "retraining":
            more = "never" if not swing.more else setting(swing.more)
            return f"{setting(swing.less)} or {more}"
        case "labelling":
            return f"{cash(swing.less)} or {cash(swing.more, found.currency)}"
        case _:
            return f"{rough(swing.less)} or {rough(swing.more)}"
