"""Answers of a run's two finalists in pairs, without names: a person says which is better.

What is said goes where `tunewise rate` writes it, in the same form.
"""

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request, Response
from starlette.responses import RedirectResponse

from tunewise.desk.pages import NotThereError, page
from tunewise.desk.places import FoundRun, Places
from tunewise.pipelines.rating import RatedRun, Sitting, open_rated
from tunewise.report.judged import agreement_sentence
from tunewise.report.pages import clip
from tunewise.runs.pairs import NOTHING
from tunewise.serving.http.sessions import PAGES

KEPT = 2
"""Runs whose pairs are kept as they were read."""
Said = Literal["left", "right", "tie", "skip"]


class RatePages:
    """The pairs of runs.

    Args:
        places: where runs lie.
    """

    def __init__(self, places: Places) -> None:
        self._places = places

    def add_to(self, router: APIRouter) -> None:
        """Adds the routes."""
        one = f"{PAGES}/runs/{{name}}/rate"
        router.add_api_route(one, self.show, response_class=Response)
        router.add_api_route(one, self.rate, methods=["POST"], response_class=Response)
        for path, handler in (("undo", self.undo), ("end", self.end)):
            router.add_api_route(
                f"{one}/{path}", handler, methods=["POST"], response_class=Response
            )

    def show(
        self, request: Request, name: str, ended: bool = False, none: bool = False
    ) -> Response:
        """The next pair, or how it stands at the end."""
        found = self._places.run(name)
        rated = _rated(found)
        sitting = Sitting(rated)
        standing, blind = sitting.standing(), sitting.next()
        over = ended or blind is None
        return page(
            request,
            "rate.html",
            title=f"Rate answers of {found.listed.id}",
            run=found,
            tab="rate",
            standing=standing,
            agreement=agreement_sentence(standing.agreement) if over and standing.agreement else "",
            instruction=rated.pairs.instruction,
            criteria=rated.criteria,
            notes=rated.notes,
            blind=None if over else blind,
            open=blind is not None,
            asked=clip(blind.pair.row.input) if blind else None,
            wanted=clip(blind.pair.row.target) if blind else None,
            sides=[(side, text or NOTHING) for side, text in _sides(blind.left, blind.right)]
            if blind
            else [],
            nothing=none,
        )

    def rate(
        self,
        name: str,
        example: Annotated[str, Form(max_length=1_000)],
        said: Annotated[Said, Form()],
    ) -> Response:
        """Writes down which is better."""
        sitting = Sitting(_rated(self._places.run(name)))
        blind = sitting.shown(example)
        if blind is None:
            raise NotThereError("There is no such pair in this run.")
        sitting.say(blind, said)
        if sitting.next() is None:
            sitting.end()
        return _back(name)

    def undo(self, name: str) -> Response:
        """Takes the last one back."""
        done = Sitting(_rated(self._places.run(name))).undo()
        return _back(name, "" if done else "?none=true")

    def end(self, name: str) -> Response:
        """Holds the judge to what was said."""
        Sitting(_rated(self._places.run(name))).end()
        return _back(name, "?ended=true")


def _sides(left: str, right: str) -> list[tuple[str, str]]:
    return [("Left", left), ("Right", right)]


def _back(name: str, query: str = "") -> Response:
    return RedirectResponse(f"{PAGES}/runs/{name}/rate{query}", 303)


def _rated(found: FoundRun) -> RatedRun:
    path = found.listed.path
    files = ("verdict.json", "answers.jsonl", "project.toml", "judge.json")
    changed = tuple(
        (path / name).stat().st_mtime_ns if (path / name).exists() else 0 for name in files
    )
    return _read(path, changed)


@lru_cache(maxsize=KEPT)
def _read(folder: Path, changed: tuple[int, ...]) -> RatedRun:
    """The pairs of a run whose files were written at these moments."""
    return open_rated(folder)
