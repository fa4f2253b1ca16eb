"""Shows what a training came to, from the files it wrote."""

from itertools import pairwise
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tunewise import wording
from tunewise.runs.events import EVENTS
from tunewise.runs.folder import TRAINED
from tunewise.runs.trained import DevResult, read_steps, read_training

_BLOCKS = "▁▂▃▄▅▆▇█"
_CURVE_CELLS = 60


def render_trained(folder: Path, console: Console) -> None:
    """Prints the loss as a curve, dev by epoch, and where the model lies.

    Args:
        folder: of a finished training.
        console: where to.

    Raises:
        UserError: its files cannot be read.
    """
    result, steps = read_training(folder), read_steps(folder)
    dev = result.dev
    console.print()
    if steps:
        losses = [step.loss for step in steps]
        console.print(
            Text(f"loss  {curve(losses)}  {wording.loss(losses[0])} → {wording.loss(losses[-1])}")
        )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("epoch", "loss", f"{dev.metric} on dev"):
        table.add_column(title, justify="right")
    for one in dev.baselines:
        table.add_row(one.name, "", _value(one.value, dev), style="dim")
    for point in dev.points:
        best = point.epoch == dev.best_epoch
        value = f"{'→ ' if best else ''}{_value(point.value, dev)}"
        style = "bold" if best else ""
        table.add_row(str(point.epoch), wording.loss(point.loss), value, style=style)
    console.print(table)
    console.print(Text(_judged(dev)), soft_wrap=True)
    pace = sorted(step.tokens_per_second for step in steps)
    if steps:
        console.print(
            Text(
                f"{wording.plural(result.steps, 'step')}, "
                f"{wording.plural(result.tokens, 'token')} in "
                f"{wording.duration(result.seconds)}; in the middle step "
                f"{wording.count(pace[len(steps) // 2])} tokens a second."
            ),
            soft_wrap=True,
        )
    model = folder / result.model
    console.print(Text(f"The model: {model}", style="bold"), soft_wrap=True)
    console.print(Text(f"How to load it: {model / 'README.md'}"), soft_wrap=True)
    console.print(
        Text(f"Events: {folder / EVENTS}  Result: {folder / TRAINED}", style="dim"),
        soft_wrap=True,
    )


def _judged(dev: DevResult) -> str:
    """What dev tells of the epoch that is kept, beside what needs no training."""
    where = f"On {wording.plural(dev.rows, dev.unit)} of dev"
    if any(one.lead for one in dev.baselines):
        where += ", with 95% intervals"
    best = dev.best.value
    sentences: list[str] = []
    for one in dev.baselines:
        lead, name = one.lead, one.name
        ahead = best > one.value if dev.higher_is_better else best < one.value
        if not ahead:
            sentence = f"NO BETTER than {name}: there is nothing in it to use yet"
        elif lead is None:
            sentence = f"better than {name}"
        else:
            span = wording.points_span(lead.low, lead.high)
            sentence = f"{wording.points(lead.delta)} points ({span}) against {name}"
            if lead.low <= 0:
                sentence += ", which may be chance"
        sentences.append(sentence)
    return (
        f"{where}: {'; '.join(sentences)}. Dev chose the epoch: "
        "`tunewise decide` measures on test, beside what needs no training."
    )


def _value(value: float, dev: DevResult) -> str:
    """Shares of 1 as percent, perplexities as they are."""
    return wording.shown_value(value, higher_is_better=dev.higher_is_better)


def curve(values: list[float]) -> str:
    """Values as a row of blocks, each the mean of its part: `█▆▄▃▂▂▁▁`."""
    cells = min(_CURVE_CELLS, len(values))
    edges = [round(n * len(values) / cells) for n in range(cells + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(edges) if b > a]
    low, high = min(means), max(means)
    spread = high - low or 1.0
    last = len(_BLOCKS) - 1
    return "".join(_BLOCKS[round((value - low) / spread * last)] for value in means)
