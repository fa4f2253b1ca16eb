"""The folder of one `tunewise train`: chosen, locked for one process, tidied at the end."""

import os
import shutil
import time
from contextlib import ExitStack
from pathlib import Path

from filelock import FileLock, Timeout

from tunewise.errors import UserError
from tunewise.project.load import resolved_toml
from tunewise.project.settings import Project
from tunewise.runs.folder import RUNS, TRAINED
from tunewise.runs.made_from import MadeFrom, changed_settings, when_begun
from tunewise.storage import write_text
from tunewise.training.distributed import Processes
from tunewise.training.reference import REFERENCE_FILE
from tunewise.training.state import CHECKPOINTS

DEV = "dev.json"
PREFIX = "train-"
_SETTINGS, _LOCK = "project.toml", ".lock"


def open_folder(
    project: Project,
    made_from: MadeFrom,
    out: Path | None,
    *,
    resume: bool,
    processes: Processes,
    stack: ExitStack,
) -> Path:
    """The folder of this training, held by this process (the first one, under torchrun).

    Args:
        project: its settings are kept in the folder, and have to be those kept there before.
        made_from: what it reads; the same holds of that.
        out: the folder; None: a new one in the project's runs.
        resume: whether a training that lies there is gone on with; without `out` the newest one.
        processes: all that take part.
        stack: gives the folder free again.

    Raises:
        UserError: it is taken, holds another training, or cannot be written to.
    """
    folder = _chosen(project, made_from, out, resume=resume, processes=processes)
    if not processes.is_first:
        processes.wait()
        return folder
    text, known = resolved_toml(project), folder / _SETTINGS
    try:
        if known.exists() and not resume:
            raise UserError(
                f"{folder}: a training lies here already. Add --resume to go on with it, or name "
                "another folder with --out."
            )
        if known.exists() and (changes := _changes(folder, text, made_from)):
            raise UserError(
                f"{folder}: the training here has other settings or rows. {_since(folder)}"
                f"{'; '.join(changes)}. Put that back to go on with it, or name another folder "
                "with --out."
            )
        folder.mkdir(parents=True, exist_ok=True)
        # Hidden files do not count: a process killed right here leaves the lock, and a half-written
        # file of settings.
        if not known.exists() and any(not f.name.startswith(".") for f in folder.iterdir()):
            raise UserError(f"{folder}: other files lie here. Name a new folder with --out.")
        lock = FileLock(folder / _LOCK)
        lock.acquire(blocking=False)
        stack.callback(lock.release)
        if not known.exists():
            made_from.write(folder)
            write_text(known, text)
    except Timeout:
        raise UserError(
            "Another process is working in this folder. Wait for it, or end it."
        ) from None
    except OSError as error:
        raise UserError(
            f"{folder}: a training cannot be kept here: {error.strerror}. Name a folder you may "
            "write to with --out."
        ) from error
    processes.wait()
    return folder


def _changes(folder: Path, toml: str, made_from: MadeFrom) -> list[str]:
    """What is not as it was when the training in a folder began."""
    rows = made_from.changes_since(folder)
    settings = changed_settings((folder / _SETTINGS).read_text("utf-8"), toml)
    return [*rows, *settings]


def _since(folder: Path) -> str:
    begun = when_begun(folder)
    return f"Since it began ({begun}): " if begun else ""


def _chosen(
    project: Project,
    made_from: MadeFrom,
    out: Path | None,
    *,
    resume: bool,
    processes: Processes,
) -> Path:
    if out is not None:
        return out
    if processes.count > 1:
        raise UserError("Under torchrun every process needs the same folder: name it with --out.")
    runs, text = project.root / RUNS, resolved_toml(project)
    if resume:
        begun = [f.parent for f in sorted(runs.glob(f"{PREFIX}*/{_SETTINGS}"), reverse=True)]
        same = [one for one in begun if not _changes(one, text, made_from)]
        if begun and not same:
            newest = begun[0]
            raise UserError(
                "There is no training of this project with the same settings and rows to resume. "
                f"{_since(newest).replace('it began', f'{newest.name} began')}"
                f"{'; '.join(_changes(newest, text, made_from))}. Run without --resume to start a "
                "new one."
            )
        unfinished = [one for one in same if not (one / TRAINED).exists()]
        if same:
            return [*unfinished, *same][0]
    return runs / f"{PREFIX}{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"


def tidy(folder: Path, *, keep_epochs: bool = False) -> None:
    """Removes what only going on would need, once the result says that nothing is left to do."""
    epochs = () if keep_epochs else folder.glob("epoch*")
    for place in (*epochs, folder / CHECKPOINTS, folder / "dev"):
        shutil.rmtree(place, ignore_errors=True)
    for name in (DEV, REFERENCE_FILE):
        (folder / name).unlink(missing_ok=True)
