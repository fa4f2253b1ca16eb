"""Fine-tuning jobs of the API and what they tell, and the keys there are."""

import time
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from starlette.responses import RedirectResponse

from tunewise.desk.pages import NotThereError, page
from tunewise.runs.records import visible
from tunewise.serving.http.sessions import PAGES
from tunewise.serving.jobs.paging import Cursor
from tunewise.serving.jobs.queue import JobQueue
from tunewise.serving.jobs.records import OVER, Job, Wish
from tunewise.serving.keys import KeyFile

PAGE_JOBS = 30
PAGE_EVENTS = 200
"""The newest ones."""
_Id = Annotated[str, Query(max_length=100)]


class JobPages:
    """The queue, one job, the keys.

    Args:
        queue: of jobs.
        keys: of this machine.
    """

    def __init__(self, queue: JobQueue, keys: KeyFile) -> None:
        self._queue, self._keys = queue, keys

    def add_to(self, router: APIRouter) -> None:
        """Adds the routes."""
        one = f"{PAGES}/jobs/{{name}}"
        router.add_api_route(f"{PAGES}/jobs", self.list, response_class=Response)
        router.add_api_route(one, self.show, response_class=Response)
        router.add_api_route(f"{one}/ask", self.ask, methods=["POST"], response_class=Response)
        router.add_api_route(
            f"{one}/resume", self.resume, methods=["POST"], response_class=Response
        )

    def list(self, request: Request, after: _Id = "") -> Response:
        """The jobs, the newest first, and the keys."""
        known = self._keys.keys()
        found = self._queue.page(Cursor(after=after or None, limit=PAGE_JOBS), metadata={})
        return page(
            request,
            "jobs.html",
            title="Jobs and keys",
            here="jobs",
            jobs=[(job, _when(job.created_at)) for job in found.rows],
            more=found.rows[-1].id if found.has_more else "",
            open_jobs=self._queue.waiting(),
            keys=[
                (key.name, ", ".join(key.scopes), f"{key.rotated or key.created:%Y-%m-%d}")
                for key in known
            ],
        )

    def show(self, request: Request, name: str) -> Response:
        """One job, and what it told."""
        job = self._job(name)
        events = self._queue.events(name, Cursor(after=None, limit=PAGE_EVENTS))
        facts = {
            "base model": job.model,
            "method": job.kind,
            "made": _when(job.created_at),
            "over": _when(job.finished_at) if job.finished_at else "",
            "tokens trained on": "" if job.trained_tokens is None else str(job.trained_tokens),
            "model": job.fine_tuned_model or "",
        }
        return page(
            request,
            "job.html",
            title=job.id,
            here="jobs",
            job=job,
            facts=[(what, visible(said)) for what, said in facts.items() if said],
            fault=visible(job.error.message) if job.error else "",
            events=[(_when(one.created_at), visible(one.message)) for one in events.rows],
            more=events.has_more,
            over=job.status in OVER,
        )

    def ask(self, name: str, wish: Annotated[Wish, Form()]) -> Response:
        """Cancels or pauses a job."""
        self._queue.ask(self._job(name).id, wish)
        return RedirectResponse(f"{PAGES}/jobs/{name}", 303)

    def resume(self, name: str) -> Response:
        """Puts a paused job back into the queue."""
        self._queue.resume(self._job(name).id)
        return RedirectResponse(f"{PAGES}/jobs/{name}", 303)

    def _job(self, name: str) -> Job:
        job = self._queue.find(name)
        if job is None:
            raise NotThereError("There is no such job.")
        return job


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
