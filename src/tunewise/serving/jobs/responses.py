"""Files, jobs, events and checkpoints as JSON of OpenAI's API."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from tunewise.serving.jobs.paging import Page
from tunewise.serving.jobs.records import Checkpoint, Event, Job, StoredFile

T = TypeVar("T")
Json = dict[str, Any]
ORGANIZATION = "tunewise"


def list_body(page: Page[T], shown: Callable[[T], Json]) -> Json:
    """A page of a list."""
    data = [shown(row) for row in page.rows]
    return {
        "object": "list",
        "data": data,
        "has_more": page.has_more,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
    }


def file_body(file: StoredFile) -> Json:
    """A file."""
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.bytes,
        "created_at": file.created_at,
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",
        "expires_at": None,
    }


def job_body(job: Job) -> Json:
    """A job. Its `hyperparameters` are those of its method, as far as they are known."""
    hyperparameters: Mapping[str, Any] = job.chosen.get("hyperparameters") or {}
    return {
        "id": job.id,
        "object": "fine_tuning.job",
        "created_at": job.created_at,
        "error": None
        if job.error is None
        else {"code": job.error.code, "message": job.error.message, "param": job.error.param},
        "estimated_finish": None,
        "fine_tuned_model": job.fine_tuned_model,
        "finished_at": job.finished_at,
        "hyperparameters": {**hyperparameters, **(job.hyperparameters or {})},
        "integrations": [],
        "metadata": dict(job.metadata),
        "method": dict(job.method),
        "model": job.model,
        "organization_id": ORGANIZATION,
        "result_files": [] if job.result_file is None else [job.result_file],
        "seed": job.seed,
        "status": job.status,
        "trained_tokens": job.trained_tokens,
        "training_file": job.training_file,
        "user_provided_suffix": job.suffix,
        "validation_file": job.validation_file,
    }


def event_body(event: Event) -> Json:
    """What a job told."""
    return {
        "id": event.id,
        "object": "fine_tuning.job.event",
        "created_at": event.created_at,
        "level": event.level,
        "message": event.message,
        "type": event.type,
        "data": event.data,
    }


def checkpoint_body(job: Job, checkpoint: Checkpoint) -> Json:
    """A checkpoint. What was not measured is not among its metrics."""
    return {
        "id": checkpoint.id,
        "object": "fine_tuning.job.checkpoint",
        "created_at": checkpoint.created_at,
        "fine_tuned_model_checkpoint": checkpoint.model,
        "fine_tuning_job_id": job.id,
        "metrics": dict(checkpoint.metrics),
        "step_number": checkpoint.step,
    }


def verdict_body(job: Job) -> Json:
    """Ours: the proof that a finished job carries."""
    return {
        "object": "fine_tuning.job.verdict",
        "job_id": job.id,
        "base_model": job.model,
        "fine_tuned_model": job.fine_tuned_model,
        "held_out_from": "training_file" if job.validation_file is None else "validation_file",
        **(job.verdict or {}),
    }
