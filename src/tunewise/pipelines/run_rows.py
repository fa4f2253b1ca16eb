"""Finds again what a finished run learned from and asked, in the project as it is now."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, cast

from tunewise.data.fingerprints import content_hash
from tunewise.data.prepare import Prepared
from tunewise.errors import UserError
from tunewise.project.contenders import label_of
from tunewise.project.derived import labelled_bases
from tunewise.project.settings import Model
from tunewise.runs.folder import rows_by_part
from tunewise.runs.records import parse_json
from tunewise.runs.schema import ContenderResult, VerdictFile
from tunewise.types import Example, JsonValue
from tunewise.wording import count


def every_row(prepared: Prepared) -> list[Example]:
    """All rows of a project, whichever side they are on now."""
    return [row for rows in rows_by_part(prepared.splits).values() for row in rows]


def rows_of(
    run: Path, part: Literal["train", "dev", "test"], rows: Iterable[Example]
) -> list[Example | None]:
    """The rows that a run had on one side, in its order; None for one that is not there any more.

    Args:
        run: its folder.
        part: the side.
        rows: all of the project.

    Raises:
        UserError: the run's splits.json cannot be read.
    """
    try:
        written = cast("dict[str, Any]", parse_json((run / "splits.json").read_text("utf-8")))
        hashes = cast("list[str]", written["contents"][part])
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{run}: its splits.json cannot be read. Run decide again.") from None
    there = {content_hash(row): row for row in rows}
    return [there.get(one) for one in hashes]


def all_there(run: Path, rows: Iterable[Example | None]) -> list[Example]:
    """The rows that a run learned from.

    Raises:
        UserError: some are not there any more.
    """
    wanted = list(rows)
    there = [row for row in wanted if row is not None]
    if len(there) < len(wanted):
        raise UserError(
            f"{run}: {count(len(wanted) - len(there))} of the {count(len(wanted))} rows that it "
            "learned from are not in the project's data any more. Put them back, or run decide "
            "again."
        )
    return there


def train_of(run: Path, prepared: Prepared) -> list[Example]:
    """What a run learned from, as it is in the project now.

    Raises:
        UserError: some rows are not there any more.
    """
    return all_there(run, rows_of(run, "train", every_row(prepared)))


def measured_contender(run: Path, verdict: VerdictFile, name: str | None) -> ContenderResult:
    """A contender of a run that answered its test rows.

    Args:
        run: its folder, as the person named it.
        verdict: of the run.
        name: of the contender; None: the one that is recommended.

    Raises:
        UserError: there is none.
    """
    wanted = name or verdict.recommended
    measured = [one for one in verdict.contenders if isinstance(one, ContenderResult)]
    found = next((one for one in measured if one.name == wanted), None)
    if found is None:
        what = f"has no contender {wanted} with answers" if wanted else "recommends none"
        raise UserError(
            f"{run}: this run {what}. Name one of its own: "
            f"{', '.join(f'{run}:{one.name}' for one in measured)}."
        )
    return found


def teacher_of(verdict: VerdictFile, found: ContenderResult) -> Mapping[str, JsonValue]:
    """The settings of the contender whose answers another one learned; empty for all others."""
    name = found.fit.settings.get("teacher")
    taught = next((one for one in verdict.contenders if one.name == name), None)
    return taught.fit.settings if isinstance(taught, ContenderResult) else {}


def base_of_contender(verdict: VerdictFile, contender: str, model: Model) -> str | None:
    """What the project calls the base model that a contender runs on; None where it names it no
    more.

    Args:
        verdict: of its run.
        contender: its name there.
        model: the project's.
    """
    label = label_of(contender)
    if label:
        return labelled_bases(model).get(label)
    first, *_ = (verdict.model.base or model.bases[0]).split(", ")
    return first
