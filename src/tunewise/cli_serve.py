"""`tunewise keys`: parses and calls, as `cli` does for the other commands."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated

import typer

from tunewise.cli_options import AsJson, print_json

keys_app = typer.Typer(
    help="API keys of a server. Only their hashes are kept.", no_args_is_help=True
)

KeyName = Annotated[str, typer.Argument(metavar="NAME", help="What lists and logs call it.")]


class ScopeName(StrEnum):
    """`tunewise.serving.keys.Scope`, as the command line needs it."""

    CHAT = "chat"
    JOBS = "jobs"
    ADMIN = "admin"


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
