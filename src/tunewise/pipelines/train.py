"""`tunewise train` on one page: rows, a training, dev at some epochs, the best one kept.

Nothing here knows of verdicts: it trains what it is told, by the loop that `decide` uses.
"""

import json
import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

from tunewise.contenders.fine_tune import dev_points
from tunewise.data.checks.findings import plural
from tunewise.evaluation.validation import Judge, Judgement, judge_for
from tunewise.models.adapters import is_whole_model
from tunewise.models.catalog import LocalModel, open_model
from tunewise.models.loading import load_tokenizer
from tunewise.progress import Progress, Silent
from tunewise.project.load import Project
from tunewise.runs.events import EVENTS, show_steps
from tunewise.storage import write_json, write_text
from tunewise.training.datasets import Lesson, lesson_for, made_from
from tunewise.training.defaults import recipe_for
from tunewise.training.distributed import Processes, default_device, join_processes
from tunewise.training.folder import DEV, RESULT, open_folder, tidy
from tunewise.training.loop import Training
from tunewise.training.recipe import Recipe
from tunewise.training.rows import check_rows, hash_rows
from tunewise.training.tracking import Tracker, open_trackers

EVERY_EPOCH = 6
"""Up to so many epochs, dev is judged after each; with more, three times."""
PATIENCE = 2
"""A training ends early after so many judgements in a row below the best one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """How good a training was at some point."""

    epoch: int
    loss: float
    """Mean over the epoch's steps."""
    judgement: Judgement


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """All that dev said."""

    baselines: dict[str, Judgement]
    points: list[Judged]

    def best(self, judge: Judge) -> Judged:
        """The earlier one on ties."""
        chosen = max if judge.higher_is_better else min
        return chosen(self.points, key=lambda point: point.judgement.value)


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
        The folder: training.json, events.jsonl and models/<method>/. None in a process under
        torchrun that is not the first, which talks to nobody.

    Raises:
        UserError: a fault in the data, the model, the settings or the folder.
    """
    processes = join_processes(default_device())
    if not processes.is_first:
        progress = Silent()
    model = open_model(project.model.base, progress=progress)
    lesson = lesson_for(
        project, model, load_tokenizer(model.folder, thinking=project.model.thinking is True)
    )
    for note in lesson.notes:
        progress.note(note)
    for rows in (lesson.train, lesson.dev, lesson.replay):
        if rows:
            check_rows(rows, context_tokens=model.context_tokens)
    with ExitStack() as stack:
        folder = open_folder(
            project,
            made_from(lesson, project, model),
            out,
            resume=resume,
            processes=processes,
            stack=stack,
        )
        if (folder / RESULT).exists():
            progress.note("This training is finished: its result is shown again.")
        else:
            training = _begin(project, model, lesson, folder, progress, processes, stack)
            judge = judge_for(project, lesson, training, progress, stack)
            found = _train(training, judge, progress, processes)
            if processes.is_first:
                training.tell("finished")
                _keep(folder, lesson, model, judge, found, training)
        if processes.is_first:
            tidy(folder)
        processes.wait()
    return folder if processes.is_first else None


def _begin(
    project: Project,
    model: LocalModel,
    lesson: Lesson,
    folder: Path,
    progress: Progress,
    processes: Processes,
    stack: ExitStack,
) -> Training:
    """The training where it stands, told to whoever keeps track of it."""
    recipe = recipe_for(
        project.training,
        lesson.train,
        base=model,
        seed=1000 * project.data.seed + 1,
        method=lesson.method,
    )
    trackers: list[Tracker] = []
    if processes.is_first:
        trackers = open_trackers(
            project.training.track,
            folder,
            name=folder.name,
            settings={**recipe.told(), "base": model.sha256, "rows": hash_rows(lesson.train)},
            warn=progress.note,
        )
    for tracker in trackers:
        stack.callback(tracker.close)
    places = lesson.prepared.places if lesson.prepared else None
    training = Training(
        model,
        lesson.train,
        recipe,
        folder,
        replay=lesson.replay,
        start=project.training.start,
        warn=progress.note,
        watchers=[show_steps(progress, places), *trackers],
    )
    if training.steps:
        done = f"after step {training.steps} of {training.total_steps}"
        progress.note(f"Going on with {folder.name} {done}.")
    progress.note(f"Memory: {training.check_memory()}.")
    return training


def _train(training: Training, judge: Judge, progress: Progress, processes: Processes) -> Found:
    """All epochs, or fewer when dev stops to improve."""
    recipe, file = training.recipe, training.folder / DEV
    found = _read(file)
    if found is None:
        found = Found(baselines=judge.baselines(training), points=[])
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
        judgement = judge.judge(training, saved)
        loss = training.epochs[number - 1].loss
        found.points.append(Judged(epoch=number, loss=loss, judgement=judgement))
        if processes.is_first:
            write_json(file, asdict(found))
            training.tell("dev", metric=judge.metric, value=judgement.value, epoch=number)
        progress.note(f"epoch {number}: {judge.metric} {judgement.value:.4g} on dev")
        late, best = found.points[-PATIENCE:], found.best(judge)
        worse = [judge.better(best.judgement.value, point.judgement.value) for point in late]
        if len(found.points) > PATIENCE and all(worse):
            progress.note(f"Dev has not improved since epoch {best.epoch}: the training ends here.")
            break
    return found


def _read(file: Path) -> Found | None:
    if not file.exists():
        return None
    kept = cast("dict[str, Any]", json.loads(file.read_text("utf-8")))
    baselines = {name: _judgement(one) for name, one in kept["baselines"].items()}
    points = [
        Judged(epoch=p["epoch"], loss=p["loss"], judgement=_judgement(p["judgement"]))
        for p in kept["points"]
    ]
    return Found(baselines=baselines, points=points)


def _judgement(kept: Mapping[str, Any]) -> Judgement:
    return Judgement(value=kept["value"], scores=tuple(kept["scores"]))


def _keep(
    folder: Path,
    lesson: Lesson,
    model: LocalModel,
    judge: Judge,
    found: Found,
    training: Training,
) -> None:
    """The best epoch's model with a card, and the result, which says that all is done."""
    best, recipe = found.best(judge), training.recipe
    target = folder / "models" / lesson.method
    target.parent.mkdir(exist_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(folder / f"epoch{best.epoch}", target)
    write_text(target / "README.md", _card(target, model, recipe, judge, best))
    write_json(
        folder / RESULT,
        {
            "schema": 1,
            "method": lesson.method,
            "base": model.name,
            "model": str(target.relative_to(folder)),
            "rows": len(lesson.train),
            "replayed": len(lesson.replay),
            "tokens": training.tokens,
            "steps": training.steps,
            "seconds": round(_seconds(folder / EVENTS), 1),
            "precision": training.precision,
            "recipe": recipe.told(),
            "dev": {
                "metric": judge.metric,
                "higher_is_better": judge.higher_is_better,
                "rows": judge.rows,
                "unit": judge.unit,
                "baselines": [
                    {
                        "name": name,
                        "value": one.value,
                        "lead": (lead := judge.lead(best.judgement, one)) and asdict(lead),
                    }
                    for name, one in found.baselines.items()
                ],
                "points": [
                    {"epoch": p.epoch, "value": p.judgement.value, "loss": p.loss}
                    for p in found.points
                ],
                "best_epoch": best.epoch,
            },
        },
    )


def _seconds(events: Path) -> float:
    """What all sittings took: from the first event of each to its last."""
    told = [json.loads(line) for line in events.read_text("utf-8").splitlines()]
    return sum(
        later["time"] - earlier["time"]
        for earlier, later in pairwise(told)
        if later["event"] not in ("start", "resumed")
    )


def _card(target: Path, model: LocalModel, recipe: Recipe, judge: Judge, best: Judged) -> str:
    settings = "\n".join(f"- {key}: {value}" for key, value in recipe.told().items())
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
    judged = f"{judge.metric} {best.judgement.value:.4g} on {plural(judge.rows, judge.unit)}"
    return f"""---
base_model: {json.dumps(model.name, ensure_ascii=False)}
library_name: {library}
---

# {recipe.method}

Trained by Tunewise from `{model.name}`; epoch {best.epoch} of {recipe.epochs}, the best on dev:
{judged}. Dev chose the epoch, so that new data will show a little less.

```python
{imported}

tokenizer = AutoTokenizer.from_pretrained("{model.folder}")
{load}
```

{settings}
"""
