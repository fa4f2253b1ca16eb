"""Draws a verdict and running work in a terminal; decides nothing.

Narrow terminals lose the interval bar first, then what each contender chose moves below the table.
All texts are plain `Text`, so brackets in a name or an answer are no markup.
"""

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

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
from rich.table import Column, Table
from rich.text import Text

from tunewise import wording
from tunewise.report.changes import what_would_change
from tunewise.report.comparison_table import TableColumn, ranked, table_columns
from tunewise.report.dependability import dependable_lines
from tunewise.report.internalised import internalised_sentence
from tunewise.report.judged import judged_lines, judged_sentence
from tunewise.report.learning_curve import curve_lines, learner
from tunewise.report.more_rows import prospects
from tunewise.report.price_table import PriceTable
from tunewise.report.segments import segment_lines
from tunewise.report.sentences import chose, headline, lead, next_commands
from tunewise.report.summary import left_out, summary
from tunewise.runs.schema import ContenderResult, Run
from tunewise.storage import shortened

_MIN_CHOICE_CELLS = 28
"""Below this width what a contender chose stands under the table."""
_SECONDS_BETWEEN_LINES = 30.0
"""Without a terminal, running work says where it is this often."""
_PACE = 0.02
"""Part of the work that has to be done before its pace tells how much time is left."""
_WORTH_A_CLOCK = 120.0
"""Seconds left from which on the time of day is told at which it will be over."""


def render_verdict(run: Run, console: Console) -> None:
    """Prints the table, the finding, its size, what a request takes, what to do; then why."""
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
        line = f"  {contender.name} {contender.sentence}"
        console.print(Text(line, style="dim"))
    console.print()
    _print_verdict(run, console)
    sentences = filter(None, [internalised_sentence(run), judged_sentence(run).replace("`", "")])
    beside = [*segment_lines(run), *dependable_lines(run), *curve_lines(run)]
    for line in [*sentences, *beside]:
        _print_item(console, line)
    console.print(Text("\nThe rule that decided", style="bold"))
    console.print(Text(lead(run)))
    console.print(Text("\nWhat would change this verdict", style="bold"))
    for line in what_would_change(run):
        _print_item(console, line.replace("`", ""))
    for note in run.notes:
        console.print(Text(f"Note: {note}", style="dim"))
    console.print(Text("\nThe whole report", style="bold"))
    for command in next_commands(run):
        console.print(Text(f"  {command}", style="cyan"), soft_wrap=True)


def _print_verdict(run: Run, console: Console) -> None:
    first = Text(headline(run), style="bold")
    if leaked := left_out(run):
        first.append(f" {leaked}", style="not bold")
    console.print(first)
    said = summary(run)
    for sentence in (said.gain, said.request, said.cost, said.kept, said.base, said.next):
        if sentence:
            _print_item(console, sentence.replace("`", ""))
    if lines := prospects(run):
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
        titles = ["more test examples", "chance that it is settled", "chance of fine-tune"]
        if who := learner(run):
            titles.append(f"points {who.contender} gains")
        for title in titles:
            table.add_column(Text(title), justify="left" if title.startswith("more") else "right")
        for line in lines:
            cells = [line.rows, line.settled, line.fine_tune, *([line.learned] if who else [])]
            table.add_row(*map(Text, cells))
        console.print(table)


def render_brief(run: Run, console: Console) -> None:
    """Prints the first screen alone, for the person who pays."""
    for sentence in summary(run).sentences:
        _print_item(console, sentence.replace("`", ""))


def render_judged(run: Run, console: Console) -> None:
    """Prints what a judge said, and what it is worth."""
    for line in judged_lines(run):
        _print_item(console, line.replace("`", ""))


def render_prices(prices: PriceTable, console: Console | None = None) -> None:
    """Prints what requests take or would cost, and what to know of it."""
    console = console or Console()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    for place, title in enumerate(prices.titles):
        left = place == 0 or title.startswith("as of")
        table.add_column(Text(title), justify="left" if left else "right")
    for row in prices.rows:
        table.add_row(*map(Text, row))
    console.print(table)
    for note in prices.notes:
        _print_item(console, note.replace("`", ""))


def _print_item(console: Console, text: str) -> None:
    item = Table.grid(padding=(0, 1))
    item.add_column()
    item.add_column(ratio=1)
    item.add_row(Text("•"), Text(text))
    console.print(item)


def _columns_that_fit(run: Run, console: Console) -> tuple[list[TableColumn], bool]:
    """The columns for this terminal, and whether the choices must stand below instead."""
    columns = table_columns(run)
    for omitted in (set[str](), {"bar"}):
        kept = [column for name, column in columns.items() if name not in omitted]
        room = _room(run, kept, console)
        if room >= _MIN_CHOICE_CELLS:
            return [*kept, TableColumn(title="chose", cell=chose, left=True, widest=room)], False
    for omitted in (set[str](), {"bar"}, {"bar", "completion"}, {"bar", "completion", "fit"}):
        kept = [column for name, column in columns.items() if name not in omitted]
        if _room(run, kept, console) >= 0:
            return kept, True
    return [columns["name"], columns["quality"], columns["difference"]], True


def _room(run: Run, columns: Sequence[TableColumn], console: Console) -> int:
    """Cells that the terminal has beyond the table's width; negative where it is too narrow."""
    options = console.options.update(width=1000)
    return console.width - Measurement.get(console, options, _table(run, columns)).maximum - 1


def _table(run: Run, columns: Sequence[TableColumn]) -> Table:
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
    for contender in ranked(run):
        cells = [Text(column.cell(contender)) for column in columns]
        table.add_row(*cells, style=_style(run, contender))
    return table


def _style(run: Run, contender: ContenderResult) -> str:
    if contender.name == run.recommended:
        return "bold"
    return "dim" if contender.ceiling else ""


class _TimeLeft(ProgressColumn):
    """The estimate from the mean pace so far, which steps of uneven length do not upset."""

    def __init__(self, time_of_day: Callable[[float], str]) -> None:
        super().__init__(table_column=Column(no_wrap=True))
        self._time_of_day = time_of_day

    def render(self, task: Bar) -> Text:
        """See `ProgressColumn.render`."""
        done, total = task.completed, task.total or 0
        left = "" if task.finished else _left(done, total, task.elapsed or 0.0, self._time_of_day)
        return Text(left, style="cyan")


def _left(done: float, total: float, elapsed: float, time_of_day: Callable[[float], str]) -> str:
    """`about 20 s left`, `about 12 min left, until 14:15`; nothing before there is a pace."""
    if done < _PACE * total or done <= 0 or elapsed <= 0:
        return ""
    seconds = elapsed * (total - done) / done
    until = f", until {time_of_day(seconds)[:5]}" if seconds >= _WORTH_A_CLOCK else ""
    return f"about {wording.rough_duration(seconds)} left{until}"


def _time_of_day(later: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(time.time() + later))


class RichProgress:
    """Shows running work on stderr: bars in a terminal, single lines in a log.

    Args:
        console: where to draw; stderr unless told otherwise.
        clock: seconds, monotonic.
        time_of_day: what the clock shows so many seconds from now, `14:03:07`.
    """

    def __init__(
        self,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
        time_of_day: Callable[[float], str] = _time_of_day,
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
            line = f"{description}: {wording.duration(self._clock() - started)}"
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
            _TimeLeft(self._time_of_day),
            TextColumn(
                "{task.fields[status]}",
                style="dim",
                markup=False,
                table_column=Column(no_wrap=True, overflow="ellipsis"),
            ),
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
                left = _left(done, total, now - started, self._time_of_day)
                estimate = f", {left}" if left else ""
                doing = f" ({self._status})" if self._status else ""
                self._say(
                    f"{description}: {wording.whole_percent(done / total)} done{estimate}{doing}"
                )

        self._say(f"{description} ...")
        self._status = ""
        try:
            yield advance
        except BaseException:
            self._say(f"{description}: stopped after {self._since(started)}")
            raise
        self._say(f"{description}: done in {self._since(started)}")

    def _since(self, started: float) -> str:
        return wording.duration(self._clock() - started)

    def _say(self, line: str) -> None:
        self._console.print(Text(f"{self._time_of_day(0.0)} {line}"), soft_wrap=True)
