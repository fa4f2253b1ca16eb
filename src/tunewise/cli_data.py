"""`tunewise data`: parses and calls, as `cli` does for the other commands."""

from pathlib import Path
from typing import Annotated

import typer

data_app = typer.Typer(help="Examples from what happened since.", no_args_is_help=True)

FAULTY = 1
"""The exit code where lines could not be read; what could be is written all the same."""


@data_app.callback()
def data() -> None:
    """Says that the one command there is stands below a name of its own."""


@data_app.command("from-logs")
def from_logs(
    logs: Annotated[
        list[Path],
        typer.Argument(metavar="LOGS", help="What `serve --log-contents` wrote; several files."),
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A new file; default: stdout.")
    ] = None,
    show_personal: Annotated[
        bool, typer.Option("--show-personal", help="Leaves secrets and personal data unmasked.")
    ] = False,
) -> None:
    """Makes examples of the answers that people rated good or corrected."""
    import json

    from tunewise.pipelines.from_logs import examples_from_logs, write_examples

    made = examples_from_logs(logs, show_personal=show_personal)
    lines = [json.dumps(row, ensure_ascii=False) for row in made.rows]
    if out is None:
        typer.echo("".join(f"{line}\n" for line in lines), nl=False)
    else:
        write_examples(out, lines)
    for line in made.lines():
        typer.echo(line, err=True)
    if made.faults:
        raise typer.Exit(FAULTY)
