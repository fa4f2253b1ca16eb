"""Reads the preference pairs of a project, without those that would give held-out answers away."""

from collections.abc import Sequence
from dataclasses import dataclass

from tunewise.data.read import read_preferences
from tunewise.data.sources import find_parts
from tunewise.data.splitting.near_duplicates import leaders
from tunewise.data.splitting.units import comparable_text, normalised_input
from tunewise.project.settings import Data, Sources
from tunewise.types import Example, Preference


@dataclass(frozen=True, kw_only=True, slots=True)
class Pairs:
    """What may be trained on."""

    pairs: tuple[Preference, ...]
    notes: tuple[str, ...]
    """What was left out and why, one line each."""


def read_pairs(sources: Sources, data: Data, *, held_out: Sequence[Example]) -> Pairs:
    """The pairs in some files, but for those whose input repeats, or nearly, a held-out one.

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
    held = _held(found.rows, held_out)
    kept = [pair for pair, is_held in zip(found.rows, held, strict=True) if not is_held]
    left_out = len(found.rows) - len(kept)
    notes = (
        f"{left_out} of {len(found.rows)} preference pairs were left out: their inputs, or nearly "
        "the same, are in dev or test.",
    )
    return Pairs(pairs=tuple(kept), notes=(*found.notes, *(notes if left_out else ())))


def _held(pairs: Sequence[Preference], held_out: Sequence[Example]) -> list[bool]:
    """(pairs,) whether the input is that of a held-out example, or nearly so."""
    if not held_out:
        return [False] * len(pairs)
    sealed = {normalised_input(example) for example in held_out}
    # Held-out inputs come first, so that a pair follows one of them if it is like any.
    leader = leaders([comparable_text(row) for row in (*held_out, *pairs)])[len(held_out) :]
    near = (leader < len(held_out)).tolist()
    return [
        is_near or normalised_input(pair) in sealed
        for pair, is_near in zip(pairs, near, strict=True)
    ]
