"""`tunewise train` on one page: rows, a training, dev at some epochs, the best one kept.

It trains by the loop that `decide` uses, and gives no verdict.
"""

import json
import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

from tunewise.data.prepare import Prepared, prepare_for_training
from tunewise.errors import UserError
from tunewise.evaluation.validation import Validation, Validator, validator_for
from tunewise.models.catalog import LocalModel, open_model
from tunewise.models.loading import load_tokenizer
from tunewise.models.stored import is_whole_model
from tunewise.progress import Progress, Silent
from tunewise.project.settings import Project
from tunewise.runs.asked import asked_rows
from tunewise.runs.events import show_steps
from tunewise.runs.folder import TRAINED
from tunewise.runs.trained import (
    Baseline,
    DevResult,
    EpochOnDev,
    TrainingResult,
    read_events,
    write_training,
)
from tunewise.storage import write_json, write_text
from tunewise.training.datasets import TrainingData, made_from, training_data_for
from tunewise.training.distributed import Processes, default_device, join_processes
from tunewise.training.epochs import dev_points
from tunewise.training.folder import DEV, open_folder, tidy
from tunewise.training.loop import Training
from tunewise.training.recipe import Recipe, recipe_for
from tunewise.training.rows import check_rows, hash_rows
from tunewise.training.tracking import Tracker, open_trackers
from tunewise.wording import plural, shown_value

EVERY_EPOCH = 6
"""Up to so many epochs, dev is validated after each; with more, three times."""
PATIENCE = 2
"""A training ends early after so many values in a row below the best one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DevPoint:
    """How good a training was after one epoch."""

    epoch: int
    loss: float
    """Mean over the epoch's steps."""
    validation: Validation


@dataclass(frozen=True, kw_only=True, slots=True)
class DevCurve:
    """Quality on dev over the epochs of a training; kept in `dev.json` until it is finished."""

    baselines: dict[str, Validation]
    points: list[DevPoint]

    def best(self, validator: Validator) -> DevPoint:
        """The best point; the earlier one on ties."""
        chosen = max if validator.higher_is_better else min
        return chosen(self.points, key=lambda point: point.validation.value)


def run_train(
    project: Project,
    *,
    progress: Progress,
    prepared: Prepared | None = None,
    out: Path | None = None,
    resume: bool = False,
) -> Path | None:
    """Trains a project's method and keeps the epoch that dev likes best.

    Args:
        project: its [training] says how.
        progress: shows what is done.
        prepared: its examples, where the caller has read them; None: they are read here.
        out: the folder; None: a new one, `runs/train-...`.
        resume: goes on with the newest interrupted training of the same settings.

    Returns:
        The folder: training.json, events.jsonl and models/<method>/. None in a process under
        torchrun that is not the first, which talks to nobody.

    Raises:
        UserError: a fault in the data, the model, the settings or the folder.
    """
    processes = join_processes(default_device())
    if not processes.is_first:
        progress = Silent()
    base, *others = project.model.bases
    if others:
        raise UserError(
            "model.base: names several models, and a training has one base. "
            f"Choose it: --set model.base={base}"
        )
    prepared = prepared or prepare_for_training(project, asked=asked_rows(project))
    model = open_model(base, progress=progress)
    training_data = training_data_for(
        project,
        prepared,
        model,
        load_tokenizer(model.folder, thinking=project.model.thinking is True),
    )
    for note in training_data.notes:
        progress.note(note)
    for rows in (training_data.train, training_data.dev, training_data.replay):
        if rows:
            check_rows(rows, context_tokens=model.context_tokens)
    with ExitStack() as stack:
        folder = open_folder(
            project,
            made_from(training_data, project, model),
            out,
            resume=resume,
            processes=processes,
            stack=stack,
        )
        if (folder / TRAINED).exists():
            progress.note("This training is finished: its result is shown again.")
        else:
            training = _begin(project, model, training_data, folder, progress, processes, stack)
            validator = validator_for(project, training_data, training, progress, stack)
            found = _train(training, validator, progress, processes)
            if processes.is_first:
                training.emit("finished")
                _keep(folder, training_data, model, validator, found, training)
        if processes.is_first:
            tidy(folder)
        processes.wait()
    return folder if processes.is_first else None


def _begin(
    project: Project,
    model: LocalModel,
    training_data: TrainingData,
    folder: Path,
    progress: Progress,
    processes: Processes,
    stack: ExitStack,
) -> Training:
    """The training where it stands, its trackers opened and watching."""
    recipe = recipe_for(
        project.training,
        training_data.train,
        base=model,
        seed=1000 * project.data.seed + 1,
        method=training_data.method,
    )
    trackers: list[Tracker] = []
    if processes.is_first:
        trackers = open_trackers(
            project.training.track,
            folder,
            name=folder.name,
            settings={
                **recipe.as_dict(),
                "base": model.sha256,
                "rows": hash_rows(training_data.train),
            },
            warn=progress.note,
        )
    for tracker in trackers:
        stack.callback(tracker.close)
    places = training_data.prepared.places if training_data.prepared else None
    training = Training(
        model,
        training_data.train,
        recipe,
        folder,
        replay=training_data.replay,
        start=project.training.start,
        warn=progress.note,
        watchers=[show_steps(progress, places), *trackers],
    )
    if training.steps:
        done = f"after step {training.steps} of {training.total_steps}"
        progress.note(f"Going on with {folder.name} {done}.")
    progress.note(f"Memory: {training.check_memory()}.")
    return training


def _train(
    training: Training, validator: Validator, progress: Progress, processes: Processes
) -> DevCurve:
    """All epochs, or fewer when dev stops to improve."""
    recipe, file = training.recipe, training.folder / DEV
    found = _read(file)
    if found is None:
        found = DevCurve(baselines=validator.baselines(training), points=[])
        if processes.is_first:
            write_json(file, asdict(found))
    epochs = recipe.epochs
    for number in range(1, epochs + 1) if epochs <= EVERY_EPOCH else dev_points(epochs):
        saved = training.folder / f"epoch{number}"
        if any(point.epoch == number for point in found.points):
            continue
        if len(training.epochs) < number:
            total = (number - len(training.epochs)) * training.epoch_tokens
            with progress.task(f"{recipe.method}, to epoch {number}", total=total) as advance:
                while len(training.epochs) < number:
                    training.run_epoch(advance)
        if not saved.exists():
            training.save(saved)
        validation = validator.validate(training, saved)
        loss = training.epochs[number - 1].loss
        found.points.append(DevPoint(epoch=number, loss=loss, validation=validation))
        if processes.is_first:
            write_json(file, asdict(found))
            training.emit("dev", metric=validator.metric, value=validation.value, epoch=number)
        shown = shown_value(validation.value, higher_is_better=validator.higher_is_better)
        progress.note(f"epoch {number}: {validator.metric} {shown} on dev")
        late, best = found.points[-PATIENCE:], found.best(validator)
        worse = [validator.better(best.validation.value, point.validation.value) for point in late]
        if len(found.points) > PATIENCE and all(worse):
            progress.note(f"Dev has not improved since epoch {best.epoch}: the training ends here.")
            break
    return found


def _read(file: Path) -> DevCurve | None:
    if not file.exists():
        return None
    kept = cast("dict[str, Any]", json.loads(file.read_text("utf-8")))
    baselines = {name: _validation(one) for name, one in kept["baselines"].items()}
    points = [
        DevPoint(epoch=p["epoch"], loss=p["loss"], validation=_validation(p["validation"]))
        for p in kept["points"]
    ]
    return DevCurve(baselines=baselines, points=points)


def _validation(kept: Mapping[str, Any]) -> Validation:
    return Validation(value=kept["value"], scores=tuple(kept["scores"]))


def _keep(
    folder: Path,
    training_data: TrainingData,
    model: LocalModel,
    validator: Validator,
    found: DevCurve,
    training: Training,
) -> None:
    """The best epoch's model with a card, and the result, which says that all is done."""
    best, recipe = found.best(validator), training.recipe
    target = folder / "models" / training_data.method
    target.parent.mkdir(exist_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(folder / f"epoch{best.epoch}", target)
    write_text(target / "README.md", _card(target, model, recipe, validator, best))
    write_training(
        folder,
        TrainingResult(
            method=training_data.method,
            base=model.name,
            model=str(target.relative_to(folder)),
            rows=len(training_data.train),
            replayed=len(training_data.replay),
            tokens=training.tokens,
            steps=training.steps,
            seconds=round(_seconds(folder), 1),
            precision=training.precision,
            recipe=recipe.as_dict(),
            dev=DevResult(
                metric=validator.metric,
                higher_is_better=validator.higher_is_better,
                rows=validator.rows,
                unit=validator.unit,
                baselines=tuple(
                    Baseline(name=name, value=one.value, lead=validator.lead(best.validation, one))
                    for name, one in found.baselines.items()
                ),
                points=tuple(
                    EpochOnDev(epoch=p.epoch, value=p.validation.value, loss=p.loss)
                    for p in found.points
                ),
                best_epoch=best.epoch,
            ),
        ),
    )


def _seconds(folder: Path) -> float:
    """What all sittings took: from the first event of each to its last."""
    return sum(
        later.time - earlier.time
        for earlier, later in pairwise(read_events(folder))
        if later.event not in ("start", "resumed")
    )


def _card(
    target: Path, model: LocalModel, recipe: Recipe, validator: Validator, best: DevPoint
) -> str:
    settings = "\n".join(f"- {key}: {value}" for key, value in recipe.as_dict().items())
    load = f'model = AutoModelForCausalLM.from_pretrained("{target.absolute()}")'
    imported = "from transformers import AutoModelForCausalLM, AutoTokenizer"
    library = "transformers"
    if not is_whole_model(target):
        library = "peft"
        imported = f"from peft import PeftModel\n{imported}"
        load = (
            f'base = AutoModelForCausalLM.from_pretrained("{model.folder}")\n'
            f'model = PeftModel.from_pretrained(base, "{target.absolute()}")'
        )
    shown = shown_value(best.validation.value, higher_is_better=validator.higher_is_better)
    quality = f"{validator.metric} {shown} on {plural(validator.rows, validator.unit)}"
    return f"""---
base_model: {json.dumps(model.name, ensure_ascii=False)}
library_name: {library}
---

# {recipe.method}

Trained by Tunewise from `{model.name}`; epoch {best.epoch} of {recipe.epochs}, the best on dev:
{quality}. Dev chose the epoch, so that new data will show a little less.

```python
{imported}

tokenizer = AutoTokenizer.from_pretrained("{model.folder}")
{load}
```

{settings}
"""
