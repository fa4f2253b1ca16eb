"""Reads all that a run of `decide` learns from and is judged by, before anything heavy is loaded.

It needs no model and none of the libraries that run one: a fault in the first rows is told at once.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from tunewise.data.documents.document import Document, DocumentsFound
from tunewise.data.documents.units import units_of, unknown_names
from tunewise.data.prepare import Prepared, prepare
from tunewise.data.read_log import SHOWN
from tunewise.errors import UserError
from tunewise.project.derived import reads_documents
from tunewise.project.settings import Project
from tunewise.runs.asked import asked_rows
from tunewise.types import Example


class Read(NamedTuple):
    """What a project's files hold."""

    prepared: Prepared
    documents: tuple[Document, ...]
    """Empty where no contender reads any."""


def read_for_decide(project: Project, *, out: Path | None = None, resume: bool = False) -> Read:
    """What `run_decide` reads first, with the same `out` and `resume`.

    Raises:
        UserError: see `read_all`; or the ledger of uses is damaged.
    """
    return read_all(project, asked=asked_rows(project, resume=resume, out=out))


def read_all(project: Project, *, asked: int | None) -> Read:
    """Reads examples and documents before anything is fitted.

    Args:
        project: whose files they are.
        asked: test rows that an earlier verdict asked for, of `asked_rows`.

    Raises:
        UserError: faults of both, all together; or a method that `decide` does not know.
    """
    if project.training.method != "sft":
        raise UserError(
            f'training.method: "{project.training.method}" is for `tunewise train`. decide trains '
            "fine_tune on the examples' answers (sft), fine_tune_cpt on documents before, "
            "fine_tune_dpo on preference pairs afterwards: name them in contenders.use."
        )
    found = documents_to_read(project)
    faults = [] if found is None else [f"{where}: {why}" for where, why in found.faults]
    try:
        documents = found.documents if found else ()
        prepared = prepare(project, asked=asked, documents=documents)
    except UserError as error:
        raise UserError.together([str(error), *faults]) from error
    if found is None:
        return Read(prepared, ())
    documents = found.all_usable()
    _refuse_unknown_names(prepared, documents)
    return Read(replace(prepared, notes=(*prepared.notes, *found.notes())), documents)


def _refuse_unknown_names(prepared: Prepared, documents: Sequence[Document]) -> None:
    """Refuses rows of the kind `search` that name what is not there.

    Raises:
        UserError: with the place of each; the first 20, then a count.
    """
    units = ranked_units(prepared, documents)
    found = ((row, unknown_names(units, row.target)) for row in _rows(prepared) if units)
    wrong = [f"{prepared.places[row.id]}: {what}" for row, what in found if what]
    more = [f"{len(wrong) - SHOWN} more rows like these."] if len(wrong) > SHOWN else []
    if wrong:
        raise UserError.together([*wrong[:SHOWN], *more])


def ranked_units(prepared: Prepared, documents: Sequence[Document]) -> tuple[Document, ...]:
    """What contenders of the kind `search` rank; empty: the project is of another kind."""
    if prepared.project.task.kind != "search":
        return ()
    return units_of(documents, [row.target for row in _rows(prepared)])


def _rows(prepared: Prepared) -> tuple[Example, ...]:
    splits = prepared.splits
    return (*splits.train, *splits.dev, *splits.test)


def documents_to_read(project: Project) -> DocumentsFound | None:
    """The project's documents, where a contender needs them."""
    return documents_of(project) if reads_documents(project) else None


def documents_of(project: Project) -> DocumentsFound | None:
    """All documents of a project; None where it names no place for them."""
    if project.data.documents is None:
        return None
    from tunewise.data.documents.read import look_at_documents  # noqa: PLC0415 - reads web pages

    return look_at_documents(*project.data.documents)
