"""The folder of a run: where its files lie, who holds it, and what it may go on with."""

import calendar
import json
import os
import platform
import re
import secrets
import shutil
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, cast

from filelock import FileLock, Timeout

from tunewise.data.fingerprints import content_hash
from tunewise.errors import UserError
from tunewise.project.load import resolved_toml
from tunewise.project.settings import Project
from tunewise.runs.held_out import TEST_ROW, HeldOut
from tunewise.runs.made_from import MADE_FROM, Item, MadeFrom, changed_items, changed_settings
from tunewise.runs.records import dump
from tunewise.storage import append_lines, read_lines, write_json, write_lines, write_text
from tunewise.types import Example, Splits

RUNS = "runs"
_SITTINGS = "fit-seconds.jsonl"
_STAMP = "%Y-%m-%dT%H:%M:%SZ"
_FIRST_FILES = {".lock", "project.toml", "environment.json", "test.jsonl"}
"""What a run writes before splits.json makes it one that can be resumed."""
_LIBRARIES = ("torch", "transformers", "peft", "openvino", "openvino-genai", "numpy", "scipy")


@dataclass(frozen=True, kw_only=True)
class RunFolder:
    """One run on disk. Held by one process at a time."""

    path: Path
    project: Project
    lock: FileLock

    @property
    def id(self) -> str:
        """Its name."""
        return self.path.name

    def file(self, name: str) -> Path:
        """A file in it."""
        return self.path / name

    def event(self, kind: str, **fields: object) -> None:
        """Appends one line to events.jsonl."""
        stamp = time.strftime(_STAMP, time.gmtime())
        append_lines(self.file("events.jsonl"), [{"time": stamp, "event": kind, **fields}])

    @contextmanager
    def timed(self, contender: str) -> Generator[None]:
        """Writes down how long a fit takes in this sitting, even one that is stopped."""
        file, began = self.file(_SITTINGS), time.time()
        append_lines(file, [{"contender": contender, "began": began}])
        try:
            yield
        finally:
            seconds = round(time.time() - began, 3)
            append_lines(file, [{"contender": contender, "seconds": seconds}])

    def seconds(self) -> dict[str, float]:
        """Contender -> what its fit took in all sittings."""
        found: dict[str, float] = {}
        for line in read_lines(self.file(_SITTINGS)):
            if "seconds" in line:
                name = str(line["contender"])
                found[name] = found.get(name, 0.0) + float(line["seconds"])
        return found

    def close_sitting(self) -> None:
        """Writes down the fit in which the sitting before was killed: to the last file it wrote."""
        # Opening the lock, which is hidden, counts as writing it.
        files = [f for f in self.path.rglob("*") if f.is_file() and not f.name.startswith(".")]
        last = max(file.stat().st_mtime for file in files)
        fits = read_lines(self.file(_SITTINGS))
        if fits and "began" in fits[-1]:
            seconds = max(0.0, round(last - float(fits[-1]["began"]), 3))
            closed = {"contender": fits[-1]["contender"], "seconds": seconds}
            append_lines(self.file(_SITTINGS), [closed])

    def keep(self, made_from: MadeFrom) -> None:
        """Writes down what the run reads beside its rows, at its first sitting.

        Raises:
            UserError: it was written down before, and is not what it was.
        """
        if not self.file(MADE_FROM).exists():
            made_from.write(self.path)
        elif changes := made_from.changes_since(self.path):
            raise UserError(
                f"{self.path}: since this run began, something beside its examples changed: "
                f"{'; '.join(changes)}. Put that back to go on with it, or run without --resume "
                "to start a new one."
            )

    def close(self) -> None:
        """Lets another process have it."""
        self.lock.release()


def open_run(
    project: Project, splits: Splits, *, out: Path | None, resume: bool, folder: str = RUNS
) -> RunFolder:
    """A new run folder, or the newest one of the same project and data.

    Args:
        project: complete; its resolved form decides what may be resumed.
        splits: their fingerprint decides, too.
        out: the folder itself; None: a new name under `runs/` in the project.
        resume: go on with the newest interrupted run, or else take the newest finished one; a
            new one when none was ever begun (it was stopped before its folder was made).
        folder: where in the project new ones are made.

    Raises:
        UserError: only runs of other settings or data to resume, the folder is in use or taken,
            or cannot be written.
    """
    parent = out.parent if out else project.root / folder
    try:
        parent.mkdir(parents=True, exist_ok=True)
        path = None
        if resume:
            path = _resumable(project, splits, [out] if out else sorted(parent.glob("*")))
        if path is None:
            path = out or parent / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
            if path.exists() and not _only_begun(path):
                raise UserError(
                    f"{path}: a run lies here already. Add --resume to go on with it, or name "
                    "another folder with --out."
                )
            path.mkdir(exist_ok=True)
        lock = FileLock(path / ".lock")
        lock.acquire(blocking=False)
    except Timeout:
        raise UserError(
            "Another process is working in this run folder. Wait for it, or end it."
        ) from None
    except OSError as error:
        raise UserError(
            f"{parent}: a run folder cannot be made here: {error.strerror}. "
            "Name a folder you may write to with --out."
        ) from error
    run = RunFolder(path=path, project=project, lock=lock)
    with ExitStack() as stack:
        stack.callback(run.close)
        _begin(run, splits)
        stack.pop_all()
    return run


def _begin(run: RunFolder, splits: Splits) -> None:
    """Writes what makes a folder a run, or closes the sitting before."""
    if run.file("splits.json").exists():
        run.close_sitting()
        return
    write_text(run.file("project.toml"), resolved_toml(run.project))
    write_json(run.file("environment.json"), _environment())
    tests = [HeldOut(id=row.id, input=row.input.text, target=row.target) for row in splits.test]
    write_lines(run.file("test.jsonl"), [dump(TEST_ROW, row) for row in tests])
    write_json(
        run.file("splits.json"),
        {
            "run": secrets.token_hex(8),
            "seed": splits.seed,
            "fingerprint": splits.fingerprint,
            **{part: [row.id for row in rows] for part, rows in rows_by_part(splits).items()},
            "contents": {
                part: [content_hash(row) for row in rows]
                for part, rows in rows_by_part(splits).items()
            },
            "units": splits.units_of(splits.test),
        },
    )


def run_token(path: Path) -> str:
    """What names a run for good, wherever its folder lies."""
    splits = cast("dict[str, Any]", json.loads((path / "splits.json").read_text("utf-8")))
    return str(splits["run"])


def units_of_test(path: Path) -> dict[str, str | None] | None:
    """Example id of a test row -> the independent unit that it belongs to, None for a row on its
    own. None in runs of earlier versions, which did not write it down."""
    try:
        splits = cast("dict[str, Any]", json.loads((path / "splits.json").read_text("utf-8")))
        return dict(zip(splits["test"], splits["units"], strict=True))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def rows_by_part(splits: Splits) -> dict[str, tuple[Example, ...]]:
    """All rows of a project as splits.json names them: what test leaves out as `leaked_train`."""
    return {
        "train": splits.train,
        "dev": splits.dev,
        "test": splits.test,
        "reserved": splits.reserved,
        **{f"leaked_{where}": rows for where, rows in splits.leaked.items()},
    }


def _only_begun(path: Path) -> bool:
    """Whether a folder is empty, or holds only what a run writes that was killed at its start."""
    begun = _FIRST_FILES | {f".{name}.new" for name in (*_FIRST_FILES, "splits.json")}
    return {file.name for file in path.iterdir()} <= begun


def _resumable(project: Project, splits: Splits, paths: Sequence[Path]) -> Path | None:
    """The newest interrupted run of the same settings and data, else the newest finished one."""
    begun = [path for path in reversed(paths) if (path / "splits.json").is_file()]
    finished: Path | None = None
    for path in begun:
        if _changes(path, project, splits):
            continue
        if not (path / "verdict.json").exists():
            return path
        finished = finished or path
    if begun and finished is None:
        changes = "; ".join(_changes(begun[0], project, splits))
        raise UserError(
            "There is no run of this project with the same settings and data to resume. Since "
            f"{begun[0].name} began: {changes}. Run without --resume to start a new one."
        )
    return finished


def _changes(path: Path, project: Project, splits: Splits) -> list[str]:
    """What is not as it was when a run began, as half sentences."""
    known = cast("dict[str, Any]", json.loads((path / "splits.json").read_text("utf-8")))
    found: list[str] = []
    if known.get("fingerprint") != splits.fingerprint:
        data = project.data
        sources = data.examples or (*(data.train or ()), *(data.dev or ()), *(data.test or ()))
        name = ", ".join(dict.fromkeys(Path(source).name for source in sources))
        contents = cast("dict[str, list[str]]", known.get("contents", {}))
        before = [
            Item(*row, part)
            for part, of_part in contents.items()
            for row in zip(known[part], of_part, strict=True)
        ]
        now = [
            Item(row.id, content_hash(row), part)
            for part, rows in rows_by_part(splits).items()
            for row in rows
        ]
        found = changed_items({name: before}, {name: now})
        found = found or [f"{name}: a group, an id or another column is not as it was"]
    return [
        *found,
        *changed_settings((path / "project.toml").read_text("utf-8"), resolved_toml(project)),
    ]


def _environment() -> dict[str, object]:
    return {
        "tunewise": metadata.version("tunewise"),
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "libraries": {name: metadata.version(name) for name in _LIBRARIES},
    }


QUICK = "quick"
"""The folder of first opinions, within that of the runs."""
FINISHED = "finished"
"""The folder of the run that an example project comes with."""
State = Literal["finished", "running", "interrupted"]
TRAINED = "training.json"
"""What a finished `tunewise train` leaves."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """A run or a training as a list shows it."""

    id: str
    """Its folder within `runs/`: of a first opinion `quick/...`."""
    path: Path
    outcome: str | None
    """Of the verdict; None: there is none."""
    finding: str
    """The first sentence of the verdict's reason; empty where there is none."""
    command: Literal["decide", "train"]
    state: State
    since: str
    """When its last sitting began, local time; empty where nothing says it."""


def list_runs(project: Path) -> list[Listed]:
    """The runs and trainings under a project folder, the newest first.

    Args:
        project: the folder, its tunewise.toml, or the folder of its runs.
    """
    folder = project.parent if project.is_file() else project
    if folder.name == RUNS and not (folder / RUNS).is_dir():
        folder = folder.parent
    everything = [*(folder / RUNS).glob("*"), *(folder / RUNS).glob(f"{QUICK}/*")]
    paths = [path for path in everything if _is_run(path) or _is_training(path)]
    return [_listed(path) for path in sorted(paths, key=_age, reverse=True)]


def finished_run(example: Path) -> Listed | None:
    """The run that an example project comes with, in `finished/`; None where there is none."""
    path = example / FINISHED
    return _listed(path) if _is_run(path) and (path / "verdict.json").is_file() else None


def _listed(path: Path) -> Listed:
    return Listed(
        id=f"{QUICK}/{path.name}" if path.parent.name == QUICK else path.name,
        path=path,
        **_decided(path),
        command="decide" if _is_run(path) else "train",
        state=state_of(path),
        since=_since(path),
    )


def state_of(path: Path) -> State:
    """Whether a run or training is over, at work in some process, or neither."""
    if (path / "verdict.json").is_file() or (path / TRAINED).is_file():
        return "finished"
    try:
        if (path / ".lock").exists():
            with FileLock(path / ".lock", blocking=False):
                pass
    except Timeout:
        return "running"
    except OSError:
        pass  # a folder that cannot be written to: nobody works there
    return "interrupted"


def _is_run(path: Path) -> bool:
    return (path / "splits.json").is_file()


def _is_training(path: Path) -> bool:
    return (path / MADE_FROM).is_file() and (path / "project.toml").is_file() and not _is_run(path)


def _age(path: Path) -> tuple[str, str]:
    """By the time in its name, whatever stands before it."""
    return path.name.removeprefix("train-"), path.name


def _since(path: Path) -> str:
    """Trainings tell time as seconds, runs as UTC."""
    for line in reversed(_events(path)):
        if line.get("event") in ("start", "resumed"):
            stamp = line.get("time")
            seconds = (
                calendar.timegm(time.strptime(stamp, _STAMP)) if isinstance(stamp, str) else stamp
            )
            return time.strftime("%Y-%m-%d %H:%M", time.localtime(cast("float", seconds)))
    return ""


def _events(path: Path) -> list[dict[str, Any]]:
    """Read only: the process that is at work may be writing the last line."""
    file = path / "events.jsonl"
    lines = file.read_bytes().split(b"\n")[:-1] if file.exists() else []
    return [cast("dict[str, Any]", json.loads(line)) for line in lines if line]


def remove_run(path: Path) -> None:
    """Deletes a run folder.

    Raises:
        UserError: it is no run folder, or another process works in it.
    """
    if not _is_run(path) and not _is_training(path):
        raise UserError(f"{path} is no run folder. `tunewise runs list PROJECT` shows them.")
    try:
        with FileLock(path / ".lock", blocking=False):
            shutil.rmtree(path)
    except Timeout:
        raise UserError(f"{path}: another process is working in it. End it first.") from None


def _decided(path: Path) -> dict[str, Any]:
    """Outcome and finding of a verdict, as `Listed` has them."""
    verdict = path / "verdict.json"
    if not verdict.is_file():
        return {"outcome": None, "finding": ""}
    try:
        found = cast("dict[str, Any]", json.loads(verdict.read_text("utf-8")))
        outcome = str(found["outcome"])
    except (ValueError, KeyError, TypeError):
        return {"outcome": None, "finding": "verdict.json cannot be read."}
    first = re.split(r"(?<=\.) ", str(found.get("reason", "")), maxsplit=1)[0]
    return {"outcome": outcome, "finding": first}
