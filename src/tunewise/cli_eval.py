"""`tunewise eval`: parses and calls, as `cli` does for the other commands."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tunewise.cli_options import (
    AsJson,
    Settings,
    Source,
    print_json,
    progress_bars,
    project_of,
)

GATE_FAILED = 100
"""The exit code where a model was not let through."""


def evaluate(
    source: Source,
    models: Annotated[
        list[str],
        typer.Option(
            "--model",
            metavar="MODEL",
            help="A run (RUN or RUN:CONTENDER), the folder of a model or adapter, a model with a "
            "name (triage@3), or an endpoint.",
        ),
    ],
    baseline: Annotated[
        str | None, typer.Option(metavar="MODEL", help="The last release, named likewise.")
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(help="Quality that may be lost against it; default: decision.minimum_gain."),
    ] = None,
    floor: Annotated[
        float | None,
        typer.Option(help="Quality to be exceeded; default: decision.minimum_quality."),
    ] = None,
    junit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Writes the result as JUnit XML.")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Writes a table for a pull request.")
    ] = None,
    history: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Counts looks; default: gate-history.jsonl."),
    ] = None,
    opened: Annotated[
        bool,
        typer.Option("--open", help="Shows the numbers; the gate set judges nobody afterwards."),
    ] = False,
    as_json: AsJson = False,
    settings: Settings = None,
) -> None:
    """Lets models through the project's gate set, or not: exit code 100."""
    from tunewise.pipelines.gate_reading import GateAsked, read_for_gate

    asked = GateAsked(
        models=tuple(models),
        baseline=baseline,
        margin=margin,
        floor=floor,
        history=history,
        opened=opened,
    )
    project = project_of(source, settings)
    typer.echo(f"Reading {source} ...", err=True)
    prepared = read_for_gate(project, asked, writes=(junit, markdown))
    # Brings torch, for which nobody whose rows have a fault should wait.
    from tunewise.pipelines.gate import run_gate
    from tunewise.report.gate import gate_junit, gate_lines, gate_markdown
    from tunewise.storage import write_text

    report = run_gate(prepared, asked, progress=progress_bars())
    if junit is not None:
        write_text(junit, gate_junit(report))
    if markdown is not None:
        write_text(markdown, gate_markdown(report))
    if as_json:
        print_json({"passed": report.passed, **asdict(report)})
    else:
        typer.echo("\n".join(gate_lines(report)))
    if not report.passed:
        raise typer.Exit(GATE_FAILED)
