"""One input to several models at once, and the prompt that each of them makes of it."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse

from tunewise.desk.home import RunLine, run_line
from tunewise.desk.pages import NotThereError, fragment, page
from tunewise.desk.places import Places
from tunewise.desk.token_prices import price_of
from tunewise.runs.records import visible
from tunewise.runs.registry import Registry
from tunewise.serving.http.sessions import ASK, PAGES
from tunewise.serving.protocol import Answered, Catalogue, RefusedError
from tunewise.types import Message

MAX_TEXT = 4_000
"""Characters of an input: it stands in the address, so that a page can be shared."""
MAX_MODELS = 4
"""Asked at once."""
MAX_RATED = 5
"""Runs to be rated that are linked."""
_Text = Annotated[str, Query(max_length=MAX_TEXT)]


class Playground:
    """The page, and the prompts.

    Args:
        catalogue: what is served.
        registry: of models with a name.
        places: where the runs lie that these came from.
    """

    def __init__(self, catalogue: Catalogue, registry: Registry, places: Places) -> None:
        self._catalogue, self._registry, self._places = catalogue, registry, places

    def add_to(self, router: APIRouter) -> None:
        """Adds the routes."""
        router.add_api_route(f"{PAGES}/playground", self.show, response_class=Response)
        router.add_api_route(f"{PAGES}/playground/prompt", self.prompt, response_class=Response)

    def show(
        self,
        request: Request,
        text: _Text = "",
        model: Annotated[tuple[str, ...], Query(max_length=MAX_MODELS)] = (),
    ) -> Response:
        """The form, filled in by the address."""
        models = [one for one in self._catalogue.models() if one.kind != "embedding"]
        known = {one.id for one in models}
        content = self._registry.content()
        versions = {one.id: content.resolve(one.resolved or one.id) for one in models}
        return page(
            request,
            "playground.html",
            title="Playground",
            here="playground",
            models=models,
            chosen=[one for one in model if one in known] or [one.id for one in models[:1]],
            text=visible(text),
            prices={
                name: version and price_of(version, self._places)
                for name, version in versions.items()
            },
            rated=self._rated(),
            ask=ASK,
            max_text=MAX_TEXT,
            max_models=MAX_MODELS,
        )

    def _rated(self) -> list[RunLine]:
        """The newest finished run of each project, whose answers can be compared blind."""
        lines = [map(run_line, project.runs) for project in self._places.found().projects]
        newest = [next((one for one in some if one.is_verdict), None) for some in lines]
        return [one for one in newest if one is not None][:MAX_RATED]

    def prompt(self, text: _Text, model: str) -> Response:
        """What a model is asked for an input, as a piece of the page."""
        found = self._catalogue.find(model)
        if found is None:
            raise NotThereError("There is no such model any more.")
        try:
            prepared = found.prepare((Message(role="user", content=text),))
        except RefusedError as error:
            return HTMLResponse(fragment("prompt.html", messages=(), passages=(), note=str(error)))
        if isinstance(prepared, Answered):
            note = "It asks no language model."
            return HTMLResponse(fragment("prompt.html", messages=(), passages=(), note=note))
        shown = [(turn.role, visible(turn.content)) for turn in prepared.messages]
        passages = [visible(one.source) for one in prepared.passages]
        return HTMLResponse(fragment("prompt.html", messages=shown, passages=passages, note=""))
