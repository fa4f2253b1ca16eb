"""Turns rows of the tables of jobs into records, and records into rows."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

from sqlalchemy import Connection, RowMapping, insert
from sqlalchemy.dialects import postgresql, sqlite

from tunewise.serving.jobs import database as tables
from tunewise.serving.jobs.records import (
    Checkpoint,
    Event,
    Job,
    JobFault,
    NewCheckpoint,
    NewEvent,
    new_id,
)

T = TypeVar("T", NewEvent, NewCheckpoint)

JOB_COLUMNS = [
    column
    for column in tables.jobs.c
    if column.name not in ("number", "held_out", "owner", "lease_until", "crashes", "crash_step")
]
_JSON = ("method", "metadata", "hyperparameters", "verdict")


def as_text(value: object) -> str | None:
    """A value as JSON in a column; None stays None."""
    return None if value is None else json.dumps(value, ensure_ascii=False)


def job_of(row: RowMapping) -> Job:
    """The job that a row of `JOB_COLUMNS` holds."""
    values = dict(row)
    for name in _JSON:
        values[name] = None if values[name] is None else json.loads(values[name])
    if values["error"] is not None:
        values["error"] = JobFault(**json.loads(values["error"]))
    return Job(**values)


def values_of(job: Job) -> dict[str, Any]:
    """The columns of a new job."""
    values = {column.name: getattr(job, column.name) for column in JOB_COLUMNS}
    for name in _JSON:
        values[name] = as_text(values[name])
    error = None if job.error is None else as_text(asdict(job.error))
    return {**values, "error": error, "crashes": 0, "crash_step": -1}


def event_of(row: RowMapping) -> Event:
    """The event that a row of the table holds."""
    return Event(
        id=row["id"],
        created_at=row["created_at"],
        level=row["level"],
        type=row["type"],
        message=row["message"],
        data=None if row["data"] is None else json.loads(row["data"]),
    )


def checkpoint_of(row: RowMapping) -> Checkpoint:
    """The checkpoint that a row of the table holds."""
    return Checkpoint(
        id=row["id"],
        created_at=row["created_at"],
        step=row["step"],
        model=row["model"],
        metrics=json.loads(row["metrics"]),
    )


def tell(connection: Connection, job: str, told: Sequence[NewEvent], *, now: float) -> None:
    """Adds events to a job's; one that was told before is not told again."""
    _insert_new(
        connection,
        tables.events,
        [
            {
                "id": new_id("ftevent-"),
                "job": job,
                "key": one.key,
                "created_at": int(now),
                "level": one.level,
                "type": one.type,
                "message": one.message,
                "data": as_text(one.data),
            }
            for one in told
        ],
    )


def keep_checkpoints(
    connection: Connection, job: str, kept: Sequence[NewCheckpoint], *, now: float
) -> None:
    """Adds checkpoints to a job's, each step once."""
    _insert_new(
        connection,
        tables.checkpoints,
        [
            {
                "id": new_id("ftckpt_"),
                "job": job,
                "step": one.step,
                "created_at": int(now),
                "model": one.model,
                "metrics": as_text(one.metrics),
            }
            for one in kept
        ],
    )


def _insert_new(connection: Connection, table: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    connection.execute(dialect.insert(table).on_conflict_do_nothing(), list(rows))


def insert_job(connection: Connection, job: Job) -> None:
    """Adds a job to the queue, behind all others."""
    connection.execute(insert(tables.jobs).values(**values_of(job)))
