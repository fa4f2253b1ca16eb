"""The folder of a run: where its files lie, who holds it, and what it may go on with.

Knows nothing of contenders or verdicts.
"""

import json
import os
import platform
import secrets
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, cast

from filelock import FileLock, Timeout

from tunewise import __version__
from tunewise.errors import UserError
from tunewise.files import append_lines, write_json, write_lines, write_text
from tunewise.fingerprints import content_hash
from tunewise.project import Project, resolved_toml
from tunewise.types import Example, Splits

RUNS = "runs"
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
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        append_lines(self.file("events.jsonl"), [{"time": stamp, "event": kind, **fields}])

    def release(self) -> None:
        """Lets another process have it."""
        self.lock.release()


def open_run(project: Project, splits: Splits, *, out: Path | None, resume: bool) -> RunFolder:
    """A new run folder, or the newest one of the same project and data.

    Args:
        project: complete; its resolved form decides what may be resumed.
        splits: their fingerprint decides, too.
        out: the folder itself; None: a new name under `runs/` in the project.
        resume: go on with the newest interrupted run, or else take the newest finished one; a
            new one when none was ever begun (it was stopped before its folder was made).

    Raises:
        UserError: only runs of other settings or data to resume, the folder is in use or taken,
            or cannot be written.
    """
    parent = out.parent if out else project.root / RUNS
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
    if not run.file("splits.json").exists():
        write_text(run.file("project.toml"), resolved_toml(project))
        write_json(run.file("environment.json"), _environment())
        write_lines(run.file("test.jsonl"), [_shown(example) for example in splits.test])
        write_json(
            run.file("splits.json"),
            {
                "run": secrets.token_hex(8),
                "seed": splits.seed,
                "fingerprint": splits.fingerprint,
                **{part: [row.id for row in rows] for part, rows in _parts(splits).items()},
                "contents": {
                    part: [content_hash(row) for row in rows]
                    for part, rows in _parts(splits).items()
                },
            },
        )
    return run


def run_token(path: Path) -> str:
    """What names a run for good, wherever its folder lies."""
    splits = cast("dict[str, Any]", json.loads((path / "splits.json").read_text("utf-8")))
    return str(splits["run"])


def _parts(splits: Splits) -> dict[str, tuple[Example, ...]]:
    return {
        "train": splits.train,
        "dev": splits.dev,
        "test": splits.test,
        "reserved": splits.reserved,
    }


def _only_begun(path: Path) -> bool:
    """Whether a folder is empty, or holds only what a run writes that was killed at its start."""
    begun = _FIRST_FILES | {f".{name}.new" for name in (*_FIRST_FILES, "splits.json")}
    return {file.name for file in path.iterdir()} <= begun


def _resumable(project: Project, splits: Splits, paths: Sequence[Path]) -> Path | None:
    """The newest interrupted run of the same settings and data, else the newest finished one."""
    wanted = _wherever_it_lies(resolved_toml(project))
    begun = [path for path in reversed(paths) if (path / "splits.json").is_file()]
    finished: Path | None = None
    for path in begun:
        known = cast("dict[str, Any]", json.loads((path / "splits.json").read_text("utf-8")))
        same_data = known.get("fingerprint") == splits.fingerprint
        settings = _wherever_it_lies((path / "project.toml").read_text("utf-8"))
        if not same_data or settings != wanted:
            continue
        if not (path / "verdict.json").exists():
            return path
        finished = finished or path
    if begun and finished is None:
        raise UserError(
            "There is no run of this project with the same settings and data to resume. "
            "Run without --resume to start a new one."
        )
    return finished


def _wherever_it_lies(toml: str) -> str:
    """A resolved project with the paths below its root made relative: its folder may have moved."""
    root = toml.partition("\n")[0].removeprefix('root = "').removesuffix('"')
    return toml.replace(f'"{root}/', '"').replace(f'"{root}"', '"."')


def _shown(example: Example) -> dict[str, Any]:
    return {"id": example.id, "input": example.input.text, "target": example.target}


def _environment() -> dict[str, object]:
    return {
        "tunewise": __version__,
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "libraries": {name: metadata.version(name) for name in _LIBRARIES},
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """A run as a list shows it."""

    id: str
    path: Path
    outcome: str | None
    """None: interrupted, or still going on."""


def list_runs(project: Path) -> list[Listed]:
    """The runs under a project folder, the newest first."""
    paths = sorted((project / RUNS).glob("*/splits.json"), reverse=True)
    return [
        Listed(id=path.parent.name, path=path.parent, outcome=_outcome(path.parent))
        for path in paths
    ]


def remove_run(path: Path) -> None:
    """Deletes a run folder.

    Raises:
        UserError: it is no run folder, or another process works in it.
    """
    if not (path / "splits.json").is_file():
        raise UserError(f"{path} is no run folder. `tunewise runs list PROJECT` shows them.")
    try:
        with FileLock(path / ".lock", blocking=False):
            shutil.rmtree(path)
    except Timeout:
        raise UserError(f"{path}: another process is working in it. End it first.") from None


def _outcome(path: Path) -> str | None:
    verdict = path / "verdict.json"
    if not verdict.is_file():
        return None
    return str(cast("dict[str, Any]", json.loads(verdict.read_text("utf-8")))["outcome"])
