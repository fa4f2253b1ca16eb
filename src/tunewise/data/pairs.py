"""Reads the preference pairs of a project, without those that would give held-out answers away."""

from collections.abc import Sequence
from dataclasses import dataclass

from tunewise.data.read import read_preferences
from tunewise.data.sources import find_parts
from tunewise.data.splitting.units import normalised_input
from tunewise.project.settings import Data, Sources
from tunewise.types import Example, Preference


@dataclass(frozen=True, kw_only=True, slots=True)
class Pairs:
    """What may be trained on."""

    pairs: tuple[Preference, ...]
    notes: tuple[str, ...]
    """What was left out and why, one line each."""


def read_pairs(sources: Sources, data: Data, *, held_out: Sequence[Example]) -> Pairs:
    """The pairs in some files, but for those whose input is that of a held-out example.

    Args:
        sources: `data.preferences`.
        data: the project's [data], for the names of columns.
        held_out: dev and test.

    Raises:
        UserError: rows that cannot be read, or are no pairs.
    """
    columns = Data(examples=sources, chosen=data.chosen, rejected=data.rejected)
    files = [file for part in find_parts(columns).values() for file in part.files]
    found = read_preferences(files, columns)
    sealed = {normalised_input(example) for example in held_out}
    kept = [pair for pair in found.rows if normalised_input(pair) not in sealed]
    left_out = len(found.rows) - len(kept)
    notes = (
        f"{left_out} of {len(found.rows)} preference pairs were left out: their inputs are in dev "
        "or test.",
    )
    return Pairs(pairs=tuple(kept), notes=(*found.notes, *(notes if left_out else ())))
