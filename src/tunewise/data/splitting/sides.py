"""Turns units into sides of a split, and says which rows a limit takes: all by hashes."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tunewise.data.splitting.units import Units

MIN_TEST = 5
MIN_DEV = 3
MIN_TRAIN = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Cut:
    """Which rows fell on which side, by their number, in the order of the file."""

    train: list[int]
    dev: list[int]
    test: list[int]
    moved: bool
    """Whether rows had to leave their own side to fill another."""
    torn: int = 0
    """Rows left out because they nearly repeat a row across the border of test."""


def cut_units(
    names: Sequence[str],
    rows: Sequence[int],
    seed: int,
    test_share: float,
    dev_share: float,
    places: Mapping[str, float] | None = None,
) -> Cut:
    """Cuts the units of some rows, in order of their places, into test, dev and train.

    The borders lie at the shares, and move only where a split would be too small.

    Args:
        names: (all rows,) the unit of each row.
        rows: those that are cut.
        seed: salt of the hash.
        test_share: of all units, 0 to 1.
        dev_share: likewise.
        places: unit -> from 0 to 1; None: by hash.
    """
    members = Counter(names[row] for row in rows)
    place = places or {name: hash_place("split", seed, name) for name in members}
    order = sorted(members, key=lambda name: (place[name], name))
    sizes = [members[name] for name in order]
    first = sum(place[name] < test_share for name in order)
    second = sum(place[name] < test_share + dev_share for name in order)
    usual = (first, second)
    if test_share > 0:
        first = max(first, _reach(sizes, MIN_TEST))
    second = max(second, first + _reach(sizes[first:], MIN_DEV))
    # From the far end: train must keep its rows, then dev, and test has what is left.
    second = min(second, len(sizes) - _reach(sizes[::-1], MIN_TRAIN))
    if test_share > 0:
        first = min(first, second - _reach(sizes[:second][::-1], MIN_DEV))
    side: dict[str, int] = {name: (n >= first) + (n >= second) for n, name in enumerate(order)}
    parts: tuple[list[int], list[int], list[int]] = ([], [], [])
    for row in rows:
        parts[side[names[row]]].append(row)
    test, dev, train = parts
    return Cut(train=train, dev=dev, test=test, moved=(first, second) != usual)


def _reach(sizes: Sequence[int], rows: int) -> int:
    """How many units from the front hold at least `rows` rows (all of them, if they do not)."""
    total = 0
    for n, size in enumerate(sizes):
        if total >= rows:
            return n
        total += size
    return len(sizes)


def without_torn(cut: Cut, found: Units) -> Cut:
    """Leaves out the later row of each near duplicate that groups tore apart.

    Its group keeps it on its side, its likeness is on the other: on either it would do harm, and
    moving a whole group would move old rows.
    """
    test, others = set(cut.test), {*cut.train, *cut.dev}
    left_out: set[int] = set()
    for row, earlier in found.torn:
        across = (row in test and earlier in others) or (row in others and earlier in test)
        if across and earlier not in left_out:
            left_out.add(row)
    return Cut(
        train=[row for row in cut.train if row not in left_out],
        dev=[row for row in cut.dev if row not in left_out],
        test=[row for row in cut.test if row not in left_out],
        moved=cut.moved,
        torn=len(left_out),
    )


class Order:
    """The order in which a limit takes rows: unit by unit, by a hash of its own.

    Args:
        ids: (rows,) their ids.
        names: (rows,) names of their units.
        seed: salt of the hash.
    """

    def __init__(self, ids: Sequence[str], names: Sequence[str], seed: int) -> None:
        self._ids = ids
        self._names = names
        self._seed = seed

    def first(self, rows: Sequence[int], limit: int | None) -> Sequence[int]:
        """The first `limit` of some rows, in their former order."""
        if limit is None or limit >= len(rows):
            return rows
        return sorted(sorted(rows, key=self._rank)[:limit])

    def _rank(self, row: int) -> tuple[float, float, int]:
        # Not the hash that splits: that one would take test rows first.
        unit = hash_place("limit", self._seed, self._names[row])
        return unit, hash_place("row", self._seed, self._ids[row]), row


def hash_place(purpose: str, seed: int, name: str) -> float:
    """A number in [0, 1) that depends on nothing but its arguments."""
    digest = hashlib.sha256(f"{purpose}\0{seed}\0{name}".encode()).digest()
    # 53 bits fill a float exactly, so that 1.0 cannot come out.
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53
