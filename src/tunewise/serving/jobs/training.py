"""The work of one job, in a process of its own: trains, then proves what that brought.

Killed at any moment and started again it goes on: trainings from their last checkpoint, `decide`
from its last answer, a finished training from there.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from tunewise.data.prepare import Prepared, prepare_for_training
from tunewise.data.read import read_preferences
from tunewise.errors import UserError
from tunewise.models.catalog import LocalModel, open_model
from tunewise.models.loading import load_tokenizer
from tunewise.pipelines.decide import run_decide
from tunewise.pipelines.proof import Proof, prove, prove_pairs
from tunewise.pipelines.reading import read_for_decide
from tunewise.pipelines.train import run_train
from tunewise.progress import Progress
from tunewise.project.load import load_project
from tunewise.project.settings import Project
from tunewise.runs.events import EVENTS
from tunewise.runs.trained import TrainingResult, read_training
from tunewise.serving.jobs.outcome import Outcome, SavedEpoch
from tunewise.serving.jobs.pair_files import set_aside
from tunewise.serving.jobs.places import TRAINING, TRAINING_FILE, VALIDATION_FILE
from tunewise.storage import read_lines
from tunewise.training.datasets import training_data_for
from tunewise.training.recipe import default_learning_rate

_LEARNT, _HELD = "pairs.jsonl", "held_out_pairs.jsonl"


def work(folder: Path, run: Path, asked: Mapping[str, Any], progress: Progress) -> Outcome:
    """Does what a job asks for.

    Args:
        folder: its project.
        run: the holder's folder.
        asked: `kind`, and the hyperparameters that have a number.
        progress: informed of what is being done.

    Raises:
        UserError: a fault in the data, the model, the settings or the folder.
    """
    project, training = load_project(folder), run / TRAINING
    if asked["kind"] == "decide":
        return _decided(project, training, progress)
    if asked["kind"] == "dpo":
        project = _with_pairs(project)
    prepared = prepare_for_training(project)
    base, *_ = project.model.bases
    model = open_model(base, progress=progress)
    project = _with_numbers(project, prepared, model, asked)
    trained = run_train(
        project,
        progress=progress,
        prepared=prepared,
        out=training,
        resume=True,
        keep_epochs=True,
    )
    if trained is None:
        raise UserError("A job trains in one process: start the worker without torchrun.")
    result = read_training(training)
    adapter = training / result.model
    if prepared is not None:
        proof = prove(prepared, adapter, progress=progress)
    else:
        proof = prove_pairs(_held_pairs(project), model, adapter, progress=progress)
    return _trained(training, result, proof, asked)


def _with_pairs(project: Project) -> Project:
    """A dpo job's project, with pairs set aside where it has no validation file."""
    if (project.root / VALIDATION_FILE).exists():
        return project
    learnt, held = project.root / _LEARNT, project.root / _HELD
    set_aside(project.root / TRAINING_FILE, project.data.seed, learnt=learnt, held=held)
    return replace(project, data=replace(project.data, examples=(learnt,)))


def _held_pairs(project: Project) -> Any:
    own = project.root / VALIDATION_FILE
    return read_preferences([own if own.exists() else project.root / _HELD]).rows


def _with_numbers(
    project: Project, prepared: Prepared | None, model: LocalModel, asked: Mapping[str, Any]
) -> Project:
    """The project with what its hyperparameters mean for this base and these rows.

    A learning rate is the multiplier times the one that `auto` would take; a batch so many tokens
    as so many rows of mean length have.
    """
    settings = project.training
    if "learning_rate_multiplier" in asked:
        usual = default_learning_rate(model, settings.adapter, settings.method)
        rate = min(1.0, max(1e-8, asked["learning_rate_multiplier"] * usual))
        settings = replace(settings, learning_rate=rate)
    if "batch_size" in asked:
        tokenizer = load_tokenizer(model.folder, thinking=project.model.thinking is True)
        rows = training_data_for(project, prepared, model, tokenizer).train
        mean = float(np.mean([row.tokens for row in rows]))
        settings = replace(settings, batch_tokens=max(1, round(asked["batch_size"] * mean)))
    return replace(project, training=settings)


def _trained(
    training: Path, result: TrainingResult, proof: Proof, asked: Mapping[str, Any]
) -> Outcome:
    chosen = {name: value for name, value in asked.items() if name != "kind"}
    verdict = {
        "kind": "held_out_comparison",
        **{name: value for name, value in asdict(proof).items() if name != "held_out"},
        "dev": asdict(result.dev),
    }
    return Outcome(
        told=[proof.sentence],
        adapter=f"{TRAINING}/{result.model}",
        hyperparameters={**chosen, "n_epochs": result.recipe["epochs"]},
        trained_tokens=result.tokens,
        verdict=verdict,
        held_out=proof.held_out,
        epochs=_saved_epochs(training, result),
    )


def _saved_epochs(training: Path, result: TrainingResult) -> list[SavedEpoch]:
    """What was kept of the epochs that dev judged, with what was measured of them."""
    steps = {
        event["number"]: event["step"]
        for event in read_lines(training / EVENTS)
        if event["event"] == "epoch"
    }
    return [
        SavedEpoch(
            step=steps[point.epoch],
            adapter=f"{TRAINING}/epoch{point.epoch}",
            metrics={
                "step": steps[point.epoch],
                "train_loss": point.loss,
                f"dev_{result.dev.metric.replace(' ', '_')}": point.value,
            },
        )
        for point in result.dev.points
        if point.epoch in steps and (training / f"epoch{point.epoch}").is_dir()
    ]


def _decided(project: Project, run: Path, progress: Progress) -> Outcome:
    read = read_for_decide(project, out=run, resume=True)
    folder = run_decide(project, progress=progress, read=read, out=run, resume=True)
    verdict: dict[str, Any] = json.loads((folder / "verdict.json").read_text("utf-8"))
    tokens = [
        one["fit"]["tokens"].get("trained", 0) for one in verdict["contenders"] if "fit" in one
    ]
    return Outcome(
        told=[verdict["reason"]],
        contender=verdict["recommended"],
        trained_tokens=sum(tokens),
        verdict={"kind": "decide", **verdict},
        held_out=None,
    )
