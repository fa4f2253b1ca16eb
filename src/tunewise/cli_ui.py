"""`tunewise ui`: parses and calls, as `cli` does for the other commands."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from tunewise.cli_options import progress_bars


def ui(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FOLDER",
            help="Projects, or folders that hold some; default: where you are.",
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="The address listened at. Any but loopback needs a key.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8642,
    require_key: Annotated[
        bool, typer.Option("--require-key", help="Ask for a key on loopback too.")
    ] = False,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A further name by which the page is called."),
    ] = None,
) -> None:
    """Shows projects, runs and models in the browser."""
    from tunewise.serving.extra import require_serve

    require_serve()
    from tunewise.desk.router import pages_of
    from tunewise.project.examples import example_folders
    from tunewise.serving.http.limits import Limits
    from tunewise.serving.start import Serving, serve_until_stopped

    asked = Serving(
        host=host,
        port=port,
        require_key=require_key,
        names=tuple(allow_host or ()),
        limits=Limits(),
        worker=False,
        load_first=False,
    )
    raise typer.Exit(
        serve_until_stopped(
            asked,
            pages=pages_of(folders or [Path()], examples=example_folders()),
            where="Open {url}/ui in your browser. Ctrl-C ends it; runs go on.",
            say=typer.echo,
            note=partial(typer.echo, err=True),
            progress=progress_bars(),
        )
    )
