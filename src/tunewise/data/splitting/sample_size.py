"""Says how many test rows are used, and what those that are there can tell.

It assumes what nobody knows before a run: how often two contenders differ, and how alike the
answers within a unit are. No interval rests on either.
"""

from collections import Counter
from collections.abc import Sequence
from math import ceil, floor, log10

from tunewise.statistics.intervals import MINIMUM_GROUPS, MINIMUM_ROWS
from tunewise.statistics.power import DISCORDANCE, chance_to_tell, rows_for_power
from tunewise.wording import in_points, whole_percent

Groups = Sequence[str | None]
"""(rows,) the unit of each row, None for a row on its own: of `Splits.units_of`."""

GROUP_CORRELATION = 0.2
"""How alike answers within a unit are assumed to be, before anything is measured."""
_SAID_BELOW = 0.95
"""Units are spoken of where they are worth less than this share of their rows."""


def rows_wanted(groups: Groups, minimum_gain: float) -> int:
    """The test rows that are used where more are there, to two digits.

    So many show a true gain of `minimum_gain` to be above 0 with 80% power in a 95% interval. One
    of twice `minimum_gain` then ends in the advice to fine-tune with 97% or more (99% where
    `minimum_gain` is at most 0.15; `chance_to_tell`), one of exactly `minimum_gain` with half,
    however many rows there are.

    Args:
        groups: the units of rows like those to be tested on.
        minimum_gain: the smallest gain worth a training.
    """
    alone = max(rows_for_power(minimum_gain, DISCORDANCE), MINIMUM_ROWS)
    return _two_digits(alone * design_effect(groups))


def design_effect(groups: Groups) -> float:
    """How many rows in such units are worth one row alone: 1 + (m − 1) · ρ, Kish (1965).

    m is the mean size of the unit that a row lies in, ρ is `GROUP_CORRELATION`.
    """
    sizes = Counter(group for group in groups if group is not None).values()
    alone = sum(group is None for group in groups)
    mean = (alone + sum(size**2 for size in sizes)) / max(len(groups), 1)
    return 1.0 + (max(mean, 1.0) - 1.0) * GROUP_CORRELATION


def explanation(groups: Groups, minimum_gain: float, *, reserved: int) -> str:
    """One line for a person: what so many test rows can tell.

    Args:
        groups: the units of the rows that are used.
        minimum_gain: the smallest gain worth a training.
        reserved: rows of the test side that are not used.
    """
    worth = len(groups) / design_effect(groups)
    wanted = rows_wanted(groups, minimum_gain)
    rows = f"{len(groups):,} test rows"
    shown = _two_digits(worth)
    if worth < _SAID_BELOW * len(groups) and shown < len(groups):
        rows += f" in {_units(groups):,} units (worth about {shown:,} rows alone)"
    if worth < MINIMUM_ROWS:
        said = f"With {rows} a verdict is not possible: it takes {MINIMUM_ROWS} at least."
    elif _units(groups) < MINIMUM_GROUPS:
        said = f"With {rows} a verdict is not possible: it takes {MINIMUM_GROUPS} units at least."
    else:
        said = f"With {rows}, a true gain of {_chances(worth, minimum_gain)}."
    if len(groups) < wanted:
        said += f" More rows, up to about {wanted:,}, would tell more."
    if reserved:
        said += (
            f" {reserved:,} more stay reserved: nothing is trained or tested on them until a "
            "verdict, or [data] limit_test, asks for more."
        )
    return said


def about_asked(used: int, usual: int, asked: int) -> str:
    """One line for a person: that test takes more rows than usual.

    Args:
        used: test rows that are used.
        usual: as many as would be without the verdict that asked for more; fewer than `used`.
        asked: as many as that verdict asked for in all.
    """
    more = f"{used - usual:,}"
    if used < asked:
        more += f" of the {asked - usual:,}"
    return f"Test takes {used:,} rows: {usual:,}, and {more} more that the last verdict asked for."


def _chances(worth: float, minimum_gain: float) -> str:
    """`5 points would be told with a chance of 31%, one of 10 points with 78%`."""
    chances = [
        (in_points(gain), _percent(chance_to_tell(worth, gain, minimum_gain)))
        for gain in (minimum_gain, 2 * minimum_gain)
        if gain <= 1
    ]
    (gain, chance), *others = chances
    more = "".join(f", one of {gain} with {chance}" for gain, chance in others)
    return f"{gain} would be told with a chance of {chance}{more}"


def _percent(chance: float) -> str:
    return "over 99%" if chance > 0.99 else whole_percent(chance)


def _units(groups: Groups) -> int:
    return sum(group is None for group in groups) + len({*groups} - {None})


def _two_digits(number: float) -> int:
    """Rounded up to two significant digits: the assumptions are no better than that."""
    if number <= 0:
        return 0
    unit = 10 ** max(floor(log10(number)) - 1, 0)
    return ceil(number / unit) * unit
