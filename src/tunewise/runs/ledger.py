"""Counts how often test rows were used, in a ledger beside the runs.

A row is known by a hash, whatever its spelling: the ledger keeps no text of it.
"""

import json
import os
from collections import Counter
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple, cast

from filelock import FileLock

from tunewise.data.fingerprints import item_hash
from tunewise.errors import UserError
from tunewise.project.settings import Project
from tunewise.runs.folder import RUNS, RunFolder, run_token
from tunewise.storage import append_lines, read_lines
from tunewise.types import Example

LEDGER = "test-uses.jsonl"


class NotedRun(NamedTuple):
    """A run in the ledger."""

    token: str
    """What names it for good."""
    path: Path
    """Where its folder lay."""


class Uses(NamedTuple):
    """What became of test rows before a run first opened them."""

    look: int
    """How often the most used of them had been opened, this run included."""
    earlier: tuple[int, ...]
    """For each run that had opened any of them, oldest first: how many of them it had opened."""


NONE = Uses(look=1, earlier=())
"""Of rows that are not test rows: a first opinion is judged on dev."""


def note_use(run: RunFolder, test: Sequence[Example]) -> Uses:
    """Writes down that this run opens these test rows.

    Returns:
        Their uses as of when this run first opened them: one that resumes keeps its look.

    Raises:
        UserError: the ledger is damaged or cannot be written.
    """
    file = run.project.root / RUNS / LEDGER
    rows = [item_hash(example) for example in test]
    token = run_token(run.path)
    try:
        file.parent.mkdir(exist_ok=True)
        with FileLock(file.with_name(f".{LEDGER}.lock")):
            records = _records(file, locked=True)
            before = list(takewhile(lambda record: record["run"] != token, records))
            if len(before) == len(records):
                path = os.path.relpath(run.path.resolve(), run.project.root.resolve())
                append_lines(file, [{"run": token, "path": path, "rows": rows}])
    except OSError as error:
        raise _unwritable(file, error.strerror) from None
    return _uses_of(rows, before)


def next_use(project: Project, test: Sequence[Example], run: RunFolder | None = None) -> int:
    """The look that `note_use` would return; writes nothing.

    Args:
        project: whose ledger is read.
        test: the rows.
        run: the run that would open them; None: a new one.

    Raises:
        UserError: the ledger is damaged.
    """
    own = run_token(run.path) if run else None
    records = _records(project.root / RUNS / LEDGER)
    before = list(takewhile(lambda record: record["run"] != own, records))
    return _uses_of([item_hash(example) for example in test], before).look


def check_ledger(project: Project) -> None:
    """Makes sure, before a run costs anything, that its use of test rows can be written down.

    Raises:
        UserError: the ledger is damaged, or cannot be written.
    """
    file = project.root / RUNS / LEDGER
    _records(file)
    nearest = next(path for path in (file, file.parent, project.root) if path.exists())
    if not os.access(nearest, os.W_OK) or (nearest == file.parent and not nearest.is_dir()):
        raise _unwritable(file, f"{nearest} is read-only or no folder")


def noted_runs(project: Project) -> list[NotedRun]:
    """The runs that opened test rows, in that order; some may be deleted."""
    records = _records(project.root / RUNS / LEDGER)
    return [
        NotedRun(token=record["run"], path=project.root / str(record.get("path", "")))
        for record in records
    ]


def _uses_of(rows: Sequence[str], before: Sequence[dict[str, Any]]) -> Uses:
    # A run that holds a row twice has used it once.
    opened = [set(cast("list[str]", record["rows"])) for record in before]
    uses = Counter(row for some in opened for row in some)
    seen = (sum(row in some for row in rows) for some in opened)
    return Uses(
        look=1 + max((uses[row] for row in rows), default=0),
        earlier=tuple(n for n in seen if n),
    )


def _records(file: Path, *, locked: bool = False) -> list[dict[str, Any]]:
    """The uses so far, oldest first. Only who holds the lock cuts off a half-written last line."""
    try:
        if locked:
            records = read_lines(file)
        else:
            whole = file.read_bytes().split(b"\n")[:-1] if file.exists() else []
            records = [cast("dict[str, Any]", json.loads(line)) for line in whole if line]
        if all(isinstance(r["run"], str) and isinstance(r["rows"], list) for r in records):
            return records
    except (ValueError, KeyError, TypeError):
        pass
    raise UserError(
        f"{file}: is damaged, and uses of test rows are counted there. Restore it from a copy; "
        "or delete it, and every test row counts as never used."
    )


def _unwritable(file: Path, why: str | None) -> UserError:
    return UserError(
        f"{file}: cannot be written ({why}), and uses of test rows are counted there. Make it "
        "writable, or copy the project to where you may write."
    )
