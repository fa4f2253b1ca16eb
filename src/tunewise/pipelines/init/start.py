"""Writes a folder's first tunewise.toml, whole or not at all, and never over another."""

import os
from dataclasses import dataclass
from pathlib import Path

from tunewise.errors import UserError
from tunewise.metrics.needs import needs_of
from tunewise.pipelines.init.discover import FoundData, look_at_folder
from tunewise.pipelines.init.template import project_text
from tunewise.project.infer_task import Inference, infer_task
from tunewise.project.load import load_project
from tunewise.project.schema import SCHEMA_FILE, toml_schema
from tunewise.project.settings import (
    Contenders,
    Data,
    DecisionSettings,
    Model,
    Prices,
    Project,
    Task,
    TrainingSettings,
)
from tunewise.project.toml_reader import FILE_NAME
from tunewise.storage import write_json, write_text


@dataclass(frozen=True, kw_only=True, slots=True)
class Started:
    """What was found, and the project that was written."""

    file: Path
    found: FoundData
    project: Project
    unjudged: tuple[str, ...] = ()
    """`file:line` of rows whose answer the metric cannot judge."""


def start_project(folder: Path) -> Started:
    """Looks at a folder and writes its tunewise.toml.

    Raises:
        UserError: there is no such folder, it holds no examples or has a tunewise.toml already,
            or it cannot be written to. Nothing is written then.
    """
    file = folder / FILE_NAME
    if not folder.is_dir():
        what = "is a file. Name the folder that it lies in" if folder.exists() else "does not exist"
        raise UserError(f"{folder}: {what}{'' if folder.exists() else '. Name a folder'}.")
    if os.path.lexists(file):
        raise UserError(f"{file}: exists already. Edit it, or move it away: it is never replaced.")
    found = look_at_folder(folder.absolute())
    draft = folder / f".{FILE_NAME}.draft.toml"
    try:
        inference = _inferred(found)
        unjudged = _unjudged(found, inference.project.task)
        write_text(draft, project_text(found, inference, unjudged))
        project = load_project(draft)
        os.close(os.open(file, os.O_CREAT | os.O_EXCL))  # fails where another was faster
        draft.replace(file)
        write_json(folder / SCHEMA_FILE, toml_schema())
    except FileExistsError:
        raise UserError(f"{file}: was written by someone else just now. Look at it.") from None
    except OSError as error:
        raise UserError(
            f"{file}: cannot be written ({error.strerror}). Make the folder writable."
        ) from None
    finally:
        draft.unlink(missing_ok=True)
    return Started(file=file, found=found, project=project, unjudged=unjudged)


def _unjudged(found: FoundData, task: Task) -> tuple[str, ...]:
    needs = needs_of(task.metric or "exact_match")
    return tuple(
        place
        for place, row in zip(found.places, found.examples, strict=True)
        if row.target.strip() and needs(row.target)
    )


def _inferred(found: FoundData) -> Inference:
    """Kind, labels and metric of the examples."""
    documents = (found.folder,) if found.documents else None
    blank = Project(
        root=found.folder,
        task=Task(),
        data=Data(documents=documents),
        model=Model(),
        contenders=Contenders(),
        training=TrainingSettings(),
        decision=DecisionSettings(),
        prices=Prices(),
    )
    return infer_task(blank, found.examples)
