"""The answers of a run, page by page: who was right on what, and two contenders side by side."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from markupsafe import Markup

from tunewise.data.checks.personal import without_personal_data
from tunewise.desk.answer_filter import (
    PAGE_ROWS,
    Length,
    Show,
    Wanted,
    labels,
    lengths,
    matching,
    page_of,
    segments,
    shows,
)
from tunewise.desk.answer_index import ANSWERS, SCORES, TESTS, AnswerIndex, index_of, read_line
from tunewise.desk.pages import NotThereError, page
from tunewise.desk.places import Places
from tunewise.desk.playground import MAX_TEXT
from tunewise.desk.text_marks import marked
from tunewise.errors import UserError
from tunewise.pipelines.passages import passages_of
from tunewise.pipelines.rating import project_of
from tunewise.report.figures import role_of
from tunewise.report.pages import Clip, clip
from tunewise.runs.read import read_places, read_summary, shows_personal
from tunewise.runs.records import visible
from tunewise.runs.schema import Run
from tunewise.serving.http.sessions import PAGES
from tunewise.wording import percent

KEPT_PASSAGES = 4
"""Runs whose passages are kept as they were cut."""
MAX_SHOWN = 4_000
"""Characters of an answer that are shown beside another."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """One answer."""

    contender: str
    role: str
    text: Markup | str
    more: int
    """Characters that are not shown."""
    value: str
    share: int
    """The score in percent, for its bar."""
    crashed: bool
    reason: str
    passages: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One test row, and what was answered."""

    number: int
    place: str
    input: Clip
    wanted: Clip
    replies: tuple[Reply, ...]
    playground: str
    """Address of the playground with this input; empty where it is too long for one."""


class AnswerPages:
    """The pages of answers.

    Args:
        places: where runs lie.
    """

    def __init__(self, places: Places) -> None:
        self._places = places

    def add_to(self, router: APIRouter) -> None:
        """Adds the routes."""
        router.add_api_route(f"{PAGES}/runs/{{name}}/answers", self.show, response_class=Response)
        router.add_api_route(
            f"{PAGES}/runs/{{name}}/passage", self.passage, response_class=Response
        )

    def show(
        self,
        request: Request,
        name: str,
        a: str = "",
        b: str = "",
        show: Show = "all",
        label: str = "",
        length: Length = "any",
        segment: str = "",
        page_number: Annotated[int, Query(alias="page", ge=1, le=1_000_000)] = 1,
    ) -> Response:
        """A page of rows."""
        found = self._places.run(name)
        run = read_summary(found.listed.path)
        index = index_of(run)
        if not index.ids:
            raise UserError("This run keeps no rows and answers to show.")
        wanted = Wanted(
            a=a if a in index.columns else _first(run),
            b=_second(run, a, b, asked="b" in request.query_params, index=index),
            show=show,
            label=label or None,
            length=length,
            segment=segment or None,
        )
        rows = matching(index, wanted)
        last = max(1, -(-len(rows) // PAGE_ROWS))
        number = min(page_number, last)
        reader = _Reader(run, index)
        chosen = {"a": wanted.a, "b": wanted.b or "", "show": show, "label": label}
        chosen |= {"length": length, "segment": segment}

        def link(to: int) -> str:
            return f"?{urlencode({**chosen, 'page': str(to)})}"

        return page(
            request,
            "answers.html",
            title=f"Answers of {found.listed.id}",
            run=found,
            tab="answers",
            rows=[reader.row(one, wanted) for one in page_of(rows, number)],
            total=len(rows),
            wanted=wanted,
            contenders=list(index.columns),
            shows=shows(index, wanted),
            labels=labels(index),
            lengths=lengths(index),
            segments=segments(index),
            shown=reader.shown,
            page_number=number,
            last=last,
            link=link,
            masked=not reader.shows_personal,
        )

    def passage(self, request: Request, name: str, contender: str, passage: str) -> Response:
        """The text of a passage that a contender was shown."""
        found = self._places.run(name)
        run = read_summary(found.listed.path)
        text = _passages(run.folder, _files_of(run.folder)).get((contender, passage))
        if text is None:
            raise NotThereError(
                "That passage cannot be shown: its document is not there any more, or is not as "
                "the run read it."
            )
        shows = shows_personal(run.folder / "project.toml")
        return page(
            request,
            "passage.html",
            title=visible(passage),
            run=found,
            tab="answers",
            source=visible(passage),
            text=visible(text) if shows else without_personal_data(visible(text)),
        )


def _files_of(run: Path) -> tuple[int, ...]:
    """What changes when what a run retrieved from may have changed."""
    project = project_of(run)
    files = [
        file
        for place in project.data.documents or ()
        for file in (place.rglob("*") if place.is_dir() else (place,))
    ]
    return tuple(file.stat().st_mtime_ns for file in files if file.is_file())


@lru_cache(maxsize=KEPT_PASSAGES)
def _passages(folder: Path, changed: tuple[int, ...]) -> dict[tuple[str, str], str]:
    """The passages of a run whose documents were written at these moments."""
    run = read_summary(folder)
    return passages_of(run, project_of(folder), [one.name for one in run.measured])


def _first(run: Run) -> str:
    return (run.contender(run.recommended) or run.measured[0]).name


def _second(run: Run, a: str, b: str, *, asked: bool, index: AnswerIndex) -> str | None:
    """The contender beside the first; the one that it was measured against, unless asked."""
    first = a if a in index.columns else _first(run)
    if asked:
        return b if b in index.columns and b != first else None
    rivals = (run.plan.incumbent, run.plan.challenger, run.untrained)
    return next((one for one in rivals if one in index.columns and one != first), None)


class _Reader:
    """Reads the texts of rows, and makes them fit to be shown."""

    def __init__(self, run: Run, index: AnswerIndex) -> None:
        self._run, self._index, self._folder = run, index, run.folder
        self.shows_personal = shows_personal(run.folder / "project.toml")
        self._places = read_places(run.folder / "places.json")
        self.shown: Callable[[str], str] = (
            visible if self.shows_personal else lambda text: without_personal_data(visible(text))
        )

    def row(self, number: int, wanted: Wanted) -> Row:
        """A row with the answers of the contenders that are looked at."""
        index, folder = self._index, self._folder
        test = read_line(folder, TESTS, int(index.rows[number]))
        texts = {
            name: self._answer(name, number) for name in (wanted.a, wanted.b) if name is not None
        }
        shown: list[Markup | str] = [text for text, _, _ in texts.values()]
        if len(shown) == 2:
            shown = list(marked(str(shown[0]), str(shown[1])))
        replies = tuple(
            self._reply(name, number, text, more, passages)
            for text, (name, (_, more, passages)) in zip(shown, texts.items(), strict=True)
        )
        asked = self.shown(str(test["input"]))
        fits = len(asked) <= MAX_TEXT
        return Row(
            playground=f"{PAGES}/playground?{urlencode({'text': asked})}" if fits else "",
            number=number + 1,
            place=self._places.get(index.ids[number]) or f"id {visible(index.ids[number])}",
            input=clip(asked),
            wanted=clip(self.shown(str(test["target"]))),
            replies=replies,
        )

    def _answer(self, name: str, number: int) -> tuple[str, int, tuple[str, ...]]:
        """What was answered, how much of it is left out, and which passages were shown."""
        place = int(self._index.columns[name].answers[number])
        if place < 0:
            return "", 0, ()
        answer = read_line(self._folder, ANSWERS, place)
        said = answer["text"] if answer.get("error") is None else answer["error"]
        text = self.shown(str(said))
        passages = tuple(visible(str(one)) for one in answer.get("passages") or ())
        return text[:MAX_SHOWN], max(0, len(text) - MAX_SHOWN), passages

    def _reply(
        self, name: str, number: int, text: Markup | str, more: int, passages: tuple[str, ...]
    ) -> Reply:
        column = self._index.columns[name]
        value, crashed = float(column.values[number]), bool(column.crashed[number])
        scored = value == value  # NaN is not
        place = int(column.scores[number])
        reason = read_line(self._folder, SCORES, place).get("reason") if place >= 0 else None
        given = int(column.answers[number]) >= 0
        words = "crashed" if crashed else percent(value) if scored else "not scored"
        return Reply(
            contender=name,
            role=role_of(self._run, name),
            text=text,
            more=more,
            value=words if given else "no answer",
            share=round(100 * value) if scored and not crashed else 0,
            crashed=crashed or not given,
            reason=self.shown(str(reason)) if reason else "",
            passages=passages,
        )
