"""Draws a verdict in a terminal; decides nothing.

Narrow terminals lose the interval bar first, then what each contender chose moves below the table.
All texts are plain `Text`, so brackets in a name or an answer are no markup.
"""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

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

_MIN_CHOICE_CELLS = 28
"""Below this width what a contender chose stands under the table."""


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
