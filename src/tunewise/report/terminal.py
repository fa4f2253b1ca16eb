"""Draws a verdict and running work in a terminal; decides nothing.

Narrow terminals lose the interval bar first, then what each contender chose moves below the table.
All texts are plain `Text`, so brackets in a name or an answer are no markup.
"""

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.progress import (
    BarColumn,
    ProgressColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as Bars
from rich.progress import Task as Bar
from rich.table import Table
from rich.text import Text

from tunewise import wording
from tunewise.report import numbers
from tunewise.report.more_rows import label_more
from tunewise.report.sentences import (
    chose,
    headline,
    lead,
    next_commands,
    what_would_change,
)
from tunewise.report.summary import summary
from tunewise.runs.schema import Contender, Quality, Run
from tunewise.storage import shortened

_MAX_SEEDS = 3
"""Seeds of which the table shows each."""
_BAR_CELLS = 21
"""Five points of quality a cell."""
_MIN_CHOICE_CELLS = 28
"""Below this width what a contender chose stands under the table."""
_SECONDS_BETWEEN_LINES = 30.0
"""Without a terminal, running work says where it is this often."""


def render_verdict(run: Run, console: Console) -> None:
    """Prints the table, the verdict, what would change it, and the next command."""
    columns, choices_below = _columns_that_fit(run, console)
    console.print(_table(run, columns))
    for contender in run.measured:
        if contender.ceiling:
            line = f"{contender.name} is a ceiling: shown for scale, not a candidate"
            console.print(Text(f"  {line}", style="dim"))
        if choices_below and contender.fit.settings:
            said = chose(contender, longest=60)
            console.print(Text(f"  {contender.name} chose {said}", style="dim"))
    for contender in run.skipped:
        line = f"  {contender.name} did not run: {contender.skipped}"
        console.print(Text(line, style="dim"))
    console.print()
    console.print(Text(headline(run), style="bold"), Text(lead(run)), sep="\n")
    more = label_more(run)
    console.print(Text("\nWhat would change this verdict", style="bold"))
    for line in what_would_change(run):
        if line != more:
            _print_item(console, line.replace("`", ""))
    for note in run.notes:
        console.print(Text(f"Note: {note}", style="dim"))
    console.print(Text("\nNext", style="bold"))
    if more:
        _print_item(console, more)
    for command in next_commands(run):
        console.print(Text(f"  {command}", style="cyan"), soft_wrap=True)


def render_brief(run: Run, console: Console) -> None:
    """Prints the three sentences for the person who pays."""
    for sentence in summary(run).sentences:
        _print_item(console, sentence.replace("`", ""))


def _print_item(console: Console, text: str) -> None:
    item = Table.grid(padding=(0, 1))
    item.add_column()
    item.add_column(ratio=1)
    item.add_row(Text("•"), Text(text))
    console.print(item)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Column:
    """A column of the table, and how it reads one contender."""

    title: str
    cell: Callable[[Contender], str]
    left: bool = False
    widest: int | None = None


def _columns_that_fit(run: Run, console: Console) -> tuple[list[_Column], bool]:
    """The columns for this terminal, and whether the choices must stand below instead."""
    columns = _columns(run)
    for left_out in (set[str](), {"bar"}):
        kept = [column for name, column in columns.items() if name not in left_out]
        room = _room(run, kept, console)
        if room >= _MIN_CHOICE_CELLS:
            return [*kept, _Column(title="chose", cell=chose, left=True, widest=room)], False
    for left_out in (set[str](), {"bar"}, {"bar", "completion"}, {"bar", "completion", "fit"}):
        kept = [column for name, column in columns.items() if name not in left_out]
        if _room(run, kept, console) >= 0:
            return kept, True
    return [columns["name"], columns["quality"], columns["difference"]], True


def _room(run: Run, columns: Sequence[_Column], console: Console) -> int:
    """Cells that the terminal has beyond the table's width; negative where it is too narrow."""
    options = console.options.update(width=1000)
    return console.width - Measurement.get(console, options, _table(run, columns)).maximum - 1


def _columns(run: Run) -> dict[str, _Column]:
    incumbent = run.plan.incumbent or "incumbent"
    return {
        "name": _Column(title="contender", cell=lambda c: _name(run, c), left=True),
        "quality": _Column(title=run.metric, cell=_quality),
        "bar": _Column(
            title=f"0{'100':>{_BAR_CELLS - 1}}",
            cell=lambda c: interval_bar(c.quality) if c.quality else "",
            left=True,
        ),
        "difference": _Column(title=f"points to\n{incumbent}", cell=lambda c: _difference(run, c)),
        "prompt": _Column(
            title="prompt\ntokens",
            cell=lambda c: numbers.mean_tokens(c.tokens.prompt) if c.tokens else "",
        ),
        "completion": _Column(
            title="answer\ntokens",
            cell=lambda c: numbers.mean_tokens(c.tokens.completion) if c.tokens else "",
        ),
        "latency": _Column(
            title="latency\np50",
            cell=lambda c: numbers.milliseconds(c.latency.p50) if c.latency else "",
        ),
        "fit": _Column(
            title="to fit",
            cell=lambda c: "" if c.fit.seconds is None else numbers.duration(c.fit.seconds),
        ),
    }


def _table(run: Run, columns: Sequence[_Column]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(
            Text(column.title),
            justify="left" if column.left else "right",
            vertical="bottom",
            no_wrap=True,
            overflow="ellipsis",
            max_width=column.widest,
        )
    for contender in sorted(run.measured, key=lambda c: -(c.quality.value if c.quality else 0.0)):
        cells = [Text(column.cell(contender)) for column in columns]
        table.add_row(*cells, style=_style(run, contender))
    return table


def _style(run: Run, contender: Contender) -> str:
    if contender.name == run.recommended:
        return "bold"
    return "dim" if contender.ceiling else ""


def _name(run: Run, contender: Contender) -> str:
    return ("→ " if contender.name == run.recommended else "  ") + contender.name


def _quality(contender: Contender) -> str:
    quality = contender.quality
    if quality is None:
        return ""
    text = wording.percent(quality.value)
    if quality.computed:
        text += f" ({wording.percent_span(quality.low, quality.high)})"
    each = sorted(contender.by_seed.items())
    if len(each) < 2:
        return text
    shown = [wording.percent(value) for _, value in each[:_MAX_SEEDS]]
    more = f" +{len(each) - _MAX_SEEDS}" if len(each) > _MAX_SEEDS else ""
    mean = wording.percent(fmean(contender.by_seed.values()))
    return f"{text}\nseeds {' '.join(shown)}{more}\nmean {mean}"


def _difference(run: Run, contender: Contender) -> str:
    item = run.difference(contender.name, run.plan.incumbent or "")
    if item is None:
        return ""
    return f"{wording.points(item.delta)} ({wording.points_span(item.low, item.high)})"


def interval_bar(quality: Quality) -> str:
    """The interval on a line from 0 to 100: `    ╶──●─╴      `."""

    def cell(value: float) -> int:
        return round(min(max(value, 0.0), 1.0) * (_BAR_CELLS - 1))

    low, middle, high = cell(quality.low), cell(quality.value), cell(quality.high)
    cells = ["─" if low <= position <= high else " " for position in range(_BAR_CELLS)]
    cells[low], cells[high] = "╶", "╴"
    cells[middle] = "●"
    return "".join(cells)


class _TimeLeft(ProgressColumn):
    """The estimate from the mean pace so far, which steps of uneven length do not upset."""

    def render(self, task: Bar) -> Text:
        """See `ProgressColumn.render`."""
        left = _seconds_left(task.completed, task.total or 0, task.elapsed or 0.0)
        if left is None or task.finished:
            return Text("")
        return Text(f"about {_roughly(left)} left", style="cyan")


def _roughly(seconds: float) -> str:
    """A time that is not known to the second: `20 s`, `3 min`, `1 h 10 min`."""
    if seconds < 55:
        return f"{max(5, 5 * round(seconds / 5))} s"
    minutes = max(1, round(seconds / 60))
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _seconds_left(done: float, total: float, elapsed: float) -> float | None:
    return elapsed * (total - done) / done if done > 0 and elapsed > 0 else None


class RichProgress:
    """Shows running work on stderr: bars in a terminal, single lines in a log.

    Args:
        console: where to draw; stderr unless told otherwise.
        clock: seconds, monotonic.
        time_of_day: what a line of a log begins with.
    """

    def __init__(
        self,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
        time_of_day: Callable[[], str] = lambda: time.strftime("%H:%M:%S"),
    ) -> None:
        self._console = console or Console(stderr=True)
        self._clock = clock
        self._time_of_day = time_of_day
        self._bars: Bars | None = None
        self._shown: list[TaskID] = []
        self._status = ""
        self._depth = 0

    @contextmanager
    def task(self, description: str, *, total: int) -> Generator[Callable[[int], None]]:
        """See `Progress.task`. A task inside another one is shown indented below it."""
        shown = "  " * self._depth + description
        self._depth += 1
        try:
            work = self._bar(shown, total) if self._console.is_terminal else self._log(shown, total)
            with work as advance:
                yield advance
        finally:
            self._depth -= 1

    def note(self, text: str) -> None:
        """See `Progress.note`."""
        line = "  " * self._depth + shortened(text, Path.cwd())
        if not self._console.is_terminal:
            self._say(line)
            return
        console = self._bars.console if self._bars else self._console
        console.print(Text(line), soft_wrap=True)

    def status(self, text: str) -> None:
        """See `Progress.status`."""
        self._status = text
        if self._bars and self._shown:
            self._bars.update(self._shown[-1], status=text)

    @contextmanager
    def _bar(self, description: str, total: int) -> Generator[Callable[[int], None]]:
        bars, outermost = self._bars or self._new_bars(), self._bars is None
        self._bars = bars
        if outermost:
            bars.start()
        started = self._clock()
        bar = bars.add_task(description, total=total or None, status="")
        self._shown.append(bar)
        try:
            yield lambda units: bars.advance(bar, units)
            line = f"{description}: {numbers.duration(self._clock() - started)}"
            bars.console.print(Text(line, style="dim"), soft_wrap=True)
        finally:
            self._shown.remove(bar)
            bars.remove_task(bar)
            if outermost:
                bars.stop()
                self._bars = None

    def _new_bars(self) -> Bars:
        return Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            _TimeLeft(),
            TextColumn("{task.fields[status]}", style="dim", markup=False),
            console=self._console,
            transient=True,
            # stdout may carry the one JSON document of --json: leave it alone.
            redirect_stdout=False,
        )

    @contextmanager
    def _log(self, description: str, total: int) -> Generator[Callable[[int], None]]:
        started = said = self._clock()
        done = 0

        def advance(units: int) -> None:
            nonlocal done, said
            done += units
            now = self._clock()
            if now - said >= _SECONDS_BETWEEN_LINES and done < total:
                said = now
                left = _seconds_left(done, total, now - started)
                estimate = "" if left is None else f", about {_roughly(left)} left"
                doing = f" ({self._status})" if self._status else ""
                self._say(f"{description}: {done / total:.0%} done{estimate}{doing}")

        self._say(f"{description} ...")
        self._status = ""
        try:
            yield advance
        except BaseException:
            self._say(f"{description}: stopped after {self._since(started)}")
            raise
        self._say(f"{description}: done in {self._since(started)}")

    def _since(self, started: float) -> str:
        return numbers.duration(self._clock() - started)

    def _say(self, line: str) -> None:
        self._console.print(Text(f"{self._time_of_day()} {line}"), soft_wrap=True)
