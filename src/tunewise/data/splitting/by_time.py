"""Puts units in the order of their times: the newest are tested on.

A unit goes by its newest row, so that no row of train is newer than the border.
"""

from collections.abc import Mapping, Sequence

from tunewise.data.splitting.sides import hash_place
from tunewise.text.moments import moment_of
from tunewise.types import Example


def places_by_time(
    names: Sequence[str], rows: Sequence[int], times: Sequence[float], seed: int
) -> dict[str, float]:
    """Unit -> the share of rows in newer units, from 0: where a cut by shares finds it.

    Args:
        names: (all rows,) the unit of each row.
        rows: those that are cut.
        times: (all rows,) when each is from.
        seed: orders units of the same time, by hash.
    """
    newest: dict[str, float] = {}
    sizes: dict[str, int] = {}
    for row in rows:
        name = names[row]
        newest[name] = max(newest.get(name, times[row]), times[row])
        sizes[name] = sizes.get(name, 0) + 1
    order = sorted(newest, key=lambda name: (-newest[name], hash_place("split", seed, name)))
    places: dict[str, float] = {}
    before = 0
    for name in order:
        places[name] = before / len(rows)
        before += sizes[name]
    return places


def about_times(column: str, sides: Mapping[str, Sequence[Example]]) -> str:
    """From when to when each side is, as the rows write it."""
    said: list[str] = []
    for side, rows in sides.items():
        found = [(moment, row.metadata[column]) for row in rows
                 if (moment := moment_of(row.metadata.get(column)))]  # fmt: skip
        first, last = (end(found, key=lambda one: one[0].value)[1] for end in (min, max))
        said.append(f"{side} {first} to {last}")
    return f"Split by {column}, the newest rows are tested on: {', '.join(said)}."
