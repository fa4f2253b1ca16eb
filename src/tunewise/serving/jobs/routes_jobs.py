"""`/v1/fine_tuning/jobs`: made, looked at, cancelled, paused, resumed."""

import asyncio
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from sqlalchemy.exc import OperationalError

from tunewise.serving.http.access import needs
from tunewise.serving.http.errors import ApiError
from tunewise.serving.jobs.database import is_full
from tunewise.serving.jobs.files import FileStore
from tunewise.serving.jobs.paging import Cursor
from tunewise.serving.jobs.places import Places
from tunewise.serving.jobs.project_files import make_project
from tunewise.serving.jobs.queue import JobQueue, QueueFullError
from tunewise.serving.jobs.records import OVER, TRAINING, Job, Wish, new_id
from tunewise.serving.jobs.requests import JobRequest
from tunewise.serving.jobs.responses import (
    Json,
    checkpoint_body,
    event_body,
    job_body,
    list_body,
    verdict_body,
)
from tunewise.serving.jobs.storing import StoringRoute

WAIT_SECONDS = 20.0
"""A request to cancel or pause waits so long for the training to have stopped."""
_LOOK_SECONDS = 0.1
_QUEUE_RETRY = 60
"""Seconds after which a client may try again whose job found the queue full."""
Limit = Annotated[int, Query(ge=1, le=100)]


@dataclass(frozen=True, kw_only=True, slots=True)
class JobService:
    """What the routes of jobs work on.

    Args:
        queue: of the jobs.
        files: that they use.
        places: where they are worked on.
        bases: gives the models that can be tuned: name -> what it opens as (a catalog name, hub
            id, folder or GGUF file). Nothing else is ever opened for a request.
    """

    queue: JobQueue
    files: FileStore
    places: Places
    bases: Callable[[], Mapping[str, str]]

    def create(self, asked: JobRequest) -> Job:
        """Adds a job to the queue.

        Raises:
            ApiError: a model or file that is not there, of another purpose, or a full queue.
        """
        bases = self.bases()
        source = bases.get(asked.model)
        if source is None:
            raise ApiError(
                400,
                f"model: {asked.model} cannot be tuned here. Name one of: {', '.join(bases)}.",
                param="model",
                code="model_not_available",
            )
        job = Job(
            id=new_id("ftjob-"),
            created_at=0,
            model=asked.model,
            training_file=self._usable(asked.training_file, "training_file"),
            validation_file=asked.validation_file
            and self._usable(asked.validation_file, "validation_file"),
            suffix=asked.suffix,
            seed=asked.seed or 0,
            method=asked.chosen_method(),
            metadata=asked.metadata or {},
        )
        try:
            make_project(job, source, self.places, self.files)
            return self.queue.add(job)
        except (OSError, OperationalError, QueueFullError) as error:
            if not isinstance(error, OperationalError) or is_full(error):
                shutil.rmtree(self.places.job(job.id), ignore_errors=True)  # no row names it
            if isinstance(error, FileNotFoundError):
                raise self._gone(job) from error
            if isinstance(error, QueueFullError):
                raise ApiError(
                    429,
                    "The queue is full. Try again when jobs are over.",
                    code="queue_full",
                    headers={"Retry-After": str(_QUEUE_RETRY)},
                ) from error
            raise

    def find(self, job: str) -> Job:
        """The job of an id. Raises ApiError: 404."""
        found = self.queue.find(job)
        if found is None:
            raise ApiError(
                404, f"There is no fine-tuning job {job}.", param="job_id", code="job_not_found"
            )
        return found

    async def settle(self, job: str, wish: Wish) -> Job:
        """Cancels or pauses a job, and waits until its training has stopped.

        Raises:
            ApiError: there is no such job.
            RefusedError: it is over.
        """
        await run_in_threadpool(self.find, job)
        found = await run_in_threadpool(self.queue.ask, job, wish)
        end = asyncio.get_running_loop().time() + WAIT_SECONDS
        while found.wanted is not None and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(_LOOK_SECONDS)
            found = await run_in_threadpool(self.find, job)
            if found.status not in OVER:  # its worker may be lost: then this settles it
                found = await run_in_threadpool(self.queue.ask, job, wish)
        return found

    def _gone(self, job: Job) -> ApiError:
        """A file was deleted while the job was made."""
        trains = self.files.path(job.training_file).exists()
        param = "validation_file" if trains else "training_file"
        return ApiError(
            400,
            f"{param}: was deleted meanwhile. Upload it again.",
            param=param,
            code="file_not_found",
        )

    def _usable(self, file: str, param: str) -> str:
        stored = self.files.find(file)
        if stored is None:
            raise ApiError(
                400, f"{param}: there is no file {file}.", param=param, code="file_not_found"
            )
        if stored.purpose != TRAINING:
            raise ApiError(
                400,
                f'{param}: {file} has the purpose "{stored.purpose}". Upload it with the purpose '
                f'"{TRAINING}".',
                param=param,
                code="invalid_purpose",
            )
        return stored.id


def jobs_router(service: JobService) -> APIRouter:
    """The routes of jobs.

    Args:
        service: what they work on.
    """
    router = APIRouter(
        prefix="/v1/fine_tuning/jobs",
        tags=["fine-tuning"],
        dependencies=[needs("jobs")],
        route_class=StoringRoute,
    )

    @router.post("")
    def create(asked: JobRequest) -> Json:  # pyright: ignore[reportUnusedFunction]
        """Has a model trained."""
        return job_body(service.create(asked))

    @router.get("")
    def listed(  # pyright: ignore[reportUnusedFunction]
        request: Request, after: str | None = None, limit: Limit = 20
    ) -> Json:
        """All jobs, the newest first; `metadata[KEY]=VALUE` asks for some."""
        wanted = {
            name[len("metadata[") : -1]: value
            for name, value in request.query_params.items()
            if name.startswith("metadata[") and name.endswith("]")
        }
        page = service.queue.page(Cursor(after=after, limit=limit), metadata=wanted)
        return list_body(page, job_body)

    @router.get("/{job_id}")
    def one(job_id: str) -> Json:  # pyright: ignore[reportUnusedFunction]
        """A job."""
        return job_body(service.find(job_id))

    @router.post("/{job_id}/cancel")
    async def cancel(job_id: str) -> Json:  # pyright: ignore[reportUnusedFunction]
        """Ends a job for good."""
        return job_body(await service.settle(job_id, "cancel"))

    @router.post("/{job_id}/pause")
    async def pause(job_id: str) -> Json:  # pyright: ignore[reportUnusedFunction]
        """Stops a job, to be gone on with later."""
        return job_body(await service.settle(job_id, "pause"))

    @router.post("/{job_id}/resume")
    def resume(job_id: str) -> Json:  # pyright: ignore[reportUnusedFunction]
        """Goes on with a paused job."""
        service.find(job_id)
        return job_body(service.queue.resume(job_id))

    @router.get("/{job_id}/events")
    def events(  # pyright: ignore[reportUnusedFunction]
        job_id: str, after: str | None = None, limit: Limit = 20
    ) -> Json:
        """What a job told, the newest first."""
        service.find(job_id)
        cursor = Cursor(after=after, limit=limit)
        return list_body(service.queue.events(job_id, cursor), event_body)

    @router.get("/{job_id}/checkpoints")
    def checkpoints(  # pyright: ignore[reportUnusedFunction]
        job_id: str, after: str | None = None, limit: Limit = 10
    ) -> Json:
        """Models from the middle of a finished training, the newest first."""
        job = service.find(job_id)
        page = service.queue.checkpoints(job_id, Cursor(after=after, limit=limit))
        return list_body(page, lambda one: checkpoint_body(job, one))

    @router.get("/{job_id}/verdict")
    def verdict(job_id: str) -> Json:  # pyright: ignore[reportUnusedFunction]
        """Ours: the proof of a finished job, its held-out comparison with the base."""
        job = service.find(job_id)
        if job.verdict is None:
            raise ApiError(
                400,
                f"Job {job_id} has no verdict: its status is {job.status}.",
                code=f"job_{job.status}",
            )
        return verdict_body(job)

    return router
