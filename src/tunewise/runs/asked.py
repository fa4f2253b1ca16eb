"""Says how many test rows a project's earlier runs ask for: reserved rows are used for it."""

import json
from pathlib import Path
from typing import Any, cast

from tunewise.project.settings import Project
from tunewise.runs.folder import RUNS
from tunewise.runs.ledger import noted_runs


def asked_rows(project: Project, *, resume: bool = False, out: Path | None = None) -> int | None:
    """Test rows that the next run is to have at least, where so many are there.

    The newest open verdict that says how many more examples it takes asks for its own test rows
    and these. A run that is gone on with keeps the number that it began with.

    Args:
        project: whose runs are looked through.
        resume: whether a run is to be gone on with, or shown again.
        out: the folder of that run; None: the newest interrupted one of the project, or else
            the newest.

    Returns:
        None where no run asks for any.

    Raises:
        UserError: the ledger of uses is damaged.
    """
    if resume:
        paths = [out] if out else sorted((project.root / RUNS).glob("*"), reverse=True)
        begun = [path for path in paths if (path / "splits.json").is_file()]
        open_ones = [path for path in begun if not (path / "verdict.json").exists()]
        for path in (*open_ones, *begun):
            tested = _read(path / "splits.json").get("test")
            if isinstance(tested, list):
                return len(cast("list[object]", tested))
    for run in reversed(noted_runs(project)):
        verdict = _read(run.path / "verdict.json")
        tested, more = verdict.get("n_test"), verdict.get("examples_needed")
        if verdict.get("outcome") == "undecided" and isinstance(tested, int) and more:
            return tested + int(more)
    return None


def _read(file: Path) -> dict[str, Any]:
    """A JSON object; empty where there is none, or it was damaged by hand."""
    try:
        document = cast("object", json.loads(file.read_text("utf-8")))
    except (OSError, ValueError):
        return {}
    return cast("dict[str, Any]", document) if isinstance(document, dict) else {}
