"""What commands share: their arguments, the project that they name, and how they show work.

Holds no logic; late imports as in `cli`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tunewise.progress import Progress
    from tunewise.project.settings import Project

Source = Annotated[
    Path,
    typer.Argument(metavar="PROJECT|FILE", help="A folder with tunewise.toml, or a data file."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Overrides a key, as in training.epochs=2."),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def project_of(
    source: Path,
    settings: list[str] | None,
    options: Mapping[str, tuple[str, Path | str | int | list[str] | None]] | None = None,
) -> "Project":
    """The project, with what options of the command stand for: name -> key and value."""
    from tunewise.project.load import load_project

    given = {
        option: f"{key}={_toml(value)}"
        for option, (key, value) in (options or {}).items()
        if value is not None
    }
    return load_project(source, settings or [], options=given)


def progress_bars() -> "Progress":
    """What draws running work."""
    from tunewise.report.progress_bars import RichProgress

    return RichProgress()


def print_json(value: object) -> None:
    """The one document of a command with `--json`."""
    typer.echo(json.dumps(value, indent=1, ensure_ascii=False))


def _toml(value: Path | str | int | list[str]) -> str:
    plain = value if isinstance(value, int | list) else str(value)
    return json.dumps(plain, ensure_ascii=False)
