"""Which worker holds which job: taken for some seconds, renewed, and lost to whoever takes it next.

Everything that a worker writes of a job is fenced: it happens in one transaction with the proof
that the job is still held under the same token. A worker that froze and wakes up when another one
has taken its job over can publish nothing (Kleppmann 2016, "How to do distributed locking").
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, or_, select, update

from tunewise.serving.jobs import database as tables
from tunewise.serving.jobs.database import Database
from tunewise.serving.jobs.queue import grant
from tunewise.serving.jobs.records import Job, JobFault, NewCheckpoint, NewEvent, Wish
from tunewise.serving.jobs.rows import JOB_COLUMNS, as_text, job_of, keep_checkpoints, tell

LEASE_SECONDS = 20.0
"""A job whose worker was not heard of for so long is taken over."""
MAX_CRASHES = 3
"""Times in a row that a training may die by itself without a further step."""
_jobs = tables.jobs


class LeaseLostError(Exception):
    """The job is no longer this worker's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Success:
    """What a finished job comes to."""

    model: str | None
    """The name that can be asked; None where a verdict recommends nothing."""
    hyperparameters: Mapping[str, Any]
    trained_tokens: int | None
    verdict: Mapping[str, Any]
    held_out: str | None
    """sha256 of the rows that its proof was measured on."""
    checkpoints: Sequence[NewCheckpoint]
    events: Sequence[NewEvent]


class Leases:
    """What one worker holds.

    Args:
        database: of the jobs.
        owner: a name that no other worker has.
        seconds: that a lease lasts; renew it several times meanwhile.
    """

    def __init__(self, database: Database, owner: str, *, seconds: float = LEASE_SECONDS) -> None:
        self.database, self.owner, self.seconds = database, owner, seconds

    def take_to_validate(self) -> Job | None:
        """The first job whose data nobody has checked; None: there is none."""
        return self._take(_jobs.c.status == "validating_files", {})

    def take_to_train(self) -> Job | None:
        """The first job that waits, or whose worker was lost; None: there is none."""
        return self._take(_jobs.c.status.in_(("queued", "running")), {"status": "running"})

    def renew(self, job: Job) -> Wish | None:
        """Holds a job for another while; returns what a client wants of it.

        Raises:
            LeaseLostError: somebody else has it, or it is over.
        """
        with self._fenced(job) as (connection, found):
            now = self.database.now(connection)
            self._set(connection, job, {"lease_until": now + self.seconds})
            return found.wanted

    def tell(self, job: Job, told: Sequence[NewEvent]) -> None:
        """Adds events of a job. Raises LeaseLostError."""
        with self._fenced(job) as (connection, _):
            tell(connection, job.id, told, now=self.database.now(connection))

    def validated(self, job: Job, told: Sequence[NewEvent]) -> None:
        """Puts a job whose data are sound into the queue. Raises LeaseLostError."""
        passed = NewEvent(key="validated", message="Files validated, moving job to queued state")
        with self._fenced(job) as (connection, found):
            self._done(connection, found, {"status": "queued", "validated": True}, [*told, passed])

    def fail(self, job: Job, fault: JobFault) -> None:
        """Ends a job that cannot succeed. Raises LeaseLostError."""
        told = NewEvent(key="failed", level="error", message=fault.message)
        with self._fenced(job) as (connection, found):
            values = {
                "status": "failed",
                "error": as_text(asdict(fault)),
                "finished_at": int(self.database.now(connection)),
            }
            self._done(connection, found, values, [told])

    def succeed(self, job: Job, success: Success, publish: Callable[[Connection], str]) -> None:
        """Ends a job that succeeded.

        Args:
            job: that is held.
            success: what it came to.
            publish: called within the transaction; gives the id of the result file.

        Raises:
            LeaseLostError: and nothing was written.
        """
        named = f"New fine-tuned model created: {success.model}"
        told = [
            *success.events,
            NewEvent(
                key="model",
                message=named if success.model else "The verdict recommends none of the models.",
            ),
            NewEvent(key="succeeded", message="The job has successfully completed"),
        ]
        with self._fenced(job) as (connection, found):
            now = self.database.now(connection)
            values = {
                "status": "succeeded",
                "fine_tuned_model": success.model,
                "hyperparameters": as_text(success.hyperparameters),
                "trained_tokens": success.trained_tokens,
                "verdict": as_text(success.verdict),
                "held_out": success.held_out,
                "result_file": publish(connection),
                "finished_at": int(now),
            }
            keep_checkpoints(connection, job.id, success.checkpoints, now=now)
            self._done(connection, found, values, told)

    def grant(self, job: Job, wish: Wish) -> None:
        """Cancels or pauses a job whose training has stopped. Raises LeaseLostError."""
        with self._fenced(job) as (connection, found):
            now = self.database.now(connection)
            self._set(connection, job, grant(connection, found, wish, now=now))

    def release(self, job: Job) -> None:
        """Gives a job back, to be gone on with by whoever comes first. Raises LeaseLostError."""
        with self._fenced(job) as (connection, found):
            status = "queued" if found.validated else "validating_files"
            self._done(connection, found, {"status": status}, [])

    def crashed(self, job: Job, *, step: int, why: str) -> None:
        """Gives back a job whose training died, or ends it where that leads nowhere.

        Args:
            job: that is held.
            step: that its newest checkpoint is of.
            why: how it died, as half a sentence.

        Raises:
            LeaseLostError: somebody else has it.
        """
        why = f"{why[0].upper()}{why[1:]}"
        with self._fenced(job) as (connection, _):
            row = connection.execute(
                select(_jobs.c.crashes, _jobs.c.crash_step).where(_jobs.c.id == job.id)
            ).one()
            crashes = row.crashes + 1 if step <= row.crash_step else 1
            values = {"crashes": crashes, "crash_step": max(step, row.crash_step)}
            self._set(connection, job, values)
        if crashes < MAX_CRASHES:
            told = NewEvent(
                key=f"crashed:{job.token}",
                level="warn",
                message=f"{why}; the job goes on from its last checkpoint.",
            )
            self.tell(job, [told])
            self.release(job)
            return
        self.fail(
            job,
            JobFault(
                code="training_died",
                message=f"{why}, {crashes} times without a further step. Look "
                "into the log of the worker; if memory ran out, choose a smaller base or batch.",
            ),
        )

    def uses_before(self, job: Job, held_out: str) -> int:
        """How many other jobs have measured their proof on the same rows."""
        with self.database.reading() as connection:
            rows = connection.execute(
                select(_jobs.c.id).where(_jobs.c.held_out == held_out, _jobs.c.id != job.id)
            ).all()
        return len(rows)

    def _take(self, wanted: ColumnElement[bool], values: Mapping[str, Any]) -> Job | None:
        with self.database.writing() as connection:
            now = self.database.now(connection)
            free = or_(_jobs.c.lease_until.is_(None), _jobs.c.lease_until <= now)
            first = select(*JOB_COLUMNS).where(wanted, free).order_by(_jobs.c.number)
            locked = first.limit(1).with_for_update(skip_locked=True)
            row = connection.execute(locked).mappings().one_or_none()
            if row is None:
                return None
            job = job_of(row)
            if job.wanted is not None:  # its worker was lost before it could do so
                granted = grant(connection, job, job.wanted, now=now)
                connection.execute(update(_jobs).where(_jobs.c.id == job.id).values(**granted))
                return None
            token = job.token + 1
            connection.execute(
                update(_jobs)
                .where(_jobs.c.id == job.id)
                .values(**values, owner=self.owner, token=token, lease_until=now + self.seconds)
            )
            if values:
                begun = NewEvent(key="started", message="Fine-tuning job started")
                tell(connection, job.id, [begun], now=now)
            taken = select(*JOB_COLUMNS).where(_jobs.c.id == job.id)
            return job_of(connection.execute(taken).mappings().one())

    @contextmanager
    def _fenced(self, job: Job) -> Generator[tuple[Connection, Job]]:
        with self.database.writing() as connection:
            mine = select(*JOB_COLUMNS).where(*self._is_mine(job)).with_for_update()
            row = connection.execute(mine).mappings().one_or_none()
            if row is None:
                raise LeaseLostError(job.id)
            yield connection, job_of(row)

    def _is_mine(self, job: Job) -> tuple[ColumnElement[bool], ...]:
        same = (_jobs.c.id == job.id, _jobs.c.token == job.token)
        return (*same, _jobs.c.owner == self.owner)

    def _set(self, connection: Connection, job: Job, values: Mapping[str, Any]) -> None:
        connection.execute(update(_jobs).where(*self._is_mine(job)).values(**values))

    def _done(
        self,
        connection: Connection,
        job: Job,
        values: Mapping[str, Any],
        told: Sequence[NewEvent],
    ) -> None:
        """Lets go of a job, with what became of it."""
        tell(connection, job.id, told, now=self.database.now(connection))
        free = {"owner": None, "lease_until": None, "wanted": None}
        if "finished_at" not in values and job.wanted is not None:
            # A wish that came while this was being done: what is not over can still be had.
            now = self.database.now(connection)
            free = grant(connection, job, job.wanted, now=now)
            values = {name: value for name, value in values.items() if name != "status"}
        self._set(connection, job, {**values, **free})
