"""A project before it runs: what was found, what `check` says and repairs, and its settings."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, cast

from fastapi import APIRouter, Form, Request, Response
from filelock import FileLock
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse

from tunewise.desk.commands import Commands, Outcome
from tunewise.desk.findings import findings_of, kept_places
from tunewise.desk.pages import page
from tunewise.desk.places import PROJECT_FILE, FoundProject, Places
from tunewise.desk.reasons import reasons_of
from tunewise.desk.settings_form import (
    FormSection,
    form_of,
    new_text,
    typed_into,
    with_faults,
    with_sources,
)
from tunewise.errors import UserError
from tunewise.project.faults import SettingsError
from tunewise.project.load import load_project
from tunewise.project.toml_reader import read_project_file
from tunewise.serving.http.sessions import PAGES
from tunewise.storage import home_folder, write_text

COPY = "repaired"
"""The folder of a repaired copy, within the project's."""
MAX_TYPED = 1_000
"""Fields of a form."""


class ProjectPages:
    """The pages of projects.

    Args:
        places: where they lie.
        commands: the checks and repairs that pages began.
    """

    def __init__(self, places: Places, commands: Commands) -> None:
        self._places, self._commands = places, commands

    def add_to(self, router: APIRouter) -> None:
        """Adds the routes."""
        one = f"{PAGES}/projects/{{name}}"
        router.add_api_route(f"{one}/data", self.data, response_class=Response)
        router.add_api_route(f"{one}/findings", self.findings, response_class=Response)
        router.add_api_route(f"{one}/settings", self.settings, response_class=Response)
        for path, handler in (
            ("check", self.check),
            ("repair", self.repair),
            ("repaired", self.use_repaired),
            ("settings", self.save),
        ):
            router.add_api_route(
                f"{one}/{path}", handler, methods=["POST"], response_class=Response
            )

    def data(self, request: Request, name: str) -> Response:
        """What tunewise.toml says, with the reasons that stand in it."""
        project = self._project(name)
        source = read_project_file(project.folder)
        return page(
            request,
            "data.html",
            title=f"Data of {project.name}",
            project=project,
            tab="data",
            sections=reasons_of(source.text),
            text=source.text,
        )

    def findings(self, request: Request, name: str) -> Response:
        """How the check stands, what it found, and the repairs to choose from."""
        project = self._project(name)
        checked = self._commands.outcome(_check(name))
        repaired = self._commands.outcome(_repair(name))
        return page(
            request,
            "findings.html",
            title=f"Findings of {project.name}",
            project=project,
            tab="findings",
            running=checked is not None and checked.running,
            repairing=repaired is not None and repaired.running,
            said=checked.said if checked else "",
            found=findings_of(checked.printed, project.folder)
            if checked and checked.printed
            else None,
            failed=checked is not None and not checked.running and checked.printed is None,
            stale=checked is not None and checked.command.facts.get("settings") != _state(project),
            copy=_copy_of(repaired),
            repair_failed=repaired.said
            if repaired and not repaired.running and _copy_of(repaired) is None
            else "",
        )

    def check(self, name: str) -> Response:
        """Begins a check; a repaired copy that nobody used is offered no more."""
        project = self._project(name)
        repaired = self._commands.outcome(_repair(name))
        self._begin_check(project)
        if repaired is not None and not repaired.running:
            self._commands.forget(_repair(name))
        return _to_findings(name)

    def repair(
        self,
        name: str,
        row: Annotated[list[str] | None, Form()] = None,
        rule: Annotated[list[str] | None, Form()] = None,
        everything: Annotated[bool, Form()] = False,
    ) -> Response:
        """Begins to write a repaired copy, without what is not ticked."""
        project = self._own(name)
        checked = self._commands.outcome(_check(name))
        keep: Sequence[str] = ()
        if not everything:
            if checked is None or checked.printed is None:
                raise UserError("There are no findings to choose from. Check the data first.")
            found = findings_of(checked.printed, project.folder)
            keep = kept_places(found, rows=row or (), rules=rule or ())
        out = _free(project.folder)
        words = ["check", str(project.folder), "--fix", str(out), "--json"]
        for place in keep:
            words += ["--keep", place]
        self._commands.begin(_repair(name), words, folder=project.folder)
        return _to_findings(name)

    def use_repaired(self, name: str) -> Response:
        """Names the repaired copy in tunewise.toml, and checks that."""
        project = self._own(name)
        files = _copy_of(self._commands.outcome(_repair(name)))
        if files is None:
            raise UserError("There is no repaired copy. Write one first.")
        sources: dict[str, str] = {}
        for part, file in cast("Mapping[str, str]", files["files"]).items():
            path = Path(file)
            if not path.is_file() or not path.is_relative_to(project.folder):
                raise UserError(f"{path.name}: the repaired copy is not there any more.")
            sources[part] = path.relative_to(project.folder).as_posix()
        with _locked(name):
            text = read_project_file(project.folder).text
            _write_checked(project.folder, with_sources(text, sources))
        self._commands.forget(_repair(name))
        self._begin_check(project)
        return _to_findings(name)

    def settings(self, request: Request, name: str, saved: bool = False) -> Response:
        """The form."""
        project = self._project(name)
        values = read_project_file(project.folder).values
        return self._form(request, project, form_of(values), saved=saved)

    async def save(self, request: Request, name: str) -> Response:
        """Writes what was typed, or shows what is wrong beside each field."""
        typed: dict[str, list[str]] = {}
        async with request.form(max_files=0, max_fields=MAX_TYPED) as form:
            for key, value in form.multi_items():
                if isinstance(value, str):
                    typed.setdefault(key, []).append(value)
        return await run_in_threadpool(self._save, request, name, typed)

    def _save(self, request: Request, name: str, typed: Mapping[str, Sequence[str]]) -> Response:
        project = self._own(name)
        with _locked(name):
            source = read_project_file(project.folder)
            sections = typed_into(form_of(source.values), typed)
            if any(field.fault for section in sections for field in section.fields):
                return self._form(request, project, sections, status=409)
            text = new_text(source.text, sections)
            try:
                _write_checked(project.folder, text)
            except SettingsError as error:
                sections, others = with_faults(sections, error.faults)
                return self._form(request, project, sections, others=others, status=400)
        return RedirectResponse(f"{PAGES}/projects/{name}/settings?saved=true", 303)

    def _form(
        self,
        request: Request,
        project: FoundProject,
        sections: Sequence[FormSection],
        *,
        others: Sequence[str] = (),
        saved: bool = False,
        status: int = 200,
    ) -> Response:
        wrong = [f for section in sections for f in section.fields if f.fault]
        return page(
            request,
            "settings.html",
            title=f"Settings of {project.name}",
            status=status,
            project=project,
            tab="settings",
            sections=sections,
            wrong=wrong,
            others=others,
            saved=saved,
        )

    def _begin_check(self, project: FoundProject) -> None:
        self._commands.begin(
            _check(project.id),
            ["check", str(project.folder), "--json"],
            folder=project.folder,
            facts={"settings": _state(project)},
        )

    def _own(self, name: str) -> FoundProject:
        """A project that may be changed."""
        project = self._project(name)
        if project.is_example:
            raise UserError(
                "The examples that come with Tunewise are not changed. Start from a copy, on the "
                "first page or with `tunewise new`."
            )
        return project

    def _project(self, name: str) -> FoundProject:
        project = self._places.project(name)
        if not (project.folder / PROJECT_FILE).is_file():
            raise UserError(f"{project.name}: has no {PROJECT_FILE} any more.")
        return project


def _check(name: str) -> str:
    return f"check-{name}"


def _repair(name: str) -> str:
    return f"repair-{name}"


def _to_findings(name: str) -> Response:
    return RedirectResponse(f"{PAGES}/projects/{name}/findings", 303)


def _state(project: FoundProject) -> str:
    """What changes when the settings do."""
    return hashlib.sha256((project.folder / PROJECT_FILE).read_bytes()).hexdigest()


def _copy_of(outcome: Outcome | None) -> Mapping[str, Any] | None:
    """What a repair wrote; None where it wrote nothing."""
    if outcome is None or outcome.printed is None:
        return None
    return cast("Mapping[str, Any] | None", outcome.printed.get("fixed"))


def _free(folder: Path) -> Path:
    """A folder that is not there yet."""
    number = 1
    while (out := folder / (COPY if number == 1 else f"{COPY}-{number}")).exists():
        number += 1
    return out


def _locked(name: str) -> FileLock:
    """Whoever edits a project's settings on this machine waits for the others."""
    folder = home_folder() / "desk"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return FileLock(folder / f"settings-{name}.lock", timeout=10)


def _write_checked(folder: Path, text: str) -> None:
    """Replaces tunewise.toml where that is a project.

    Raises:
        SettingsError: it is none; nothing is written.
        UserError: it cannot be written.
    """
    draft = folder / f".{PROJECT_FILE}.draft.toml"
    try:
        write_text(draft, text)
        load_project(draft)
        write_text(folder / PROJECT_FILE, text)
    except OSError as error:
        raise UserError(f"{folder / PROJECT_FILE}: cannot be written ({error.strerror}).") from None
    finally:
        draft.unlink(missing_ok=True)
