"""The example projects that come with Tunewise, and copies of them to start from."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from tunewise.errors import UserError
from tunewise.project.constraints import suggest
from tunewise.project.toml_reader import FILE_NAME

DEMO = "support_triage"
"""The example that `tunewise demo` runs."""
LEFT_OUT = ("runs", "finished", "__pycache__")
"""What lies in a project's folder without being part of it: runs, the finished one among them."""


@dataclass(frozen=True, slots=True)
class Example:
    """A project to look at or to start from."""

    name: str
    about: str
    """The first line of its tunewise.toml."""
    rows: int
    """Lines of its examples."""
    folder: Path


def examples() -> tuple[Example, ...]:
    """Every example project, by name.

    Raises:
        UserError: the package was installed without them.
    """
    return tuple(map(_read, example_folders()))


def example_folders() -> tuple[Path, ...]:
    """The folder of every example project, by name.

    Raises:
        UserError: as `examples`.
    """
    return tuple(file.parent for file in sorted(_folder().glob(f"*/{FILE_NAME}")))


def demo_folder() -> Path:
    """The folder of the example that `tunewise demo` runs.

    Raises:
        UserError: the package was installed without it.
    """
    return _folder() / DEMO


def about(folder: Path) -> str:
    """The remark that a project's tunewise.toml begins with; empty where there is none."""
    try:
        first = (folder / FILE_NAME).read_text("utf-8").partition("\n")[0]
    except (OSError, UnicodeDecodeError):
        return ""
    return first.removeprefix("#").strip() if first.startswith("# ") else ""


def copy_example(name: str, target: Path) -> Example:
    """Copies an example into a new or empty folder.

    Returns:
        The copy.

    Raises:
        UserError: no example of that name; the folder holds something, or cannot be written.
    """
    known = {one.name: one for one in examples()}
    if name not in known:
        near = suggest(name, tuple(known))
        raise UserError(f"There is no example {name!r}. {near} `tunewise new` lists them.")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(f"{target} is there already. Name a new folder, or an empty one.")
    try:
        shutil.copytree(
            known[name].folder,
            target,
            dirs_exist_ok=True,
            ignore=shutil.ignore_patterns(*LEFT_OUT, ".*"),
        )
    except OSError as error:
        raise UserError(f"{target} cannot be written: {error.strerror or error}.") from None
    return _read(target)


def _folder() -> Path:
    """Beside the sources, or inside the installed package."""
    package = Path(__file__).parents[1]
    for folder in (package.parents[1] / "examples", package / "examples"):
        if (folder / DEMO / FILE_NAME).is_file():
            return folder
    raise UserError("The embedded example is missing. Install tunewise again.")


def _read(folder: Path) -> Example:
    rows = (folder / "examples.jsonl").read_text("utf-8")
    return Example(folder.name, about(folder), len(rows.splitlines()), folder)
