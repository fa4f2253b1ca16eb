"""The gate set: rows by which releases are judged, and which nothing else may hold."""

from collections.abc import Mapping

from tunewise.data.checks.leaks import Leak, find_leaks
from tunewise.data.checks.quick import survey_parts
from tunewise.data.checks.survey import Survey
from tunewise.data.read import ReadResult, read_part
from tunewise.data.read_log import SHOWN
from tunewise.data.sources import find_gate
from tunewise.data.splitting.units import clusters, document_of, units
from tunewise.errors import UserError
from tunewise.project.settings import Data
from tunewise.types import Example
from tunewise.wording import plural

_SAME = ("exact", "normalised", "near")
"""Kinds of leaks that make two rows one."""


def read_gate(data: Data) -> ReadResult | None:
    """The rows of `data.gate`; None where there is none.

    Raises:
        UserError: rows that cannot be read; all faults together.
    """
    part = find_gate(data)
    return None if part is None else read_part(part, data)


def refuse_shared(gate: ReadResult, parts: Mapping[str, ReadResult]) -> None:
    """Makes sure that no row of the gate set is one of the others, or nearly one.

    Args:
        gate: its rows.
        parts: all other rows of the project, as `read_data` gives them.

    Raises:
        UserError: with `file:line` of both rows; the first 20 pairs, then a count.
    """
    others = ReadResult(
        examples=tuple(row for part in parts.values() for row in part.examples),
        places={name: place for part in parts.values() for name, place in part.places.items()},
    )
    survey = survey_parts({"test": gate, "train": others})
    try:
        leaks = [leak for leak in find_leaks(survey) if leak.kind in _SAME]
        if not leaks:
            return
        lines = [_pair(survey, leak) for leak in leaks[:SHOWN]]
    finally:
        survey.kept.close()
    more = len(leaks) - len(lines)
    raise UserError.together(
        [
            *lines,
            *([f"{plural(more, 'more row')} like these."] if more else []),
            "[data] gate: rows that models were trained, chosen or tested on cannot gate them. "
            "Take them out of the gate set, or out of the other files.",
        ]
    )


def _pair(survey: Survey, leak: Leak) -> str:
    other = survey.where(leak.other) if leak.other is not None else ""
    alike = "nearly the same input" if leak.kind == "near" else "the same input"
    return f"{survey.where(leak.test)}: {alike} is in {other}."


def gate_units(rows: tuple[Example, ...]) -> list[str | None]:
    """(rows,) the independent unit of each row of a gate set, None for a row on its own."""
    documents = [document_of(row) for row in rows]
    return clusters(units(rows).names, documents, range(len(rows))).groups(range(len(rows)))
