"""Models with a name: versions with what they were made from, and aliases that are moved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Request, Response
from starlette.responses import RedirectResponse

from tunewise.desk.exports import FORMS, Exports
from tunewise.desk.pages import NotThereError, page
from tunewise.exporting.bundle import models_of
from tunewise.report.models import ModelDiff, diff_models, facts_of, happened, kind_in_words, when
from tunewise.runs.model_file import ModelFile
from tunewise.runs.records import visible
from tunewise.runs.registry import Alias, Registry, Version
from tunewise.runs.registry_file import Event
from tunewise.serving.http.sessions import PAGES

MAX_HISTORY = 50
"""Lines, the newest ones."""
_Text = Annotated[str, Form(max_length=200)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """One version, and the way that led to it."""

    version: Version
    kind: str
    """What it is, in words; that it is damaged."""
    lineage: tuple[tuple[str, str], ...]
    """From the project to the version: what, and its name."""
    aliases: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    exports: tuple[str, ...]


class ModelPages:
    """The pages of models.

    Args:
        registry: that holds them.
        exports: makes other forms of them.
    """

    def __init__(self, registry: Registry, exports: Exports) -> None:
        self._registry, self._exports = registry, exports

    def add_to(self, router: APIRouter) -> None:
        """Adds the routes."""
        router.add_api_route(f"{PAGES}/models", self.list, response_class=Response)
        one = f"{PAGES}/models/{{name:path}}"
        router.add_api_route(
            f"{PAGES}/aliases", self.move, methods=["POST"], response_class=Response
        )
        router.add_api_route(
            f"{PAGES}/rollback", self.roll_back, methods=["POST"], response_class=Response
        )
        router.add_api_route(
            f"{PAGES}/exports", self.export, methods=["POST"], response_class=Response
        )
        router.add_api_route(one, self.show, response_class=Response)

    def list(self, request: Request) -> Response:
        """All names."""
        content = self._registry.content()
        names = sorted({version.name for version in content.versions})
        models = [
            (
                name,
                sum(1 for version in content.versions if version.name == name),
                [alias for alias in content.aliases if alias.name == name],
            )
            for name in names
        ]
        return page(request, "models.html", title="Models", here="models", models=models)

    def show(
        self, request: Request, name: str, a: int = 0, b: int = 0, moved: bool = False
    ) -> Response:
        """One name: aliases, versions the newest first, two of them compared, what happened."""
        content = self._registry.content()
        versions = [one for one in reversed(content.versions) if one.name == name]
        if not versions:
            raise NotThereError("There is no model of that name. It may have been removed.")
        models = models_of(versions)
        aliases = [one for one in content.aliases if one.name == name]
        history = self._registry.history(name)
        exported = [found for one in versions for found in self._exports.of(one.id)]
        told = [(when(event.time), happened(event)) for event in reversed(history[-MAX_HISTORY:])]
        return page(
            request,
            "model.html",
            title=name,
            here="models",
            name=name,
            aliases=aliases,
            versions=[_made(one, aliases, history, models[one.id]) for one in versions],
            numbers=[one.number for one in versions],
            a=a,
            b=b,
            diff=_diff(versions, models, a, b),
            history=told,
            forms=FORMS,
            exported=exported,
            exporting=any(one.running for one in exported),
            moved=told[0][1] if moved and told else "",
        )

    def move(self, name: _Text, alias: _Text, number: Annotated[int, Form(ge=1)]) -> Response:
        """Points an alias, new or known, to a version."""
        self._registry.point(f"{name}@{alias.strip()}", str(number))
        return _back(name)

    def roll_back(self, name: _Text, alias: _Text) -> Response:
        """Points an alias to what it pointed to before."""
        self._registry.roll_back(f"{name}@{alias}")
        return _back(name)

    def export(self, name: _Text, number: Annotated[int, Form(ge=1)], form: _Text) -> Response:
        """Begins an export of a version."""
        version = self._registry.content().resolve(f"{name}@{number}")
        if version is None:
            raise NotThereError("There is no such version any more.")
        self._exports.begin(version.id, form)
        return RedirectResponse(f"{PAGES}/models/{quote(name, safe='')}#exports", 303)


def _back(name: str) -> Response:
    return RedirectResponse(f"{PAGES}/models/{quote(name, safe='')}?moved=true", 303)


def _made(
    version: Version, aliases: Sequence[Alias], history: Sequence[Event], model: ModelFile | None
) -> Made:
    lineage = version.lineage
    way = (
        ("project", lineage.project or (model.origin.project if model else "")),
        ("rows", (lineage.data or "")[:12]),
        ("run", lineage.run),
        ("contender", lineage.contender),
        ("adapter", (lineage.adapter or "")[:12]),
    )
    exports = [
        f"{event.facts.get('to')}: {event.facts.get('place')}"
        for event in history
        if event.kind == "exported" and event.number == version.number
    ]
    facts = facts_of(model) if model else {}
    return Made(
        version=version,
        kind=visible(kind_in_words(model)) if model else "damaged: its files have changed",
        lineage=tuple((what, visible(said)) for what, said in way if said),
        aliases=tuple(one.alias for one in aliases if one.number == version.number),
        facts=tuple((what, visible(said)) for what, said in facts.items() if said),
        exports=tuple(visible(one) for one in exports),
    )


def _diff(
    versions: Sequence[Version], models: Mapping[str, ModelFile | None], a: int, b: int
) -> ModelDiff | None:
    """What tells two versions apart; None where they are not two that can be read."""
    ids = {one.number: one.id for one in versions}
    if a == b or a not in ids or b not in ids:
        return None
    one, other = models[ids[a]], models[ids[b]]
    return None if one is None or other is None else diff_models(ids[a], one, ids[b], other)
