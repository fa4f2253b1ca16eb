"""Which rows of a run are shown: by who was right, by label, by length."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tunewise.desk.answer_index import AnswerIndex, Column

Show: TypeAlias = Literal["all", "right", "wrong", "partly", "crashed", "differ", "ahead", "behind"]
SHOWS: dict[Show, str] = {
    "all": "all rows",
    "right": "{a} is right",
    "wrong": "{a} is wrong",
    "partly": "{a} is partly right",
    "crashed": "{a} crashed",
    "differ": "the scores differ",
    "ahead": "{a} is ahead",
    "behind": "{a} is behind",
}
"""What can be shown, in words; the last three need a second contender."""
OF_TWO: frozenset[Show] = frozenset({"differ", "ahead", "behind"})
MAX_LABELS = 60
"""Different answers wanted, for them to be labels to choose from."""
Length: TypeAlias = Literal["any", "short", "middle", "long"]
PAGE_ROWS = 20
"""Rows of a page."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """One entry of a list to choose from."""

    value: str
    label: str
    rows: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What is to be shown."""

    a: str
    b: str | None
    show: Show = "all"
    label: str | None = None
    length: Length = "any"
    segment: str | None = None
    """`0-3`: the numbers of a column and of its value, as `segments` gives them."""


def matching(index: AnswerIndex, wanted: Wanted) -> NDArray[np.int64]:
    """The numbers of the rows that fit, in the order of the test file."""
    fits = _fits(index, wanted)
    if wanted.label is not None:
        fits &= np.array([one == wanted.label for one in index.wanted], dtype=np.bool_)
    if wanted.length != "any":
        low, high = length_bounds(index)[wanted.length]
        fits &= (index.words >= low) & (index.words <= high)
    if wanted.segment is not None:
        fits &= _of_segment(index, wanted.segment)
    return np.flatnonzero(fits)


def _fits(index: AnswerIndex, wanted: Wanted) -> NDArray[np.bool_]:
    a = index.columns[wanted.a]
    here = a.answers >= 0
    value = _judged(a)
    match wanted.show:
        case "all":
            return np.ones(len(index.ids), dtype=np.bool_)
        case "right":
            return here & (value >= 1.0)
        case "wrong":
            return here & (value <= 0.0)
        case "partly":
            return here & (value > 0.0) & (value < 1.0)
        case "crashed":
            return here & a.crashed
        case _:
            if wanted.b is None:
                return np.ones(len(index.ids), dtype=np.bool_)
            b = index.columns[wanted.b]
            gap = value - _judged(b)
            both = here & (b.answers >= 0)
            return both & {"differ": gap != 0, "ahead": gap > 0, "behind": gap < 0}[wanted.show]


def _judged(column: Column) -> NDArray[np.float32]:
    """Values in which what is not scorable counts as wrong, as in the verdict."""
    return np.nan_to_num(column.values, nan=0.0)


def shows(index: AnswerIndex, wanted: Wanted) -> list[Choice]:
    """What can be shown, with how many rows each would be beside the other filters."""
    found: list[Choice] = []
    for show, words in SHOWS.items():
        if show in OF_TWO and wanted.b is None:
            continue
        other = replace(wanted, show=show)
        rows = len(matching(index, other))
        if rows or show in ("all", wanted.show):
            found.append(Choice(value=show, label=words.format(a=wanted.a), rows=rows))
    return found


def labels(index: AnswerIndex) -> list[Choice]:
    """The answers wanted, the most frequent first; none where they are texts."""
    counted = Counter(index.wanted)
    if not 1 < len(counted) <= MAX_LABELS or max(map(len, counted)) > 120:
        return []
    return [Choice(value=one, label=one, rows=rows) for one, rows in counted.most_common()]


def segments(index: AnswerIndex) -> dict[str, list[Choice]]:
    """Column -> its values, with how many rows each has.

    They are known by numbers: what stands in a column may be personal, and addresses are kept.
    """
    return {
        column: [
            Choice(value=f"{at}-{number}", label=value, rows=int(rows.sum()))
            for number, (value, rows) in enumerate(values.items())
        ]
        for at, (column, values) in enumerate(index.segments.items())
    }


def _of_segment(index: AnswerIndex, segment: str) -> NDArray[np.bool_]:
    for at, values in enumerate(index.segments.values()):
        for number, rows in enumerate(values.values()):
            if segment == f"{at}-{number}":
                return rows
    return np.ones(len(index.ids), dtype=np.bool_)


def length_bounds(index: AnswerIndex) -> dict[Length, tuple[int, int]]:
    """Fewest and most words of short, middling and long inputs: thirds of the rows."""
    if not len(index.words):
        return {}
    low, high = (int(q) for q in np.quantile(index.words, [1 / 3, 2 / 3], method="lower"))
    top = int(index.words.max())
    return {"short": (0, low), "middle": (low + 1, high), "long": (high + 1, top)}


def lengths(index: AnswerIndex) -> list[Choice]:
    """The parts that hold rows."""
    found: list[Choice] = []
    for name, (low, high) in length_bounds(index).items():
        rows = int(((index.words >= low) & (index.words <= high)).sum())
        if rows and low <= high:
            span = f"up to {high}" if name == "short" else f"{low} to {high}"
            found.append(Choice(value=name, label=f"{name}: {span} words", rows=rows))
    return found


def page_of(rows: NDArray[np.int64], number: int) -> Sequence[int]:
    """The rows of a page; the first one is 1."""
    return [int(one) for one in rows[(number - 1) * PAGE_ROWS : number * PAGE_ROWS]]
