"""`tunewise serve` and `tunewise keys`: parse and call, as `cli` does for the other commands."""

from datetime import timedelta
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from tunewise.cli_options import AsJson, print_json, progress_bars

keys_app = typer.Typer(
    help="API keys of a server. Only their hashes are kept.", no_args_is_help=True
)

KeyName = Annotated[str, typer.Argument(metavar="NAME", help="What lists and logs call it.")]


class ScopeName(StrEnum):
    """`tunewise.serving.keys.Scope`, as the command line needs it."""

    CHAT = "chat"
    JOBS = "jobs"
    ADMIN = "admin"


class EngineChoice(StrEnum):
    """`tunewise.serving.engine.capabilities.EngineName`, as the command line needs it."""

    OPENVINO = "openvino"
    LLAMACPP = "llamacpp"
    TRANSFORMERS = "transformers"


def serve(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PROJECT|MODEL",
            help="What is served; default: the base model and all registered models.",
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
        typer.Option(metavar="NAME", help="A further name by which the server is called."),
    ] = None,
    engine: Annotated[
        EngineChoice,
        typer.Option(help="What runs the models; docs/serving.md says what each can do."),
    ] = EngineChoice.OPENVINO,
    running: Annotated[int, typer.Option(min=1, help="Requests that are worked on at once.")] = 32,
    queue: Annotated[
        int, typer.Option(min=0, help="Requests that wait beside them; more get a 429.")
    ] = 64,
    rate: Annotated[
        str | None, typer.Option(help="Requests of one key, as 60/minute; default: any number.")
    ] = None,
    log_contents: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keeps requests and answers; default: nowhere."),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="postgresql://USER@HOST/NAME, for jobs of several machines; default: SQLite.",
            envvar="TUNEWISE_DATABASE",
        ),
    ] = None,
    worker: Annotated[
        bool, typer.Option(help="Train what fine-tuning jobs ask for, beside the server.")
    ] = True,
    backend: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="http://HOST:PORT of a vllm server that runs the language models; its key is in "
            "TUNEWISE_BACKEND_KEY. Default: this machine.",
        ),
    ] = None,
    backend_adapters: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Where that server finds the registry's folder of models. Default: the same path.",
        ),
    ] = None,
) -> None:
    """Serves models through the API that OpenAI's client speaks."""
    from tunewise.serving.extra import require_serve

    require_serve()
    from tunewise.desk.router import pages_of
    from tunewise.project.examples import example_folders
    from tunewise.serving.http.limits import Limits
    from tunewise.serving.start import Serving, serve_until_stopped

    asked = Serving(
        sources=tuple(sources or ()),
        host=host,
        port=port,
        require_key=require_key,
        names=tuple(allow_host or ()),
        limits=Limits(running=running, queue=queue, rate=rate),
        log_contents=log_contents,
        engine=engine.value,
        database=database,
        worker=worker,
        backend=backend,
        backend_adapters=backend_adapters,
    )
    raise typer.Exit(
        serve_until_stopped(
            asked,
            pages=pages_of([Path()], examples=example_folders()),
            where="Serving at {url}/v1; /ready says when models are loaded. Pages: {url}/ui\n"
            "Models: {models}",
            say=typer.echo,
            note=partial(typer.echo, err=True),
            progress=progress_bars(),
        )
    )


@keys_app.command("list")
def keys_list(as_json: AsJson = False) -> None:
    """Lists the keys; their secrets are not kept."""
    from tunewise.serving.keys import KeyFile, keys_file

    keys = KeyFile(keys_file()).keys()
    if as_json:
        print_json(
            [
                {
                    "name": key.name,
                    "scopes": list(key.scopes),
                    "created": key.created.isoformat(),
                    "rotated": None if key.rotated is None else key.rotated.isoformat(),
                }
                for key in keys
            ]
        )
        return
    for key in keys:
        since = f"rotated {key.rotated:%Y-%m-%d}" if key.rotated else f"made {key.created:%Y-%m-%d}"
        typer.echo(f"{key.name}  {', '.join(key.scopes)}  {since}")
    if not keys:
        typer.echo("There is no key yet: `tunewise keys new NAME` makes one.")


@keys_app.command("new")
def keys_new(
    name: KeyName,
    scope: Annotated[
        list[ScopeName] | None,
        typer.Option(help="What it may do; may be given several times. Default: chat."),
    ] = None,
) -> None:
    """Makes a key and prints its secret, once."""
    from tunewise.serving.keys import KeyFile, keys_file

    made = KeyFile(keys_file()).new(name, [one.value for one in scope or [ScopeName.CHAT]])
    typer.echo(f"{name} may do: {', '.join(made.key.scopes)}. The secret is shown once:", err=True)
    typer.echo(made.secret)


@keys_app.command("rotate")
def keys_rotate(
    name: KeyName,
    keep_old: Annotated[
        float,
        typer.Option(metavar="HOURS", min=0, max=8760, help="How long the old secret still works."),
    ] = 0.0,
) -> None:
    """Gives a key a new secret and prints it, once."""
    from tunewise.serving.keys import KeyFile, keys_file

    made = KeyFile(keys_file()).rotate(name, keep_old=timedelta(hours=keep_old))
    old = f"works for {keep_old:g} more hours" if keep_old else "works no more"
    typer.echo(f"The old secret of {name} {old}. The new one is shown once:", err=True)
    typer.echo(made.secret)


@keys_app.command("rm")
def keys_rm(name: KeyName) -> None:
    """Forgets a key: its secret works no more, in servers that run too."""
    from tunewise.serving.keys import KeyFile, keys_file

    KeyFile(keys_file()).remove(name)
    typer.echo(f"Removed {name}.")
