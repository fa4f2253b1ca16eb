"""The worker: takes jobs, has their data checked and their models trained, one at a time a device.

One loop on one thread. Whatever takes long is done by children, which end with it; its own state
is the table of jobs and the files, so that it can be killed at any moment.
"""

import os
import secrets
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from sqlalchemy.exc import SQLAlchemyError

from tunewise.serving.jobs.children import COMMAND, Child, how_it_died
from tunewise.serving.jobs.database import Database
from tunewise.serving.jobs.devices import DeviceLock, device_environment
from tunewise.serving.jobs.files import FileStore
from tunewise.serving.jobs.finishing import finish
from tunewise.serving.jobs.following import Follower, message_event, progress_of
from tunewise.serving.jobs.leases import LEASE_SECONDS, LeaseLostError, Leases
from tunewise.serving.jobs.outcome import read_outcome
from tunewise.serving.jobs.places import TRAIN, VALIDATE, Places
from tunewise.serving.jobs.publish import Publisher
from tunewise.serving.jobs.records import Job, JobFault, Wish

POLL_SECONDS = 0.25
STOP_SECONDS = 15.0
"""A child that does not end so long after it was asked to is killed."""


@dataclass(kw_only=True)
class _Held:
    """A job that this worker holds, and the child that works on it."""

    job: Job
    child: Child
    run: Path
    follower: Follower
    renewed: float
    """When its lease was last renewed, on the monotonic clock."""
    stopping: Wish | None = None
    stop_by: float = 0.0


@dataclass(kw_only=True)
class Worker:
    """Works on the jobs of a data base until `stop` is called.

    Args:
        database: of the jobs.
        places: where their files lie.
        files: takes result files.
        publisher: takes finished models.
        device: on which trainings run, as `default_device` names it.
        lease_seconds: see `Leases`.
        command: of the children.
        clock: monotonic seconds.
    """

    database: Database
    places: Places
    files: FileStore
    publisher: Publisher
    device: str
    lease_seconds: float = LEASE_SECONDS
    command: Sequence[str] = COMMAND
    clock: Callable[[], float] = time.monotonic
    _held: dict[str, _Held] = field(init=False, default_factory=dict[str, _Held])
    """What is done (`validate`, `train`) -> the job at hand."""
    _ended: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        owner = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._leases = Leases(self.database, owner, seconds=self.lease_seconds)
        self._lock = DeviceLock(self.places.locks, self.device)
        self._log = structlog.get_logger("tunewise.worker").bind(device=self.device)

    def run(self) -> None:
        """Works. Call it from the main thread, as children end with the thread that made them."""
        self._log.info("worker started", owner=self._leases.owner)
        try:
            while not self._ended:
                self.look()
                time.sleep(POLL_SECONDS)
        finally:
            self._give_back()

    def stop(self) -> None:
        """Has `run` end: trainings save their steps, and others go on with them."""
        self._ended = True

    def look(self) -> None:
        """One round: what is done is finished, what is at hand goes on, what is free is taken."""
        for what in list(self._held):
            held = self._held[what]
            try:
                self._go_on(what, held)
            except LeaseLostError:
                self._drop(what, held, "lost its lease")
            except SQLAlchemyError as error:
                self._log.warning("data base cannot be reached", why=str(error.__cause__ or error))
                if self.clock() - held.renewed > self.lease_seconds * 0.7:
                    self._drop(what, held, "could not renew its lease")
        try:
            self._take()
        except SQLAlchemyError as error:
            self._log.warning("data base cannot be reached", why=str(error.__cause__ or error))

    def _take(self) -> None:
        if VALIDATE not in self._held and (job := self._leases.take_to_validate()):
            self._begin(VALIDATE, job)
        if TRAIN in self._held:
            return
        if not self._lock.acquire():
            return  # another worker's, or that of a child that is still ending
        if job := self._leases.take_to_train():
            self._begin(TRAIN, job)
        else:
            self._lock.release()

    def _begin(self, what: str, job: Job) -> None:
        trains = what == TRAIN
        run = self.places.run(job.id, job.token) if trains else self.places.check(job.id, job.token)
        child = Child.start(
            [what, str(self.places.project(job.id)), str(run)],
            command=self.command,
            log=self.places.log(job.id),
            environment=device_environment(self.device) if trains else {},
            keep=[self._lock.handle] if trains else [],
        )
        self._log.info("job taken", job=job.id, what=what, token=job.token)
        self._held[what] = _Held(
            job=job, child=child, run=run, follower=Follower(run), renewed=self.clock()
        )

    def _go_on(self, what: str, held: _Held) -> None:
        code = held.child.code
        if code is not None:
            self._ended_with(what, held, code)
            return
        if self.clock() - held.renewed >= self.lease_seconds / 4:
            wish = self._leases.renew(held.job)
            held.renewed = self.clock()
            if wish is not None and held.stopping is None:
                self._ask_to_end(held, wish)
        if told := held.follower.new():
            self._leases.tell(held.job, told)
        if held.stopping and self.clock() > held.stop_by:
            held.child.kill()

    def _ask_to_end(self, held: _Held, wish: Wish) -> None:
        held.stopping, held.stop_by = wish, self.clock() + STOP_SECONDS
        held.child.stop()

    def _ended_with(self, what: str, held: _Held, code: int) -> None:
        """Writes down what became of a job whose child has ended."""
        job, outcome = held.job, read_outcome(held.run)
        del self._held[what]
        if what == TRAIN:
            self._lock.release()
        self._leases.tell(job, held.follower.new())
        if outcome is not None and outcome.fault is not None:
            self._leases.fail(job, outcome.fault)
        elif outcome is not None and what == VALIDATE:
            self._leases.validated(job, [message_event(line) for line in outcome.told])
        elif outcome is not None:
            self._finish(held)
        elif held.stopping is not None:
            self._leases.grant(job, held.stopping)
        else:
            self._leases.crashed(job, step=progress_of(held.run), why=how_it_died(code))
        self._log.info("job let go of", job=job.id, what=what, code=code)

    def _finish(self, held: _Held) -> None:
        """Publishes what a job trained, and says so."""
        try:
            finish(
                held.job,
                held.run,
                leases=self._leases,
                places=self.places,
                files=self.files,
                publisher=self.publisher,
            )
        except OSError as error:
            told = f"The model cannot be kept: {error.strerror or error}. Free some space."
            self._leases.fail(held.job, JobFault(code="not_published", message=told))

    def _drop(self, what: str, held: _Held, why: str) -> None:
        """Lets go of a job that is somebody else's by now, or will be."""
        self._held.pop(what, None)
        held.child.kill()
        if what == TRAIN:
            self._lock.release()
        self._log.warning("job dropped", job=held.job.id, why=why)

    def _give_back(self) -> None:
        """At the end: has children save their steps, and gives their jobs to others."""
        for held in self._held.values():
            held.child.stop()
        end = self.clock() + STOP_SECONDS
        while self.clock() < end and any(one.child.code is None for one in self._held.values()):
            time.sleep(0.05)
        for what in list(self._held):
            held = self._held[what]
            held.child.kill()
            try:
                if read_outcome(held.run) is None:
                    self._leases.release(held.job)
                else:
                    self._ended_with(what, held, 0)
            except (LeaseLostError, SQLAlchemyError) as error:
                self._log.warning("job not given back", job=held.job.id, why=str(error))
        self._lock.release()
        self._log.info("worker ended")
