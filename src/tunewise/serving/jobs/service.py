"""Puts files, queue, routes and worker together over one folder and one data base."""

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from tunewise.errors import UserError
from tunewise.runs.registry import Registry, Version
from tunewise.serving.jobs.database import Database, sqlite_url
from tunewise.serving.jobs.devices import default_device
from tunewise.serving.jobs.files import FileStore
from tunewise.serving.jobs.places import Places
from tunewise.serving.jobs.project_files import model_name
from tunewise.serving.jobs.publish import Publisher, RegistryPublisher
from tunewise.serving.jobs.queue import JobQueue
from tunewise.serving.jobs.records import OVER
from tunewise.serving.jobs.worker import Worker
from tunewise.storage import home_folder

if TYPE_CHECKING:
    from fastapi import APIRouter

MAX_FILE_BYTES = 512 * 1000**2
"""Of an upload: OpenAI's limit."""
FOLDER = "jobs"
"""In the data home."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Jobs:
    """The fine-tuning side of a server."""

    home: Path
    url: str
    """Of the data base, as a worker needs it."""
    database: Database
    places: Places
    files: FileStore
    queue: JobQueue

    def routers(self, bases: Callable[[], Mapping[str, str]]) -> "list[APIRouter]":
        """Its routes, with their whole paths.

        Args:
            bases: gives the models that can be tuned: name -> what it opens as.
        """
        from tunewise.serving.jobs.routes_files import files_router  # noqa: PLC0415 - no worker
        from tunewise.serving.jobs.routes_jobs import (  # noqa: PLC0415 - needs FastAPI
            JobService,
            jobs_router,
        )

        service = JobService(queue=self.queue, files=self.files, places=self.places, bases=bases)
        return [files_router(self.files), jobs_router(service)]

    def needing(self, version: Version) -> str | None:
        """Which job needs a version, in words of a person: the one that publishes it and is not
        over; None: none does."""
        name = version.lineage.known_as.partition(":ckpt-step-")[0]
        job = self.queue.find(f"ftjob-{name.rpartition(':')[2]}")
        if job is None or job.status in OVER or model_name(job) != name:
            return None
        return f"job {job.id} publishes it, and is {job.status}. Wait for its end, or cancel it"

    def close(self) -> None:
        """Closes the data base."""
        self.database.close()


def open_jobs(
    *,
    home: Path | None = None,
    database: str | None = None,
    max_file_bytes: int = MAX_FILE_BYTES,
) -> Jobs:
    """Opens what is kept of files and jobs, made if need be.

    Args:
        home: where files lie; None: `jobs` in the data home.
        database: URL of the tables; None: SQLite in `home`.
        max_file_bytes: of an upload.

    Raises:
        UserError: the folder cannot be written to, or the data base cannot be used.
    """
    folder = (home or home_folder() / FOLDER).absolute()
    try:
        places = Places(home=folder)
        url = database or sqlite_url(folder)
        opened = Database(url)
        files = FileStore(opened, places.files, max_bytes=max_file_bytes)
    except OSError as error:
        raise UserError(
            f"{folder}: files of jobs cannot be kept here: {error.strerror or error}. Name a "
            "folder you may write to with --home."
        ) from error
    return Jobs(
        home=folder,
        url=url,
        database=opened,
        places=places,
        files=files,
        queue=JobQueue(opened),
    )


def run_worker(
    *,
    home: Path | None = None,
    database: str | None = None,
    device: str | None = None,
    publisher: Publisher | None = None,
) -> None:
    """Works on jobs until a signal comes. Call it from the main thread.

    Args:
        home: as `open_jobs`.
        database: as `open_jobs`.
        device: on which to train; None: `default_device`.
        publisher: takes finished models; None: the registry in the data home.

    Raises:
        UserError: as `open_jobs`, or there is no such device.
    """
    chosen = device or default_device()
    kind, _, number = chosen.partition(":")
    if chosen != "cpu" and not (kind == "cuda" and number.isdigit()):
        raise UserError(
            f"--device: {chosen} is no device. Write cpu, or cuda: and a number, as cuda:0.",
            exit_code=2,
        )
    jobs = open_jobs(home=home, database=database)
    worker = Worker(
        database=jobs.database,
        places=jobs.places,
        files=jobs.files,
        publisher=publisher or RegistryPublisher(Registry()),
        device=chosen,
    )

    def stop(signum: int, frame: FrameType | None) -> None:
        worker.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        worker.run()
    finally:
        jobs.close()
