"""The queue of jobs as clients see it: asked for, looked at, cancelled, paused, resumed.

What a worker does to a job goes through `leases`.
"""

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, func, select, update

from tunewise.serving.jobs import database as tables
from tunewise.serving.jobs.database import Database
from tunewise.serving.jobs.paging import Cursor, Page, page_of
from tunewise.serving.jobs.records import (
    OVER,
    Checkpoint,
    Event,
    Job,
    NewEvent,
    Status,
    Wish,
)
from tunewise.serving.jobs.rows import (
    JOB_COLUMNS,
    checkpoint_of,
    event_of,
    insert_job,
    job_of,
    tell,
)
from tunewise.serving.protocol import RefusedError

MAX_OPEN = 1_000
"""Jobs at most that are neither over nor paused."""
_BECOMES: Mapping[Wish, Status] = {"cancel": "cancelled", "pause": "paused"}
_SAID: Mapping[Wish, str] = {
    "cancel": "The job was cancelled.",
    "pause": "The job is paused. It goes on from its last step when it is resumed.",
}
_jobs = tables.jobs


class QueueFullError(Exception):
    """So many jobs wait that no other is taken."""


class JobQueue:
    """The jobs of a data base."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def add(self, job: Job) -> Job:
        """Adds a job behind all others; returns it with its time.

        Raises:
            QueueFullError: there are `MAX_OPEN` already.
        """
        with self.database.writing() as connection:
            still_open = _jobs.c.status.notin_((*OVER, "paused"))
            waiting = select(func.count()).select_from(_jobs).where(still_open)
            if (connection.scalar(waiting) or 0) >= MAX_OPEN:
                raise QueueFullError
            now = self.database.now(connection)
            insert_job(connection, job)
            connection.execute(
                update(_jobs).where(_jobs.c.id == job.id).values(created_at=int(now))
            )
            made = NewEvent(key="created", message=f"Created fine-tuning job: {job.id}")
            checks = NewEvent(key="validating", message="Validating training file.")
            tell(connection, job.id, [made, checks], now=now)
            return _found(connection, job.id)

    def find(self, job: str) -> Job | None:
        """None: there is no such job."""
        with self.database.reading() as connection:
            wanted = select(*JOB_COLUMNS).where(_jobs.c.id == job)
            row = connection.execute(wanted).mappings().one_or_none()
        return None if row is None else job_of(row)

    def page(self, cursor: Cursor, *, metadata: Mapping[str, str]) -> Page[Job]:
        """The next jobs, the newest first.

        Args:
            cursor: where to go on.
            metadata: what those of the jobs must hold.

        Raises:
            RefusedError: see `page_of`.
        """
        wanted = select(*JOB_COLUMNS)
        if metadata:
            with self.database.reading() as connection:
                every = connection.execute(select(_jobs.c.id, _jobs.c.metadata)).all()
            fitting = [id for id, held in every if metadata.items() <= json.loads(held).items()]
            wanted = wanted.where(_jobs.c.id.in_(fitting))
        with self.database.reading() as connection:
            found = page_of(connection, _jobs, wanted, cursor)
        return Page(rows=tuple(map(job_of, found.rows)), has_more=found.has_more)

    def events(self, job: str, cursor: Cursor) -> Page[Event]:
        """What a job told, the newest first."""
        wanted = select(tables.events).where(tables.events.c.job == job)
        with self.database.reading() as connection:
            found = page_of(connection, tables.events, wanted, cursor)
        return Page(rows=tuple(map(event_of, found.rows)), has_more=found.has_more)

    def checkpoints(self, job: str, cursor: Cursor) -> Page[Checkpoint]:
        """A job's checkpoints, the newest first."""
        wanted = select(tables.checkpoints).where(tables.checkpoints.c.job == job)
        with self.database.reading() as connection:
            found = page_of(connection, tables.checkpoints, wanted, cursor)
        return Page(rows=tuple(map(checkpoint_of, found.rows)), has_more=found.has_more)

    def waiting(self) -> dict[Status, int]:
        """How many jobs of each status there are, those that are over left out."""
        counted = (
            select(_jobs.c.status, func.count().label("number"))
            .where(_jobs.c.status.notin_(OVER))
            .group_by(_jobs.c.status)
        )
        with self.database.reading() as connection:
            return {row.status: row.number for row in connection.execute(counted)}

    def ask(self, job: str, wish: Wish) -> Job:
        """Cancels or pauses a job; of one that a worker holds, asks the worker to.

        A worker stops its training first, which saves its steps: until then the job comes back
        with `wanted` set. Asking again does no harm.

        Args:
            job: there has to be one of this id.
            wish: what is to become of it. To cancel outdoes to pause.

        Raises:
            RefusedError: the job is over, or paused already.
        """
        with self.database.writing() as connection:
            found = _found(connection, job)
            if found.status == _BECOMES[wish]:
                return found
            if found.status in OVER:
                raise RefusedError(
                    f"Job {job} is over: it has {_was(found.status)}. There is nothing left to "
                    f"{wish}.",
                    code=f"job_{found.status}",
                )
            now = self.database.now(connection)
            held = connection.scalar(select(_jobs.c.lease_until).where(_jobs.c.id == job))
            if held is not None and held > now:
                chosen = "cancel" if "cancel" in (wish, found.wanted) else wish
                values: dict[str, Any] = {"wanted": chosen}
            else:
                values = grant(connection, found, wish, now=now)
            connection.execute(update(_jobs).where(_jobs.c.id == job).values(**values))
            return _found(connection, job)

    def resume(self, job: str) -> Job:
        """Puts a paused job back into the queue, at the place that it had.

        Args:
            job: there has to be one of this id.

        Raises:
            RefusedError: it is not paused.
        """
        with self.database.writing() as connection:
            found = _found(connection, job)
            if found.status != "paused":
                raise RefusedError(
                    f"Job {job} is not paused: its status is {found.status}.",
                    code=f"job_{found.status}",
                )
            now = self.database.now(connection)
            status: Status = "queued" if found.validated else "validating_files"
            connection.execute(
                update(_jobs)
                .where(_jobs.c.id == job)
                .values(status=status, wanted=None, token=found.token + 1)
            )
            told = NewEvent(key=f"resumed:{found.token}", message="The job was resumed.")
            tell(connection, job, [told], now=now)
            return _found(connection, job)


def grant(connection: Connection, job: Job, wish: Wish, *, now: float) -> dict[str, Any]:
    """The columns of a job that nobody holds any more once it is cancelled or paused; tells it.

    The token counts on: whoever held the job and did not notice can publish nothing.
    """
    told = NewEvent(key=f"{wish}:{job.token}", message=_SAID[wish])
    tell(connection, job.id, [told], now=now)
    over = {"finished_at": int(now)} if wish == "cancel" else {}
    free = {"wanted": None, "owner": None, "lease_until": None, "token": job.token + 1}
    return {"status": _BECOMES[wish], **over, **free}


def _found(connection: Connection, job: str) -> Job:
    wanted = select(*JOB_COLUMNS).where(_jobs.c.id == job).with_for_update()
    return job_of(connection.execute(wanted).mappings().one())


def _was(status: Status) -> str:
    return {"cancelled": "been cancelled"}.get(status, status)
