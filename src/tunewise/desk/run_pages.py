"""What a run found: its verdict, in the words and pictures of the report."""

from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from fastapi import APIRouter, Request, Response
from markupsafe import Markup
from starlette.background import BackgroundTask

from tunewise.desk.answer_index import index_of
from tunewise.desk.pages import page
from tunewise.desk.places import Places
from tunewise.errors import UserError
from tunewise.report.html import render_body
from tunewise.report.sentences import headline
from tunewise.runs.read import read_summary
from tunewise.serving.http.sessions import PAGES

KEPT_BODIES = 8
"""Verdicts that are kept as they are shown."""


class RunPages:
    """The verdict of one run.

    Args:
        places: where runs lie.
    """

    def __init__(self, places: Places) -> None:
        self._places = places

    def add_to(self, router: APIRouter) -> None:
        """Adds the routes."""
        router.add_api_route(f"{PAGES}/runs/{{name}}/verdict", self.show, response_class=Response)

    def show(self, request: Request, name: str) -> Response:
        """The report, without the rows: these have a page of their own."""
        found = self._places.run(name)
        path = found.listed.path
        changed = (path / "verdict.json").stat().st_mtime_ns if found.listed.outcome else 0
        title, body = _body(path, changed)
        shown = page(request, "verdict.html", title=title, run=found, tab="verdict", body=body)
        shown.background = BackgroundTask(_prepare_answers, path)  # these are looked at next
        return shown


def _prepare_answers(folder: Path) -> None:
    with suppress(UserError):  # told where it matters
        index_of(read_summary(folder))


@lru_cache(maxsize=KEPT_BODIES)
def _body(folder: Path, changed: int) -> tuple[str, Markup]:
    """The headline and the report of a run whose verdict was written at that moment."""
    run = read_summary(folder)
    return headline(run), render_body(run)
