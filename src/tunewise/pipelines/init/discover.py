"""Looks at a folder of files: which hold the examples, the documents and the instruction.

It writes nothing.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tunewise.data.documents.read import ASSETS, read_documents
from tunewise.data.formats.text_stream import is_windows_1252
from tunewise.data.read import stream_examples
from tunewise.data.read_log import Reading
from tunewise.data.sources import find_parts
from tunewise.errors import UserError
from tunewise.pipelines.init.columns import ColumnChoice, Grouping, group_columns
from tunewise.pipelines.init.files import Files, list_files
from tunewise.pipelines.init.tables import DataTable, look_into, without_copies
from tunewise.project.settings import Data
from tunewise.types import Example

MAX_EXAMPLES = 50_000
"""Examples from which kind and labels are judged."""
_MAX_DOCUMENTS = 300
"""Documents that are opened to see whether they can be read."""
_MAX_LISTED = 12
_MAX_INSTRUCTION = 20_000
_PARTS = ("train", "dev", "test")


@dataclass(frozen=True, kw_only=True, slots=True)
class Documents:
    """What can be retrieved from."""

    places: tuple[str, ...]
    """Files, folders and patterns, from the project's folder."""
    count: int
    others: tuple[str, ...]
    """Folders with the same documents once more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundData:
    """Everything that a first tunewise.toml says."""

    folder: Path
    sources: Mapping[str, tuple[str, ...]]
    """`examples`, or `train`, `test` and perhaps `dev` -> files and folders, from the folder."""
    shape: str
    """How the rows are read."""
    choice: ColumnChoice | None
    """The columns that were guessed."""
    groups: tuple[Grouping, ...]
    """Columns that may say which rows belong together, the likeliest first."""
    examples: tuple[Example, ...]
    """At most the first 50,000 that can be read."""
    places: tuple[str, ...]
    """`file:line` of each of them, from the folder."""
    more: bool
    """Whether there are more."""
    faults: int
    """Rows that cannot be read."""
    old_encoding: tuple[str, ...]
    """Files in Windows-1252, which have to be repaired before anything else."""
    other_examples: tuple[tuple[str, str], ...]
    """(source, how its rows are read) of what else might be the examples."""
    documents: Documents | None
    instruction: tuple[str, str] | None
    """(its text, the file it is from)."""
    not_taken: tuple[tuple[str, str], ...]
    """(file, why it is not taken)."""

    @property
    def own_split(self) -> bool:
        """Whether train and test are the person's own."""
        return "test" in self.sources or self.sources.get("examples", ("",))[0].endswith("/")


def look_at_folder(folder: Path) -> FoundData:
    """What lies in a folder.

    Raises:
        UserError: it holds no examples; each file that was looked at is named with the reason.
    """
    files = list_files(folder)
    tables, not_taken = _tables(files, folder)
    not_taken += files.not_taken
    texts = [path for path in files.texts if path not in {table.path for table in tables}]
    instruction, spare = _instruction(files.instructions, folder)
    documents, unreadable = _documents(sorted([*files.documents, *texts, *spare]), folder)
    not_taken += unreadable
    if not tables:
        raise UserError(_nothing(folder, not_taken, documents))
    chosen, others, copies = _chosen(tables)
    not_taken += [(copy, f"repeats rows of {_inside(of, folder)}.") for copy, of in copies]
    sources = _sources(chosen, folder)
    first = chosen[0]
    columns = (first.choice.input.name, first.choice.output.name) if first.choice else (None, None)
    data = Data(input=columns[0], output=columns[1])
    paths = [file for table in chosen for file in _files_of(table)]
    old_encoding = [path for path in paths if is_windows_1252(path)]
    reading = Reading(old_encoding)
    examples = list(islice(stream_examples(paths, data, reading), MAX_EXAMPLES + 1))
    kept = tuple(placed.example for placed in examples[:MAX_EXAMPLES])
    rows = [example.metadata for example in kept[:2_000]]
    return FoundData(
        folder=folder,
        sources=sources,
        shape=first.shape,
        choice=first.choice,
        groups=tuple(group_columns(rows, [name for name in columns if name])),
        examples=kept,
        places=tuple(
            f"{_inside(placed.file, folder)}:{placed.line}" for placed in examples[:MAX_EXAMPLES]
        ),
        more=len(examples) > MAX_EXAMPLES,
        faults=reading.fault_count,
        old_encoding=tuple(_inside(path, folder) for path in old_encoding),
        other_examples=tuple((_inside(table.path, folder), table.shape) for table in others),
        documents=documents,
        instruction=instruction,
        not_taken=tuple((_inside(path, folder), why) for path, why in sorted(not_taken)),
    )


def _tables(files: Files, folder: Path) -> tuple[list[DataTable], list[tuple[Path, str]]]:
    tables: list[DataTable] = []
    not_taken: list[tuple[Path, str]] = []
    for path in files.rows:
        found = look_into(path, folder)
        if isinstance(found, DataTable):
            tables.append(found)
        else:
            not_taken.append((path, found))
    for path in files.texts:
        found = look_into(path, folder)
        # Prose with commas looks like a table with faults.
        if isinstance(found, DataTable) and not found.faulty:
            tables.append(found)
    return tables, not_taken


def _chosen(
    tables: Sequence[DataTable],
) -> tuple[list[DataTable], list[DataTable], list[tuple[Path, Path]]]:
    """The tables to use, all of one shape; the others; and copies that are left out.

    Rows that say themselves what they are win over guessed ones, a split over none, then the
    most rows win.
    """
    kept, copies = without_copies(tables)
    alike: dict[object, list[DataTable]] = {}
    for table in kept:
        alike.setdefault((table.shape, table.choice and frozenset(table.columns)), []).append(table)

    def weight(group: list[DataTable]) -> tuple[bool, bool, int, int]:
        parts = {table.part for table in group}
        size = sum(file.stat().st_size for table in group for file in _files_of(table))
        return (
            all(table.choice is None for table in group),
            {"train", "test"} <= parts or any(table.split for table in group),
            sum(table.rows for table in group),
            size,
        )

    best = max(alike.values(), key=weight)
    whole = next((table for table in best if table.split), None)
    used = [whole] if whole else best
    if {"train", "test"} <= {table.part for table in used}:
        used = [table for table in used if table.part]
    return used, [table for table in kept if table not in used], copies


def _sources(chosen: Sequence[DataTable], folder: Path) -> dict[str, tuple[str, ...]]:
    parts = {table.part for table in chosen}
    if {"train", "test"} <= parts and not chosen[0].split:
        return {
            part: _named([table for table in chosen if table.part == part], folder)
            for part in _PARTS
            if part in parts
        }
    return {"examples": _named(chosen, folder)}


def _named(tables: Sequence[DataTable], folder: Path) -> tuple[str, ...]:
    """Their paths from the folder, or a pattern where they are many."""
    paths = [table.path for table in tables]
    if len(paths) > _MAX_LISTED and (pattern := _pattern(paths, folder)):
        return (pattern,)
    return tuple(_inside(path, folder) for path in paths)


def _pattern(paths: Sequence[Path], folder: Path) -> str | None:
    """A pattern that matches these files and no other."""
    parents, endings = {path.parent for path in paths}, {path.suffix for path in paths}
    if len(parents) > 1 or len(endings) > 1 or not (ending := endings.pop()):
        return None
    parent = parents.pop()
    if sorted(parent.glob(f"*{ending}")) != sorted(paths):
        return None
    return (parent / f"*{ending}").relative_to(folder).as_posix()


def _files_of(table: DataTable) -> list[Path]:
    parts = find_parts(Data(examples=(table.path,)))
    return [file for part in parts.values() for file in part.files]


def _instruction(paths: Sequence[Path], folder: Path) -> tuple[tuple[str, str] | None, list[Path]]:
    """The text and name of the file nearest to the top; and files that are too long for one."""
    spare: list[Path] = []
    for path in sorted(paths, key=lambda path: (len(path.parts), path.name)):
        try:
            text = path.read_text("utf-8-sig").replace("\r\n", "\n").strip()
        except (OSError, UnicodeDecodeError):
            continue
        if 0 < len(text) <= _MAX_INSTRUCTION:
            return (text, _inside(path, folder)), spare
        spare.append(path)
    return None, spare


def _documents(
    paths: Sequence[Path], folder: Path
) -> tuple[Documents | None, list[tuple[Path, str]]]:
    """The documents that can be read, named as shortly as possible; and the others with why."""
    unreadable: list[tuple[Path, str]] = []
    for path in paths[:_MAX_DOCUMENTS]:
        try:
            read_documents(path)
        except UserError as error:
            unreadable.append((path, str(error).removeprefix(f"{path}: ")))
    bad = {path for path, _ in unreadable}
    good = [path for path in paths if path not in bad]
    places: list[str] = []
    others: list[str] = []
    seen: set[str] = set()
    count = 0
    for top in dict.fromkeys(_top(path, folder) for path in good):
        inside = [path for path in good if _top(path, folder) == top]
        names = {path.relative_to(top).as_posix() if top.is_dir() else path.name for path in inside}
        if top.is_dir() and len(names & seen) > len(names) / 2:
            others.append(f"{_inside(top, folder)}")
            continue
        seen |= names
        count += len(inside)
        places += _places(top, inside, folder)
    if not count:
        return None, unreadable
    return Documents(places=tuple(places), count=count, others=tuple(others)), unreadable


def _top(path: Path, folder: Path) -> Path:
    """The folder right below the project's that a file lies in, or the file itself."""
    return folder / path.relative_to(folder).parts[0]


def _places(top: Path, inside: Sequence[Path], folder: Path) -> list[str]:
    if not top.is_dir():
        return [_inside(top, folder)]
    if _visible(top) == set(inside):
        return [_inside(top, folder)]
    if len(inside) > _MAX_LISTED and (pattern := _pattern(inside, folder)):
        return [pattern]
    return [_inside(path, folder) for path in inside]


def _visible(folder: Path) -> set[Path]:
    """What reading the folder as documents would look at."""
    found: set[Path] = set()
    for place, folders, names in os.walk(folder):
        linked = [name for name in folders if Path(place, name).is_symlink()]
        folders[:] = [name for name in folders if not name.startswith(".")]
        found |= {Path(place, name) for name in (*names, *linked) if not name.startswith(".")}
    return {path for path in found if path.suffix.lower() not in ASSETS}


def _inside(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() + ("/" if path.is_dir() else "")


def _nothing(
    folder: Path, not_taken: Sequence[tuple[Path, str]], documents: Documents | None
) -> str:
    """Why there is nothing to begin with."""
    found = f" beside {documents.count} documents" if documents else ""
    first = (
        f"{folder}: holds no examples{found}. Put a table there (CSV, JSONL, JSON or Parquet) "
        "with one input and its right answer a row."
    )
    looked = [f"{path}: {why}" for path, why in sorted(not_taken)]
    more = [f"... and {len(looked) - 20} more files."] if len(looked) > 20 else []
    return "\n".join([first, *looked[:20], *more])
