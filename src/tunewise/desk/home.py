"""The first page: projects and runs that lie here, models with a name, and the example."""

from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from tunewise.desk.pages import page
from tunewise.desk.places import FoundProject, Places, id_of
from tunewise.project.examples import about
from tunewise.runs.folder import Listed
from tunewise.runs.registry import Registry
from tunewise.serving.http.sessions import PAGES

SHOWN_RUNS = 6
"""Of a project, before the rest is folded away."""
MAX_ABOUT = 400
"""Characters."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunLine:
    """One run in a list."""

    id: str
    name: str
    state: str
    """`finished`, `running`, `interrupted` or `trained`."""
    outcome: str
    finding: str
    since: str
    is_verdict: bool
    """Whether it has one to show."""


def run_line(listed: Listed) -> RunLine:
    """A run as lists show it."""
    decided = listed.command == "decide"
    return RunLine(
        id=id_of(listed.path),
        name=listed.id,
        state=listed.state if decided or listed.state != "finished" else "trained",
        outcome=listed.outcome or "",
        finding=listed.finding,
        since=listed.since,
        is_verdict=listed.outcome is not None,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Project:
    found: FoundProject
    place: str
    """Its folder, from the one where the page was started."""
    first: tuple[RunLine, ...]
    rest: tuple[RunLine, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Example:
    project: _Project
    about: str
    """The first line of its tunewise.toml."""
    finished: tuple[RunLine, ...]


def _example(project: _Project) -> _Example:
    lines = (*project.first, *project.rest)
    return _Example(
        project=project,
        about=about(project.found.folder)[:MAX_ABOUT],
        finished=tuple(one for one in lines if one.is_verdict)[:SHOWN_RUNS],
    )


class Home:
    """The first page.

    Args:
        places: where projects lie.
        registry: of models with a name.
    """

    def __init__(self, places: Places, registry: Registry) -> None:
        self._places, self._registry = places, registry

    def add_to(self, router: APIRouter) -> None:
        """Adds the routes."""
        router.add_api_route(PAGES, self.show, response_class=Response)

    def show(self, request: Request) -> Response:
        """Everything; projects with runs come first, examples apart."""
        found = self._places.found()
        projects = [self._project(one) for one in found.projects]
        projects.sort(key=lambda one: not one.first)
        content = self._registry.content()
        return page(
            request,
            "home.html",
            title="Projects",
            here="home",
            projects=[one for one in projects if not one.found.is_example],
            examples=[_example(one) for one in projects if one.found.is_example],
            folders=[str(folder) for folder in self._places.folders],
            cut_short=found.cut_short,
            models=sorted({version.name for version in content.versions}),
            aliases=content.aliases,
        )

    def _project(self, found: FoundProject) -> _Project:
        lines = tuple(run_line(one) for one in found.runs)
        return _Project(
            found=found,
            place=self._place(found),
            first=lines[:SHOWN_RUNS],
            rest=lines[SHOWN_RUNS:],
        )

    def _place(self, found: FoundProject) -> str:
        for folder in self._places.folders:
            if found.folder.is_relative_to(folder) and found.folder != folder:
                return str(found.folder.relative_to(folder))
        return str(found.folder)
