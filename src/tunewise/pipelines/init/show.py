"""Shows what `init` found and wrote, and what to run next."""

import shlex
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.text import Text

from tunewise.pipelines.init.start import Started
from tunewise.pipelines.init.template import OLD_ENCODING
from tunewise.wording import listed, plural

_MAX_NOT_TAKEN = 5


def render_started(started: Started, folder: Path, console: Console | None = None) -> None:
    """Prints what stands in the new tunewise.toml.

    Args:
        started: what `start_project` gave.
        folder: as the person named it, for the commands to run next.
        console: where to; None: stdout.
    """
    console = console or Console()
    for name, value in _lines(started):
        console.print(Text(f"{name:11} ", style="bold") + Text(value), soft_wrap=True)
    console.print(
        Text(f"\nWritten: {started.file}. Read it once: what was guessed says so."), soft_wrap=True
    )
    where = shlex.quote(str(folder))
    console.print(Text("Next:"))
    fix = f" --fix {shlex.quote(str(folder / 'repaired'))}" if started.found.old_encoding else ""
    console.print(Text(f"  tunewise check {where}{fix}", style="cyan"), soft_wrap=True)
    console.print(Text(f"  tunewise decide {where} --dry-run", style="cyan"), soft_wrap=True)
    console.print(
        Text(f"  tunewise decide {where} --quick", style="cyan")
        + "    # a first opinion in minutes",
        soft_wrap=True,
    )
    console.print(Text(f"  tunewise decide {where}", style="cyan"), soft_wrap=True)


def _lines(started: Started) -> Iterator[tuple[str, str]]:
    found, task = started.found, started.project.task
    for part, sources in found.sources.items():
        yield part, ", ".join(sources)
    more = "more than " if found.more else ""
    guessed = " (guessed)" if found.choice else ""
    yield "rows", f"{more}{len(found.examples):,}, read as {found.shape}{guessed}"
    if found.faults:
        yield "", f"{plural(found.faults, 'row')} cannot be read; `tunewise check` names them"
    for name in found.old_encoding:
        yield "encoding", f"{name}: {OLD_ENCODING}"
    labels = f", {len(task.labels)} labels" if task.labels else ""
    yield "task", f"{task.kind}{labels}, judged by {task.metric}"
    if started.unjudged:
        yield "", f"which cannot judge {listed(started.unjudged)}; mend these rows"
    if found.instruction:
        yield "instruction", f"from {found.instruction[1]}"
    elif task.instruction:
        yield "instruction", f"guessed, please edit: {task.instruction}"
    if found.documents:
        yield "documents", f"{found.documents.count:,}: {', '.join(found.documents.places)}"
    if found.groups:
        state = "" if started.project.data.group else " (switched off; see the file)"
        yield "group", f"{found.groups[0].name}, {found.groups[0].groups:,} values{state}"
    for source, shape in found.other_examples[:_MAX_NOT_TAKEN]:
        yield "not used", f"{source}, read as {shape}"
    for file, why in found.not_taken[:_MAX_NOT_TAKEN]:
        yield "left aside", f"{file}: {why}"
    if len(found.not_taken) > _MAX_NOT_TAKEN:
        yield "", f"and {len(found.not_taken) - _MAX_NOT_TAKEN} more files"
