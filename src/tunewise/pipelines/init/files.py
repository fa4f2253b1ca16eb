"""Turns a folder into the files that may matter for a project, told apart by name alone.

No file is opened.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from tunewise.data.documents.read import ASSETS, DOCUMENT_ENDINGS
from tunewise.data.sources import ENDINGS
from tunewise.errors import UserError
from tunewise.project.schema import SCHEMA_FILE
from tunewise.runs.folder import RUNS

MAX_FILES = 5_000
_DEEPEST = 6
"""Folders below the project's."""
_PASSED_OVER = {RUNS, "node_modules", "__pycache__", "venv", "env", "site-packages", "__MACOSX"}
_SAVED_DATA = ("dataset_dict.json", "state.json")
"""What `save_to_disk` of Hugging Face's `datasets` leaves in a folder."""
_ABOUT = re.compile(
    r"(readme|licen[cs]e|copying|notice|changelog|changes|contributing|authors|source|todo"
    r"|code_of_conduct|security)\b.*",
    re.IGNORECASE,
)
_INSTRUCTION = re.compile(
    r"((system|classification|classifier|base)[-_ ]?)?(instructions?|prompt|task)"
    r"([-_ ]?(text|v?\d+))?",
    re.IGNORECASE,
)
_OFFICE = {
    ".xlsx": "an Excel file", ".xls": "an Excel file", ".xlsm": "an Excel file",
    ".ods": "a spreadsheet", ".numbers": "a spreadsheet", ".docx": "a Word file",
    ".doc": "a Word file", ".odt": "a text document", ".rtf": "a rich text file",
    ".pptx": "a presentation", ".zip": "an archive", ".tar": "an archive", ".7z": "an archive",
    ".tgz": "an archive", ".db": "a database", ".sqlite": "a database",
}  # fmt: skip
_TABLES = (".xlsx", ".xlsm")
"""Excel files are documents inside a folder; beside it they are more likely the examples."""
_AS_ROWS = "Export it as CSV."
_AS_PAGES = "Save it as PDF or .md."
_REMEDIES = {
    "an Excel file": _AS_ROWS, "a spreadsheet": _AS_ROWS, "a database": _AS_ROWS,
    "an archive": "Unpack it.",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Files:
    """The files of a folder by what they may be, each list in the order of the paths."""

    rows: tuple[Path, ...]
    """May hold examples; a folder where Hugging Face's `datasets` saved one."""
    texts: tuple[Path, ...]
    """.txt files: rows, an instruction or a document."""
    documents: tuple[Path, ...]
    """May be documents."""
    instructions: tuple[Path, ...]
    """May hold the instruction, by their names."""
    not_taken: tuple[tuple[Path, str], ...]
    """Others that a person might have meant, and why they are not taken."""


def list_files(folder: Path) -> Files:
    """What lies in a folder, hidden files and earlier runs passed over.

    Raises:
        UserError: there are too many files to look at.
    """
    rows: list[Path] = []
    texts: list[Path] = []
    documents: list[Path] = []
    instructions: list[Path] = []
    not_taken: list[tuple[Path, str]] = []
    for path in _walk(folder):
        ending = path.suffix.lower()
        packed = Path(path.stem).suffix.lower() if ending == ".gz" else ending
        if path.is_dir() or packed in ENDINGS:
            rows.append(path)
        elif ending not in DOCUMENT_ENDINGS or (ending in _TABLES and path.parent == folder):
            if what := _OFFICE.get(ending):
                not_taken.append((path, f"is {what}. {_REMEDIES.get(what, _AS_PAGES)}"))
            elif ending not in ASSETS:
                not_taken.append((path, "is neither a table, JSON nor a document."))
        elif _INSTRUCTION.fullmatch(path.stem) and ending in (".txt", ".md"):
            instructions.append(path)
        elif _ABOUT.fullmatch(path.stem):
            not_taken.append((path, "is about the files here, to judge by its name."))
        elif ending == ".txt":
            texts.append(path)
        else:
            documents.append(path)
    return Files(
        rows=tuple(rows),
        texts=tuple(texts),
        documents=tuple(documents),
        instructions=tuple(instructions),
        not_taken=tuple(not_taken),
    )


def _walk(folder: Path) -> list[Path]:
    """Files, and folders that are one data set, in the order of their paths."""
    found: list[Path] = []
    for place, folders, names in os.walk(folder, followlinks=False):
        here = Path(place)
        if here != folder and any(name in names for name in _SAVED_DATA):
            found.append(here)
            folders.clear()
            continue
        deep = len(here.relative_to(folder).parts) >= _DEEPEST
        folders[:] = sorted(
            name
            for name in folders
            if not deep and not name.startswith(".") and name not in _PASSED_OVER
        )
        found += [
            here / name
            for name in names
            if not name.startswith((".", "~$")) and name != SCHEMA_FILE
        ]
        if len(found) > MAX_FILES:
            raise UserError(
                f"{folder}: holds more than {MAX_FILES:,} files. Name the folder with your data, "
                "or write a tunewise.toml by hand."
            )
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())
