"""`tunewise train` on one page: rows, a training, dev at some epochs, the best one kept.

Nothing here knows of verdicts: it trains what it is told, by the loop that `decide` uses.
"""

import json
import math
import os
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from filelock import FileLock, Timeout

from tunewise.contenders.asking import Asking, Prompt, answer_limit
from tunewise.contenders.fine_tune import dev_points
from tunewise.data.prepare import Prepared
from tunewise.errors import UserError
from tunewise.evaluation.scorers import metric_named, quality
from tunewise.files import write_json, write_text
from tunewise.lessons import Lesson, lesson_for
from tunewise.models.catalog import open_model
from tunewise.models.choose import open_engine
from tunewise.models.engine import Engine
from tunewise.models.hub import load_tokenizer
from tunewise.progress import Progress, Silent
from tunewise.project import Project, resolved_toml
from tunewise.runs import RUNS
from tunewise.training.defaults import recipe_for
from tunewise.training.events import show_steps
from tunewise.training.loop import Training
from tunewise.training.parallel import Processes, default_device, join_processes
from tunewise.training.recipe import Recipe
from tunewise.training.reference import with_references
from tunewise.training.rows import check_rows, hash_rows
from tunewise.training.tracking import Tracker, open_trackers

RESULT = "training.json"
PREFIX = "train-"
EVERY_EPOCH = 6
"""Up to so many epochs, dev is judged after each; with more, three times."""
PATIENCE = 2
"""A training ends early after so many judgements in a row below the best one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """How good a training was at some point."""

    epoch: int
    value: float
    loss: float
    """Mean over the epoch's steps."""


@dataclass(frozen=True, kw_only=True)
class Judge:
    """What dev says of a training."""

    metric: str
    higher_is_better: bool
    value: Callable[[Training, Path], float]
    """(training, what it saved) -> value."""

    def best(self, points: Sequence[Judged]) -> Judged:
        """The earlier one on ties."""
        chosen = max if self.higher_is_better else min
        return chosen(points, key=lambda point: point.value)


def run_train(
    project: Project,
    *,
    progress: Progress,
    out: Path | None = None,
    resume: bool = False,
) -> Path | None:
    """Trains a project's method and keeps the epoch that dev likes best.

    Args:
        project: its [training] says how.
        progress: told what is done.
        out: the folder; None: a new one, `runs/train-...`.
        resume: goes on with the newest interrupted training of the same settings.

    Returns:
        The folder: training.json, events.jsonl, checkpoints, and models/<method>/. None in a
        process under torchrun that is not the first, which talks to nobody.

    Raises:
        UserError: a fault in the data, the model, the settings or the folder.
    """
    processes = join_processes(default_device())
    if not processes.is_first:
        progress = Silent()
    model = open_model(project.model.base, progress=progress)
    lesson = lesson_for(project, model, load_tokenizer(model.folder))
    for note in lesson.notes:
        progress.note(note)
    for rows in (lesson.train, lesson.dev, lesson.replay):
        if rows:
            check_rows(rows, context_tokens=model.context_tokens)
    recipe = recipe_for(
        project.training,
        lesson.train,
        seed=1000 * project.data.seed + 1,
        method=lesson.method,
    )
    with ExitStack() as stack:
        folder = _folder(project, out, resume=resume, processes=processes, stack=stack)
        if (folder / RESULT).exists():
            progress.note("This training is finished: its result is shown again.")
            return folder if processes.is_first else None
        trackers: list[Tracker] = []
        if processes.is_first:
            trackers = open_trackers(
                project.training.track,
                folder,
                name=folder.name,
                settings={**asdict(recipe), "base": model.sha256, "rows": hash_rows(lesson.train)},
                warn=progress.note,
            )
        for tracker in trackers:
            stack.callback(tracker.close)
        training = Training(
            model,
            lesson.train,
            recipe,
            folder,
            replay=lesson.replay,
            warn=progress.note,
            watchers=[show_steps(progress), *trackers],
        )
        if training.steps:
            progress.note(
                f"Going on with {folder.name} after step {training.steps} of "
                f"{training.total_steps}."
            )
        progress.note(f"Memory: {training.check_memory()}.")
        judge = _judge(project, lesson, training, progress, stack)
        began = time.perf_counter()
        points = _train(training, recipe, judge, progress, processes)
        if processes.is_first:
            _keep(folder, lesson, recipe, judge, points, training, time.perf_counter() - began)
        processes.wait()
    return folder if processes.is_first else None


def _train(
    training: Training, recipe: Recipe, judge: Judge, progress: Progress, processes: Processes
) -> list[Judged]:
    """All epochs, or fewer when dev stops to improve."""
    numbers = (
        range(1, recipe.epochs + 1) if recipe.epochs <= EVERY_EPOCH else dev_points(recipe.epochs)
    )
    file = training.folder / "dev.json"
    points = _read_points(file)
    for number in numbers:
        saved = training.folder / f"epoch{number}"
        if any(point.epoch == number for point in points):
            continue
        if len(training.epochs) < number:
            total = (number - len(training.epochs)) * training.epoch_tokens
            with progress.task(f"{recipe.method}, to epoch {number}", total=total) as advance:
                while len(training.epochs) < number:
                    training.run_epoch(advance)
        if not saved.exists():
            training.save(saved)
        value = judge.value(training, saved)
        points.append(Judged(epoch=number, value=value, loss=training.epochs[number - 1].loss))
        if processes.is_first:
            write_json(file, [asdict(point) for point in points])
            training.tell("dev", metric=judge.metric, value=value, epoch=number)
        progress.note(f"epoch {number}: {judge.metric} {value:.4g} on dev")
        late = points[-PATIENCE:]
        best = judge.best(points)
        if len(points) > PATIENCE and all(_worse(judge, point, best) for point in late):
            progress.note(f"Dev has not improved since epoch {best.epoch}: the training ends here.")
            break
    return points


def _worse(judge: Judge, point: Judged, best: Judged) -> bool:
    return point.value < best.value if judge.higher_is_better else point.value > best.value


def _read_points(file: Path) -> list[Judged]:
    if not file.exists():
        return []
    return [Judged(**point) for point in cast("list[Any]", json.loads(file.read_text("utf-8")))]


def _judge(
    project: Project, lesson: Lesson, training: Training, progress: Progress, stack: ExitStack
) -> Judge:
    if lesson.prepared is not None:
        opened = open_engine(project.model, progress=progress)
        stack.callback(opened.engine.close)
        return _by_answers(lesson.prepared, opened.engine, progress)
    if lesson.method == "cpt":
        tokens = sum(row.loss_tokens for row in lesson.dev)

        def perplexity(training: Training, saved: Path) -> float:
            total = sum(values[0] for values in training.log_probabilities(lesson.dev))
            return math.exp(-total / tokens)

        return Judge(metric="perplexity", higher_is_better=False, value=perplexity)
    held = with_references(
        lesson.dev,
        training.folder / "dev",
        identity={"rows": [row.id for row in lesson.dev], "base": training.base_sha256},
        ask=training.log_probabilities,
    )

    def share(training: Training, saved: Path) -> float:
        now = training.log_probabilities(held)
        ahead = [
            chosen - row.reference[0] > rejected - row.reference[1]
            for (chosen, rejected), row in zip(now, held, strict=True)
        ]
        return sum(ahead) / len(ahead)

    return Judge(metric="pairs told apart", higher_is_better=True, value=share)


def _by_answers(prepared: Prepared, engine: Engine, progress: Progress) -> Judge:
    task, dev = prepared.project.task, prepared.splits.dev
    metric = metric_named(str(task.metric), task.labels, folder=prepared.project.root)

    def answered(training: Training, saved: Path) -> float:
        training.release()
        asking = Asking(
            prompts=lambda inputs: [Prompt(messages=i.messages, tools=i.tools) for i in inputs],
            max_tokens=answer_limit(engine, prepared.splits.train),
            adapters={1: saved},
        )
        with progress.task("dev", total=len(dev)) as advance:
            inputs = [example.input for example in dev]
            answers = asking.ask(engine, "train", inputs, seed=1, advance=advance)
        engine.rest()
        return quality(metric, [a.text for a in answers], [e.target for e in dev])

    return Judge(metric=metric.name, higher_is_better=True, value=answered)


def _keep(
    folder: Path,
    lesson: Lesson,
    recipe: Recipe,
    judge: Judge,
    points: Sequence[Judged],
    training: Training,
    seconds: float,
) -> None:
    best = judge.best(points)
    target = folder / "models" / lesson.method
    target.parent.mkdir(exist_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(folder / f"epoch{best.epoch}", target)
    lines = "\n".join(f"- {key}: {value}" for key, value in asdict(recipe).items())
    write_text(
        target / "README.md",
        f"# {lesson.method}\n\nTrained by Tunewise from `{training.base_name}`; epoch "
        f"{best.epoch} of {recipe.epochs}, the best on dev: {judge.metric} {best.value:.4g}.\n\n"
        f"{lines}\n",
    )
    write_json(
        folder / RESULT,
        {
            "schema": 1,
            "method": lesson.method,
            "base": training.base_name,
            "model": str(target.relative_to(folder)),
            "rows": len(lesson.train),
            "replayed": len(lesson.replay),
            "tokens": training.tokens,
            "steps": training.steps,
            "seconds": round(seconds, 1),
            "precision": training.precision,
            "recipe": asdict(recipe),
            "dev": {
                "metric": judge.metric,
                "higher_is_better": judge.higher_is_better,
                "points": [asdict(point) for point in points],
                "best_epoch": best.epoch,
            },
        },
    )


def _folder(
    project: Project, out: Path | None, *, resume: bool, processes: Processes, stack: ExitStack
) -> Path:
    """The folder of this training, held by this process (the first one, under torchrun)."""
    runs = project.root / RUNS
    text = resolved_toml(project)
    if processes.count > 1 and out is None:
        raise UserError("Under torchrun every process needs the same folder: name it with --out.")
    folder = out
    if folder is None and resume:
        begun = sorted(runs.glob(f"{PREFIX}*/project.toml"), reverse=True)
        same = [file.parent for file in begun if file.read_text("utf-8") == text]
        if begun and not same:
            raise UserError(
                "There is no training of this project with the same settings to resume. Run "
                "without --resume to start a new one."
            )
        unfinished = [one for one in same if not (one / RESULT).exists()]
        folder = next(iter([*unfinished, *same]), None)
    folder = folder or runs / f"{PREFIX}{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    if not processes.is_first:
        processes.wait()
        return folder
    try:
        known = folder / "project.toml"
        if known.exists() and not resume:
            raise UserError(
                f"{folder}: a training lies here already. Add --resume to go on with it, or name "
                "another folder with --out."
            )
        if known.exists() and known.read_text("utf-8") != text:
            raise UserError(
                f"{folder}: the training here has other settings. Name another folder with --out."
            )
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        lock.acquire(blocking=False)
        stack.callback(lock.release)
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
