"""Says why a column can be neither input nor answer: constants, ids, times, who speaks.

It looks at one column's values and name.
"""

import re
from collections.abc import Sequence
from itertools import pairwise

from tunewise.data.formats.turn_rows import ROLE_COLUMNS, SPEAKERS, shortened

_MIN_COUNT = 5
"""Values from which something may be said of all of them."""
_UNIQUE = 0.98
"""Share of different values from which each row has one of its own."""
_UUID = re.compile(
    r"\{?[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}\}?|[0-9a-f]{24,64}", re.IGNORECASE
)
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}.{0,16}|1[0-9]{9}([0-9]{3})?(\.\d+)?")
_WHOLE = re.compile(r"[-+]?\d{1,18}(\.0)?")
_CALLED = {"number": "number", "date": "date", "code": "code", "address": "address"}


def why_unfit(name: str, values: Sequence[str], form: str, *, open_answer: bool) -> str:
    """Why a column is surely neither input nor answer; empty where it may be one.

    Args:
        name: of the column.
        values: its values, blank ones left out.
        form: what nearly all of them are: `number`, `date`, `code`, `address`, `object` or `text`.
        open_answer: whether the name is one of answers that may be a number of their own.
    """
    if not values:
        return "empty"
    distinct = set(values)
    if len(values) < _MIN_COUNT:
        return ""
    if len(distinct) == 1:
        return f'always "{shortened(values[0], 30)}"'
    if name.strip().casefold() in ROLE_COLUMNS and {v.casefold() for v in distinct} <= SPEAKERS:
        return "says who speaks"
    if len(distinct) < _UNIQUE * len(values):
        return ""
    if all(map(_UUID.fullmatch, values)):
        return "an id in each row"
    if all(map(_TIME.fullmatch, values)):
        return "a time in each row"
    if _counts(values):
        return "counts the rows"
    if form in _CALLED and not open_answer:
        return f"another {_CALLED[form]} in each row"
    return ""


def _counts(values: Sequence[str]) -> bool:
    """Whether they are the numbers of the rows."""
    if not all(map(_WHOLE.fullmatch, values)):
        return False
    numbers = [int(float(value)) for value in values]
    return len({b - a for a, b in pairwise(numbers)}) == 1
