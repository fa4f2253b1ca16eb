"""A run as it goes: its page, the stream that keeps the page up to date, stop and go on."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse, StreamingResponse

from tunewise.desk.course import STAGES, Course
from tunewise.desk.followers import Followers
from tunewise.desk.pages import NotThereError, fragment, page
from tunewise.desk.places import FoundRun, Places, id_of
from tunewise.desk.processes import Processes
from tunewise.pipelines.estimate import between
from tunewise.runs.folder import Listed
from tunewise.serving.http.sessions import PAGES
from tunewise.wording import duration, percent

_WORDS = {
    "waiting": "waiting",
    "fitting": "at work",
    "in": "in the race",
    "out": "out",
    "skipped": "not run",
}
SHOWN_LOG = 40
"""Lines."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """A step of the run."""

    name: str
    state: str
    """`done`, `now` or `later`."""


class CoursePages:
    """How runs go.

    Args:
        places: where runs lie.
        processes: the runs that pages began.
        followers: read the files of runs.
    """

    def __init__(self, places: Places, processes: Processes, followers: Followers) -> None:
        self._places, self._processes, self._followers = places, processes, followers

    def add_to(self, router: APIRouter) -> None:
        """Adds the routes."""
        one = f"{PAGES}/runs/{{name}}"
        router.add_api_route(one, self.enter, response_class=Response)
        router.add_api_route(f"{one}/course", self.show, response_class=Response)
        router.add_api_route(f"{one}/events", self.stream, response_class=Response)
        router.add_api_route(f"{one}/stop", self.stop, methods=["POST"], response_class=Response)
        router.add_api_route(f"{one}/resume", self.go_on, methods=["POST"], response_class=Response)
        router.add_api_route(
            f"{PAGES}/projects/{{name}}/decide",
            self.begin,
            methods=["POST"],
            response_class=Response,
        )

    def enter(self, name: str) -> Response:
        """The verdict where there is one, else how the run goes."""
        tab = "verdict" if self._find(name).listed.outcome else "course"
        return RedirectResponse(f"{PAGES}/runs/{name}/{tab}", 303)

    def show(self, request: Request, name: str) -> Response:
        """The page, as complete as it is without scripts."""
        found = self._find(name)
        course = Course(found.listed.path)
        course.look()
        return page(
            request,
            "course.html",
            title=f"Progress of {found.listed.id}",
            run=found,
            tab="course",
            now=self._now(found, course),
        )

    async def stream(self, name: str) -> Response:
        """What changes, as server-sent events: `now` is a piece of the page, `points` numbers."""
        found = await asyncio.to_thread(self._find, name)
        return StreamingResponse(self._events(found), media_type="text/event-stream")

    def stop(self, name: str) -> Response:
        """Ends the process; what is done is kept."""
        self._processes.stop(self._find(name).listed.path)
        return RedirectResponse(f"{PAGES}/runs/{name}/course", 303)

    def go_on(self, name: str) -> Response:
        """Goes on with what was interrupted."""
        found = self._find(name)
        self._processes.resume(found.listed.path, found.project.folder)
        return RedirectResponse(f"{PAGES}/runs/{name}/course", 303)

    def begin(self, name: str, quick: bool = False) -> Response:
        """Begins a run of a project."""
        project = self._places.project(name)
        run = self._processes.begin(project.folder, quick=quick)
        return RedirectResponse(f"{PAGES}/runs/{id_of(run)}/course", 303)

    def _find(self, name: str) -> FoundRun:
        """A run that lies here, or that a page has begun just now."""
        try:
            return self._places.run(name)
        except NotThereError:
            begun = self._processes.by_id(name)
            if begun is None:
                raise
        run = Path(begun.run)
        listed = Listed(
            id=run.name,
            path=run,
            outcome=None,
            finding="",
            command="decide",
            state="running",
            since="",
        )
        project = self._places.project(id_of(Path(begun.project)))
        return FoundRun(id=name, listed=listed, project=project)

    async def _events(self, found: FoundRun) -> AsyncGenerator[str]:
        sent: dict[str, tuple[int, int, int]] = {}
        async with aclosing(self._followers.follow(found.listed.path)) as courses:
            async for course in courses:
                now = await asyncio.to_thread(self._now, found, course)
                yield _event("now", now)
                if points := _points(course, sent):
                    yield _event("points", json.dumps(points))
                if course.state == "finished":
                    yield _event("over", "")
                    return

    def _now(self, found: FoundRun, course: Course) -> str:
        run = found.listed.path
        own = self._processes.begun(run) is not None
        alive = self._processes.pid_of(run) is not None
        there = run.is_dir()
        state = course.state
        if not alive and (not there or state == "running") and own:
            state = "interrupted"
        left = course.time_left()
        return fragment(
            "course_now.html",
            run=found,
            course=course,
            state=state,
            there=there,
            preparing=alive and not course.reached,
            left=between(*left) if left else "",
            stages=_stages(course),
            racers=[
                (
                    racer,
                    _WORDS[racer.standing]
                    if racer.standing != "fitting" or state == "running"
                    else "interrupted",
                    "" if racer.dev is None else percent(racer.dev),
                    "" if racer.seconds is None else duration(racer.seconds),
                )
                for racer in course.racers.values()
            ],
            can_stop=alive,
            can_resume=state == "interrupted" and found.listed.command == "decide",
            log=""
            if state == "finished"
            else "\n".join(self._processes.log(run).splitlines()[-SHOWN_LOG:]),
        )


def _stages(course: Course) -> list[Stage]:
    """What is done, what is going on, what is to come."""
    if "decided" in course.reached and course.state == "finished":
        return [Stage(name=name, state="done") for _, name in STAGES]
    fitted = "planned" in course.reached
    opened = "test opened" in course.reached
    at = 0 if not fitted else 2 if not opened else 3 if _all_tested(course) else 2
    return [
        Stage(name=name, state="done" if n < at else "now" if n == at else "later")
        for n, (_, name) in enumerate(STAGES)
    ]


def _all_tested(course: Course) -> bool:
    still = [racer for racer in course.racers.values() if racer.standing == "in"]
    return bool(still) and all(racer.tested >= course.test_rows for racer in still)


def _points(course: Course, sent: dict[str, tuple[int, int, int]]) -> list[dict[str, object]]:
    """What a page has not got yet; a curve from its beginning where steps were taken back."""
    found: list[dict[str, object]] = []
    for name, curve in course.curves.items():
        steps, devs, back = sent.get(name, (0, 0, curve.taken_back))
        anew = back != curve.taken_back or steps > len(curve.steps)
        if anew:
            steps = devs = 0
        if name in sent and not anew and steps == len(curve.steps) and devs == len(curve.dev):
            continue
        found.append(
            {
                "name": name,
                "anew": anew or name not in sent,
                "total": curve.total_steps,
                "metric": curve.metric,
                "steps": curve.steps[steps:],
                "loss": curve.loss[steps:],
                "pace": curve.pace[steps:],
                "dev_steps": curve.dev_steps[devs:],
                "dev": curve.dev[devs:],
            }
        )
        sent[name] = (len(curve.steps), len(curve.dev), curve.taken_back)
    return found


def _event(name: str, text: str) -> str:
    """One server-sent event; a line break begins another line of data."""
    lines = "".join(f"data: {line}\n" for line in text.split("\n"))
    return f"event: {name}\n{lines}\n"
