"""Puts the pages together over what a server shares with them."""

from collections.abc import Callable, Sequence
from pathlib import Path

from fastapi import APIRouter, Depends, Request, Response

from tunewise.desk.answer_pages import AnswerPages
from tunewise.desk.assets import asset
from tunewise.desk.commands import Commands
from tunewise.desk.compare_page import ComparePage
from tunewise.desk.course_pages import CoursePages
from tunewise.desk.entrance import Entrance
from tunewise.desk.exports import Exports
from tunewise.desk.followers import Followers
from tunewise.desk.home import Home
from tunewise.desk.job_pages import JobPages
from tunewise.desk.model_pages import ModelPages
from tunewise.desk.pages import DeskRoute, NotThereError, refuse_foreign
from tunewise.desk.places import Places
from tunewise.desk.playground import Playground
from tunewise.desk.processes import Processes
from tunewise.desk.project_pages import ProjectPages
from tunewise.desk.rate_pages import RatePages
from tunewise.desk.run_pages import RunPages
from tunewise.desk.start_pages import StartPages
from tunewise.serving.http.access import needs
from tunewise.serving.http.chat import chat_completions
from tunewise.serving.http.service import rate_limited
from tunewise.serving.http.sessions import ASK, PAGES, STATIC
from tunewise.serving.start import Shared

_KEPT = "public, max-age=31536000, immutable"


def pages_of(
    folders: Sequence[Path], *, examples: Sequence[Path] = ()
) -> Callable[[Shared], APIRouter]:
    """What makes the routes under /ui.

    Args:
        folders: projects, or folders that hold some.
        examples: projects that are shown beside them, to look at.

    Raises:
        UserError: one of them is no folder.
    """
    places = Places(folders, examples=examples)

    def pages(shared: Shared) -> APIRouter:
        commands = Commands()
        router = APIRouter(
            route_class=DeskRoute, dependencies=[needs("admin")], include_in_schema=False
        )
        for part in (
            Home(places, shared.registry),
            StartPages(places),
            ProjectPages(places, commands),
            RunPages(places),
            RatePages(places),
            AnswerPages(places),
            ComparePage(places),
            CoursePages(places, Processes(), Followers()),
            ModelPages(shared.registry, Exports(commands, places.folders[0])),
            Playground(shared.catalogue, shared.registry, places),
            JobPages(shared.jobs, shared.keys),
        ):
            part.add_to(router)
        everybody = APIRouter(
            route_class=DeskRoute, dependencies=[needs()], include_in_schema=False
        )
        Entrance(shared.access).add_to(everybody)
        everybody.add_api_route(f"{STATIC}{{name}}", _static, response_class=Response)
        everybody.include_router(router)
        everybody.include_router(asking)
        everybody.add_api_route(f"{PAGES}/{{rest:path}}", _nothing, response_class=Response)
        return everybody

    return pages


asking = APIRouter(dependencies=[needs("admin"), Depends(refuse_foreign)], include_in_schema=False)
"""Answers as the API does, in its form, errors too: scripts read them."""
asking.add_api_route(
    ASK,
    chat_completions,
    methods=["POST"],
    dependencies=[Depends(rate_limited)],
    response_model=None,
)


def _static(name: str) -> Response:
    found = asset(name)
    if found is None:
        raise NotThereError("There is no such file.")
    headers = {"Cache-Control": _KEPT, "ETag": f'"{found.version}"'}
    return Response(found.content, media_type=found.media_type, headers=headers)


def _nothing(request: Request, rest: str) -> Response:
    raise NotThereError("There is no such page.")
