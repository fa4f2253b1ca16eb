"""`tunewise worker`: parses and calls, as `cli` does for the other commands."""

from pathlib import Path
from typing import Annotated

import typer


def worker(
    home: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where uploads and jobs lie; default: the data home."),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="postgresql://USER@HOST/NAME, for workers on several machines; default: SQLite.",
            envvar="TUNEWISE_DATABASE",
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="NAME", help="cpu, cuda:0, cuda:1 ...; one a worker.")
    ] = None,
    parent: Annotated[
        int | None,
        typer.Option("--end-with", hidden=True, help="Ends when the process of this id does."),
    ] = None,
) -> None:
    """Trains the models that fine-tuning jobs ask for, one after the other."""
    if parent is not None:
        from tunewise.interrupts import end_with_parent

        end_with_parent(parent)
    from tunewise.serving.jobs.service import run_worker

    run_worker(home=home, database=database, device=device)
