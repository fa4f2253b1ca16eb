"""Files that a browser dropped -> a new folder of their own, with safe names, or nothing at all."""

import csv
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from tunewise.data.documents.blocks import UnreadableError
from tunewise.data.documents.office import rows_of_sheets
from tunewise.errors import UserError
from tunewise.pipelines.init.start import start_project
from tunewise.storage import shortened
from tunewise.wording import listed

MAX_FILES = 50
MAX_BYTES = 300 * 2**20
"""Of all files together; larger ones are copied into a folder, which is then named."""
MAX_NAME = 100
"""Characters."""
_NAME = re.compile(r"[^\W_][\w .-]*")
_UNUSUAL = re.compile(r"[^\w .()+-]+")
_SHEETS = (".xlsx", ".xlsm")


class Dropped(NamedTuple):
    """One file as it came."""

    name: str
    """As the browser calls it."""
    content: BinaryIO
    size: int


def safe_file_name(name: str) -> str:
    """A name without folders, hidden beginnings and signs that mean something to a shell.

    Raises:
        UserError: nothing is left of it.
    """
    last = name.replace("\\", "/").rpartition("/")[2]
    kept = _UNUSUAL.sub("_", last).strip(" .")
    stem, dot, ending = kept.rpartition(".")
    kept = f"{stem[: MAX_NAME - len(ending) - 1]}{dot}{ending}" if stem else kept[:MAX_NAME]
    if not kept.strip("_ ."):
        raise UserError("A file has no name that can be kept. Rename it.")
    return kept


def project_name(given: str, files: Sequence[Dropped]) -> str:
    """What the folder of a new project is called; the first file names it where nobody does.

    Raises:
        UserError: it is no name of a folder.
    """
    name = given.strip()
    if not name:
        stem = safe_file_name(files[0].name).split(".")[0]
        name = re.sub(r"[^\w.-]+", "-", stem).strip("-_.") or "project"
    if not _NAME.fullmatch(name) or len(name) > MAX_NAME or name.endswith((".", " ")):
        raise UserError(
            f'"{name[:MAX_NAME]}" cannot be the name of a project. Use letters, digits, spaces, '
            "dots and dashes; begin with a letter or a digit."
        )
    return name


def new_project(parent: Path, name: str, files: Sequence[Dropped]) -> Path:
    """Writes the files into a new folder and begins a project of them, or leaves nothing behind.

    Args:
        parent: of the folder.
        name: of the folder, as `project_name` gives it.
        files: what goes into it.

    Returns:
        The folder.

    Raises:
        UserError: the folder is there already, there are too many files or they are too large, one
            cannot be taken, or they hold no examples.
    """
    folder, beside = parent / name, parent / f".{name}.new"
    if folder.exists() or folder.is_symlink():
        raise UserError(f"{name}: is there already. Choose another name; nothing is replaced.")
    if len(files) > MAX_FILES:
        raise UserError(f"{len(files)} files: no more than {MAX_FILES} are taken at once.")
    if sum(file.size for file in files) > MAX_BYTES:
        raise UserError(
            f"The files are larger than {MAX_BYTES // 2**20} MiB together. Copy them into a "
            "folder, and name that instead."
        )
    try:
        beside.mkdir()  # fails where another browser makes the same
    except FileExistsError:
        raise UserError(f"{name}: is being made just now, or was left half made.") from None
    except OSError as error:
        raise UserError(f"{parent}: cannot be written to ({error.strerror}).") from None
    try:
        _write(beside, files)
        start_project(beside)
        beside.rename(folder)
    except UserError as error:
        raise UserError(shortened(str(error), beside).replace(str(beside), name)) from None
    except OSError as error:
        raise UserError(f"{name}: cannot be written ({error.strerror}).") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return folder


def _write(folder: Path, files: Sequence[Dropped]) -> None:
    names = [safe_file_name(file.name) for file in files]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"Two files are called {twice[0]}. Rename one of them.")
    for name, file in zip(names, files, strict=True):
        path = folder / name
        with path.open("xb") as out:
            shutil.copyfileobj(file.content, out, 2**20)
        if path.suffix.lower() in _SHEETS:
            _as_csv(path)


def _as_csv(book: Path) -> None:
    """Puts a CSV file for each sheet in the place of an Excel file."""
    try:
        sheets = rows_of_sheets(book)
    except UnreadableError as error:
        raise UserError(f"{book.name}: {error}") from None
    if sheets.not_computed:
        raise UserError(
            f"{book.name}: formulas have no value yet ({listed(list(sheets.not_computed[:3]))}). "
            "Open and save it in Excel."
        )
    filled = {title: rows for title, rows in sheets.rows.items() if any(map(any, rows))}
    for title, rows in filled.items():
        name = book.stem if len(filled) == 1 else f"{book.stem}-{safe_file_name(title)}"
        with (book.parent / f"{name}.csv").open("x", encoding="utf-8", newline="") as out:
            csv.writer(out).writerows(row for row in rows if any(row))
    book.unlink()
