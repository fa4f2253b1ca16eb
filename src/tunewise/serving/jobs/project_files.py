"""Turns a job into a project of Tunewise: its data under our names, and a tunewise.toml."""

import re
from collections.abc import Mapping
from typing import Any

import tomli_w

from tunewise.serving.jobs.files import FileStore
from tunewise.serving.jobs.places import TRAINING_FILE, VALIDATION_FILE, Places
from tunewise.serving.jobs.records import Job
from tunewise.storage import write_json, write_text

AUTO = "auto"
ASKED = "asked.json"
"""Beside the project: what the child has to know of the job."""


def make_project(job: Job, source: str, places: Places, files: FileStore) -> None:
    """Makes a job's folder, with copies of the files that it uses.

    Args:
        job: that is about to be added to the queue.
        source: what the base model opens as.
        places: where it lies.
        files: of which it uses some.

    Raises:
        FileNotFoundError: a file was deleted meanwhile.
    """
    folder = places.project(job.id)
    folder.mkdir(parents=True)
    files.link(job.training_file, folder / TRAINING_FILE)
    if job.validation_file is not None:
        files.link(job.validation_file, folder / VALIDATION_FILE)
    write_json(places.job(job.id) / ASKED, {"kind": job.kind, **hyperparameters(job)})
    write_text(folder / "tunewise.toml", tomli_w.dumps(project_tables(job, source)))


def project_tables(job: Job, source: str) -> dict[str, Any]:
    """The tables of a job's tunewise.toml.

    What needs the base or its tokenizer (the learning rate, the tokens of a batch) is filled in
    when the training begins.

    Args:
        job: as it was asked for.
        source: what the base model opens as.
    """
    keys = {"n_epochs": "epochs", "beta": "beta"}
    chosen = hyperparameters(job)
    training = {key: chosen[name] for name, key in keys.items() if name in chosen}
    if job.kind == "dpo":
        training["method"] = "dpo"
    if job.kind == "dpo" or job.validation_file is None:  # pairs are judged by likelihood, apart
        data = {"examples": TRAINING_FILE}
    else:
        data = {"train": TRAINING_FILE, "test": VALIDATION_FILE}
    tables: dict[str, Any] = {
        "data": {**data, "seed": job.seed},
        "model": {"base": source},
    }
    if training:
        tables["training"] = training
    if job.kind == "decide":
        task = {key: job.chosen[key] for key in ("instruction", "metric") if job.chosen.get(key)}
        tables |= {"task": task} if task else {}
        if job.chosen.get("contenders"):
            tables["contenders"] = {"use": list(job.chosen["contenders"])}
        if job.chosen.get("minimum_gain") is not None:
            tables["decision"] = {"minimum_gain": job.chosen["minimum_gain"]}
    return tables


def hyperparameters(job: Job) -> dict[str, Any]:
    """Those that the request gives a number for."""
    given: Mapping[str, Any] = job.chosen.get("hyperparameters") or {}
    return {name: value for name, value in given.items() if value not in (None, AUTO)}


def model_name(job: Job) -> str:
    """`ft:BASE:tunewise:SUFFIX:ID`, which only this job has."""
    suffix = re.sub(r"[^A-Za-z0-9._-]+", "-", job.suffix or "").strip("-")
    return f"ft:{job.model}:tunewise:{suffix}:{job.id.removeprefix('ftjob-')}"
