"""Checks a job's data as `tunewise check` does, and whether they are enough. Loads no model."""

from dataclasses import replace
from pathlib import Path

from tunewise.data.checks.findings import Finding
from tunewise.data.checks.read_all import UnreadableRowsError
from tunewise.data.layouts.detect import Kind
from tunewise.data.prepare import prepare_for_training
from tunewise.errors import UserError
from tunewise.pipelines.check import run_check
from tunewise.pipelines.reading import read_all
from tunewise.progress import Progress
from tunewise.project.load import load_project
from tunewise.project.settings import Project
from tunewise.serving.jobs.outcome import Outcome
from tunewise.serving.jobs.places import TRAINING_FILE, VALIDATION_FILE
from tunewise.serving.jobs.records import JobFault, Method
from tunewise.storage import shortened
from tunewise.wording import plural

INVALID_FILE = "invalid_training_file"
MAX_TOLD = 20
"""Warnings that become events; how many there are is told in any case."""
_WANTED: dict[Method, tuple[Kind, str]] = {
    "supervised": ("examples", 'examples: {"messages": [...]} on each line'),
    "decide": ("examples", 'examples: {"messages": [...]} on each line'),
    "dpo": (
        "preferences",
        'preferences: {"input": {"messages": [...]}, "preferred_output": [...], '
        '"non_preferred_output": [...]} on each line',
    ),
}


def validate(folder: Path, kind: Method, progress: Progress) -> Outcome:
    """Whether a job's files can be trained on.

    Args:
        folder: the job's project.
        kind: type of its method.
        progress: informed of what is being done.

    Returns:
        With a fault that names file and line, or with what else was found.
    """
    try:
        project = load_project(folder)
        files = [one for one in (TRAINING_FILE, VALIDATION_FILE) if (folder / one).exists()]
        for file in files:
            _check_lines(folder / file)
        told = [
            line for part in _parts(project, files, kind) for line in _checked(part, kind, progress)
        ]
        if kind == "decide":
            read_all(project, asked=None)
        else:
            prepare_for_training(project)
    except UserError as error:
        return Outcome(fault=fault_of(error, folder))
    return Outcome(told=[shortened(line, folder.absolute()) for line in told])


def fault_of(error: UserError, folder: Path, *, code: str = INVALID_FILE) -> JobFault:
    """A user's error as a job's, with places as a client knows them."""
    message = shortened(str(error), folder.absolute())
    in_validation = message.startswith(VALIDATION_FILE)
    param = "validation_file" if in_validation else "training_file"
    return JobFault(code=code, message=message, param=param if code == INVALID_FILE else None)


def _check_lines(file: Path) -> None:
    """Raises UserError where a file is no JSON lines: an archive, a table, a page."""
    with file.open("rb") as handle:
        head = handle.read(65_536).removeprefix(b"\xef\xbb\xbf").lstrip()
    if not head.startswith(b"{"):
        raise UserError(
            f"{file}:1: is no JSONL: it does not begin with {{. Write one JSON object on each line."
        )


def _parts(project: Project, files: list[str], kind: Method) -> list[Project]:
    """What is checked together."""
    if kind != "dpo":
        return [project]
    return [
        replace(project, data=replace(project.data, examples=(project.root / file,)))
        for file in files
    ]


def _checked(project: Project, kind: Method, progress: Progress) -> list[str]:
    try:
        found = run_check(project, source="the job's files", progress=progress)
    except UnreadableRowsError as error:
        raise UserError.together(_lines(error.findings) or [str(error)]) from error
    wanted, how = _WANTED[kind]
    if found.kind != wanted:
        raise UserError(
            f"{found.files[0] if found.files else TRAINING_FILE}: holds {found.kind}, and a job of "
            f"type {kind} learns from {how}."
        )
    if found.report.errors:
        raise UserError.together(_lines(found.report.errors))
    warnings = _lines(found.report.warnings)
    more = len(warnings) - MAX_TOLD
    rows = f"The data hold {plural(found.total, 'row')}, {found.usable} of them without a fault."
    rest = [f"{plural(more, 'more warning')}: `tunewise check` shows all."] if more > 0 else []
    return [rows, *warnings[:MAX_TOLD], *rest]


def _lines(findings: tuple[Finding, ...] | list[Finding]) -> list[str]:
    return [str(finding) for finding in findings]
