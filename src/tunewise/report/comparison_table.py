"""The table of a verdict as columns of plain texts: terminal and notebook draw the same numbers."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean

from tunewise import wording
from tunewise.runs.schema import ContenderResult, Latency, Quality, Run

_MAX_SEEDS = 3
"""Seeds of which the table shows each."""
_BAR_CELLS = 21
"""Five points of quality a cell."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TableColumn:
    """A column of the table, and how it reads one contender."""

    title: str
    cell: Callable[[ContenderResult], str]
    left: bool = False
    widest: int | None = None


def ranked(run: Run) -> list[ContenderResult]:
    """The measured contenders, best first: the rows of the table."""
    return sorted(run.measured, key=lambda c: -c.quality.value)


def table_columns(run: Run) -> dict[str, TableColumn]:
    """Name -> column, in the order in which they stand."""
    incumbent = run.plan.incumbent or "incumbent"
    return {
        "name": TableColumn(title="contender", cell=lambda c: _name(run, c), left=True),
        "quality": TableColumn(title=run.metric, cell=_quality),
        "bar": TableColumn(
            title=f"0{'100':>{_BAR_CELLS - 1}}",
            cell=lambda c: interval_bar(c.quality),
            left=True,
        ),
        "difference": TableColumn(
            title=f"points to\n{incumbent}", cell=lambda c: _difference(run, c)
        ),
        "prompt": TableColumn(
            title="prompt\ntokens",
            cell=lambda c: wording.mean_tokens(c.tokens.prompt) if c.tokens else "",
        ),
        "completion": TableColumn(
            title="answer\ntokens",
            cell=lambda c: wording.mean_tokens(c.tokens.completion) if c.tokens else "",
        ),
        "latency": TableColumn(
            title="latency\np50",
            cell=lambda c: _latency(c.latency) if c.latency else "",
        ),
        "fit": TableColumn(
            title="to fit",
            cell=lambda c: "" if c.fit.seconds is None else wording.duration(c.fit.seconds),
        ),
    }


def _name(run: Run, contender: ContenderResult) -> str:
    return ("→ " if contender.name == run.recommended else "  ") + contender.name


def _quality(contender: ContenderResult) -> str:
    quality = contender.quality
    text = wording.percent(quality.value)
    if quality.computed:
        text += f" ({wording.percent_span(quality.lower, quality.upper)})"
    each = sorted(contender.by_seed.items())
    if len(each) < 2:
        return text
    shown = [wording.percent(value) for _, value in each[:_MAX_SEEDS]]
    more = f" +{len(each) - _MAX_SEEDS}" if len(each) > _MAX_SEEDS else ""
    mean = wording.percent(fmean(contender.by_seed.values()))
    return f"{text}\nseeds {' '.join(shown)}{more}\nmean {mean}"


def _latency(latency: Latency) -> str:
    text = wording.milliseconds(latency.p50)
    if latency.p50_low is None or latency.p50_high is None:
        return text
    return f"{text}\n({wording.milliseconds_span(latency.p50_low, latency.p50_high)})"


def _difference(run: Run, contender: ContenderResult) -> str:
    item = run.difference(contender.name, run.plan.incumbent or "")
    if item is None:
        return ""
    return f"{wording.points(item.delta)} ({wording.points_span(item.low, item.high)})"


def interval_bar(quality: Quality) -> str:
    """The interval on a line from 0 to 100: `    ╶──●─╴      `."""

    def cell(value: float) -> int:
        return round(min(max(value, 0.0), 1.0) * (_BAR_CELLS - 1))

    low, middle, high = cell(quality.lower), cell(quality.value), cell(quality.upper)
    cells = ["─" if low <= position <= high else " " for position in range(_BAR_CELLS)]
    cells[low], cells[high] = "╶", "╴"
    cells[middle] = "●"
    return "".join(cells)
