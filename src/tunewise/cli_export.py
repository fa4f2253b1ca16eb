"""`tunewise export`: parses and calls, as `cli` does for the other commands."""

from pathlib import Path
from typing import Annotated

import typer

from tunewise.cli_options import AsJson, print_json, progress_bars


def export(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A run (RUN or RUN:CONTENDER), a training, the folder of an adapter, or a model "
            "with a name (triage@3, triage@production).",
        ),
    ],
    to: Annotated[
        str, typer.Option(metavar="FORM", help="adapter, merged, gguf, ollama or prompt.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The folder; default: exports/NAME-FORM."),
    ] = None,
    precision: Annotated[str, typer.Option(help="Of GGUF files: q8_0 or f16.")] = "q8_0",
    base: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The base of an adapter's folder, if it has moved."),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(help="Quality that may be lost; default: decision.retention_margin."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Writes a model for other programs, and compares its answers with what it was."""
    # Brings torch: everything that is exported is asked.
    from tunewise.pipelines.export import DiffersError, run_export
    from tunewise.report.exported import parity_lines
    from tunewise.runs.exported import parity_document

    try:
        exported = run_export(
            model,
            to,
            progress=progress_bars(),
            out=out,
            precision=precision,
            base=base,
            margin=margin,
        )
    except DiffersError as error:
        if as_json:
            print_json({"passed": False, "folder": None, **parity_document(error.parity)})
        else:
            typer.echo("\n".join(parity_lines(error.parity)))
        raise
    if as_json:
        folder = str(exported.folder)
        print_json({"passed": True, "folder": folder, **parity_document(exported.parity)})
    else:
        typer.echo("\n".join(parity_lines(exported.parity)))
        typer.echo(f"Export: {exported.folder}")
