"""What a notebook or a program calls: the jobs of the command line, with typed results.

`import tunewise` hands these out one by one; the jobs bring torch when they are called.
"""

import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from tunewise.data.checks.result import Checked
from tunewise.data.prepare import prepare_for_training
from tunewise.pipelines.check import run_check
from tunewise.pipelines.reading import read_for_decide
from tunewise.progress import Progress
from tunewise.project import load
from tunewise.project.settings import Project
from tunewise.report.notebook import FinishedRun
from tunewise.report.progress_bars import RichProgress
from tunewise.runs import read
from tunewise.runs.asked import asked_rows
from tunewise.runs.trained import read_training


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """What a training came to."""

    folder: Path
    """With training.json and events.jsonl."""
    model: Path
    """The adapter, or the whole model, and its README."""
    epoch: int
    """The best on dev: the one that is kept."""
    metric: str
    dev: float
    """The metric of that epoch on dev, which chose it: new data will show a little less."""


def load_project(path: str | Path, overrides: Sequence[str] = ()) -> Project:
    """Reads and checks a project.

    Args:
        path: a folder with `tunewise.toml`, that file, or a data file.
        overrides: `key=value` as on the command line, such as `training.epochs=2`.

    Raises:
        UserError: every fault, one a line, with `file:line` and what to do.
    """
    return load.load_project(Path(path), overrides)


def check(
    project: Project | str | Path,
    *,
    fix: str | Path | None = None,
    progress: Progress | None = None,
) -> Checked:
    """Finds the faults in a project's examples; see `report` of the result.

    Args:
        project: from `load_project`, or its path.
        fix: a new folder for a repaired copy and a log of each change.
        progress: informed of what is being done; None: lines on the screen.

    Raises:
        UserError: files that are not there or cannot be read, or `fix` is taken.
    """
    shown = progress or _lines()
    loaded = _loaded(project)
    return run_check(
        loaded,
        source=str(loaded.root if isinstance(project, Project) else project),
        progress=shown,
        fix=None if fix is None else Path(fix),
    )


def decide(
    project: Project | str | Path,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> FinishedRun:
    """Runs the alternatives on a project's examples and says whether to fine-tune.

    Args:
        project: from `load_project`, or its path.
        out: the run folder; None: a new one under the project's `runs/`.
        resume: goes on with the newest interrupted run of the same project and data.
        progress: informed of what is being done; None: lines on the screen.

    Raises:
        UserError: a fault in the data, the model, an endpoint or the run folder.
    """
    shown = progress or _lines()
    loaded = _loaded(project)
    read = read_for_decide(loaded, out=_path(out), resume=resume)
    from tunewise.pipelines.decide import run_decide  # noqa: PLC0415 - brings torch

    folder = run_decide(loaded, progress=shown, read=read, out=_path(out), resume=resume)
    return read_run(folder)


def train(
    project: Project | str | Path,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> Trained | None:
    """Trains a model on a project's examples, pairs or documents, without deciding anything.

    Args:
        project: from `load_project`, or its path.
        out: the folder; None: a new one, `runs/train-...`.
        resume: goes on with the newest interrupted training of the same settings.
        progress: informed of what is being done; None: lines on the screen.

    Returns:
        None in a process under torchrun that is not the first.

    Raises:
        UserError: a fault in the data, the model, the settings or the folder.
    """
    shown = progress or _lines()
    loaded = _loaded(project)
    prepared = prepare_for_training(loaded, asked=asked_rows(loaded))
    from tunewise.pipelines.train import run_train  # noqa: PLC0415 - brings torch

    folder = run_train(loaded, progress=shown, prepared=prepared, out=_path(out), resume=resume)
    if folder is None:
        return None
    result = read_training(folder)
    return Trained(
        folder=folder,
        model=folder / result.model,
        epoch=result.dev.best_epoch,
        metric=result.dev.metric,
        dev=result.dev.best.value,
    )


def read_run(folder: str | Path) -> FinishedRun:
    """Reads a finished run: the verdict, the numbers behind it, every answer and score.

    Raises:
        UserError: no verdict there yet, or records that cannot be read; all faults together.
    """
    return FinishedRun.of(read.read_run(Path(folder)))


def _loaded(project: Project | str | Path) -> Project:
    return project if isinstance(project, Project) else load_project(project)


def _path(folder: str | Path | None) -> Path | None:
    return None if folder is None else Path(folder)


def _lines() -> Progress:
    """What the command line shows; in a notebook plain lines, since bars would need widgets."""
    if not Console().is_jupyter:
        return RichProgress()
    # tqdm says it when libraries import it; none of its bars is drawn here.
    warnings.filterwarnings("ignore", "IProgress not found")
    return RichProgress(
        Console(
            file=sys.stdout, force_jupyter=False, force_terminal=False, no_color=True, width=100
        )
    )
