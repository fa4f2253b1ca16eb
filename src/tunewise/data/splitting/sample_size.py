"""Says how many test rows a decision needs, and what those that are there can tell.

It assumes what nobody knows before a run: that two contenders differ on a fifth of the rows;
"likely" is a chance of 80%.
"""

from collections import Counter
from collections.abc import Sequence
from math import ceil, floor, log10

from tunewise.statistics.power import DISCORDANCE, detectable_gain, rows_for_power
from tunewise.types import Example
from tunewise.wording import in_points

GROUP_CORRELATION = 0.2
"""How alike answers within a group are assumed to be, before anything is measured."""
MIN_FOR_INTERVAL = 20


def rows_wanted(test: Sequence[Example], minimum_gain: float) -> int:
    """Test rows that tell a gain of `minimum_gain` with 80% power, to two digits.

    Args:
        test: rows like those to be tested on; how they are grouped counts.
        minimum_gain: the smallest gain worth a training.
    """
    return _two_digits(rows_for_power(minimum_gain, DISCORDANCE) * design_effect(test))


def design_effect(examples: Sequence[Example]) -> float:
    """How many rows in such groups are worth one row alone: 1 + (m − 1) · ρ, Kish (1965).

    m is the mean size of the group that a row lies in, ρ is `GROUP_CORRELATION`.
    """
    sizes = Counter(
        ("group", row.group) if row.group is not None else ("row", row.id) for row in examples
    ).values()
    mean = sum(size**2 for size in sizes) / max(sum(sizes), 1)
    return 1.0 + (max(mean, 1.0) - 1.0) * GROUP_CORRELATION


def explanation(test: Sequence[Example], minimum_gain: float, *, reserved: int) -> str:
    """One line for a person: what so many test rows can tell.

    Args:
        test: the rows that are used.
        minimum_gain: the smallest gain worth a training.
        reserved: rows of the test side that are not used.
    """
    worth = len(test) / design_effect(test)
    wanted = rows_wanted(test, minimum_gain)
    rows = f"{len(test):,} test rows"
    if any(row.group is not None for row in test):
        groups = len({row.group or row.id for row in test})
        rows += f" in {groups:,} groups (worth about {_two_digits(worth):,} alone)"
    gain = in_points(minimum_gain)
    would_do = f"about {wanted:,} test rows would do"
    if worth < MIN_FOR_INTERVAL:
        said = (
            f"With {rows} a verdict is not possible: it takes {MIN_FOR_INTERVAL} at least, and "
            f"for a gain of {gain} {would_do}."
        )
    elif len(test) >= wanted:
        said = f"With {rows} a verdict on a gain of {gain} is likely."
    else:
        smallest = in_points(round(detectable_gain(worth), 2))
        said = (
            f"With {rows} a verdict on a gain of {gain} is unlikely: they tell one of about "
            f"{smallest}; {would_do}."
        )
    if reserved:
        said += (
            f" {reserved:,} more stay reserved: nothing is trained or tested on them until "
            "[data] limit_test asks for more."
        )
    return said


def _two_digits(number: float) -> int:
    """Rounded up to two significant digits: the assumptions are no better than that."""
    if number <= 0:
        return 0
    unit = 10 ** max(floor(log10(number)) - 1, 0)
    return ceil(number / unit) * unit
