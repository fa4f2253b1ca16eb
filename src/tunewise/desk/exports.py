"""Exports that the page of a model begins, and what came of the comparison with their source."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from tunewise.desk.commands import Commands, Outcome
from tunewise.errors import UserError
from tunewise.models.prepared import safe_name
from tunewise.report.exported import parity_lines
from tunewise.runs.exported import EXPORTS, Form, read_parity
from tunewise.runs.records import visible

FORMS: tuple[str, ...] = get_args(Form)
SHOWN_LOG = 12
"""Lines of what went wrong."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownExport:
    """One that was begun."""

    model: str
    form: str
    running: bool
    folder: str
    """Where it lies; empty: not yet, or not kept."""
    passed: bool
    parity: tuple[str, ...]
    """What was compared, in lines."""
    said: str
    """Why there is none."""


class Exports:
    """Exports of registered models, each a process of its own.

    Args:
        commands: begins them.
        folder: where they go, in `exports/`.
    """

    def __init__(self, commands: Commands, folder: Path) -> None:
        self._commands, self._folder = commands, folder

    def begin(self, model: str, form: str) -> None:
        """Begins one.

        Args:
            model: `triage@3`.
            form: one of `FORMS`.

        Raises:
            UserError: there is no such form, or it is being made.
        """
        if form not in FORMS:
            raise UserError(f"There is no form of that name. Choose from: {', '.join(FORMS)}.")
        name = f"{safe_name(model)}-{form}"
        number, out = 1, self._folder / EXPORTS / name
        while out.exists():
            number += 1
            out = self._folder / EXPORTS / f"{name}-{number}"
        words = ["export", model, "--to", form, "--out", str(out), "--json"]
        self._commands.begin(_name(model, form), words, folder=self._folder)

    def of(self, model: str) -> list[ShownExport]:
        """The last one of each form."""
        known = ((form, self._commands.outcome(_name(model, form))) for form in FORMS)
        return [_shown(model, form, found) for form, found in known if found is not None]


def _name(model: str, form: str) -> str:
    return f"export-{hashlib.sha256(f'{model} {form}'.encode()).hexdigest()[:16]}"


def _shown(model: str, form: str, found: Outcome) -> ShownExport:
    printed: dict[str, Any] = dict(found.printed or {})
    folder, passed = printed.pop("folder", None), bool(printed.pop("passed", False))
    lines: list[str] = []
    if printed:
        try:
            lines = parity_lines(read_parity(printed))
        except ValueError:
            lines = []
    said = [] if found.running or passed else found.said.splitlines()[-SHOWN_LOG:]
    return ShownExport(
        model=model,
        form=form,
        running=found.running,
        folder=visible(str(folder)) if folder else "",
        passed=passed,
        parity=tuple(lines),
        said="\n".join(said),
    )
