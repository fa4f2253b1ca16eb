"""Quality apart by label, length, group and columns: where a fine-tune helps, and where it hurts.

Scores of test rows in, segments with paired differences out. Nothing is chosen by it.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from statistics import fmean

import numpy as np

from tunewise.data.splitting.units import normalised_input
from tunewise.decision.plan import Measured
from tunewise.metrics.metric import Metric
from tunewise.runs.segments import LabelNoise, Segment, Segments
from tunewise.statistics.intervals import FloatArray, Interval, NotComputed
from tunewise.statistics.paired import (
    Rows,
    Sample,
    difference,
    mean_sample,
    quality,
    rows_of,
    sample,
)
from tunewise.statistics.tests import holm
from tunewise.text.label_sets import set_elements
from tunewise.text.words import count_words
from tunewise.types import Example, JsonValue, Kind

MIN_ROWS = 5
"""Rows of a segment at least; smaller ones of one kind are put together."""
MAX_VALUES = 20
"""Values of one column that are shown apart; the rest is put together."""
OTHERS = "all others"
PARTS = 3
"""Parts of equal size into which lengths and numbers are cut."""

Parted = Mapping[str, Sequence[int]]
"""What rows have in common -> their places among the test rows."""


def parted(
    examples: Sequence[Example],
    kind: Kind,
    columns: Sequence[str],
    *,
    labels: Sequence[str] | None,
    group: str | None,
) -> dict[str, Parted]:
    """The segments of some rows, by kind of segment.

    Args:
        examples: the test rows.
        kind: of the task; labels are segments of classification and multilabel.
        columns: of `data.segments`.
        labels: those of the task.
        group: the column of `data.group`.
    """
    found: dict[str, Parted] = {}
    if kind == "classification":
        found["label"] = _by_value([[row.target.strip()] for row in examples])
    elif kind == "multilabel":
        known = tuple(labels or ())
        found["label"] = _by_value([list(set_elements(row.target, known)) for row in examples])
    found["length"] = _by_size([float(count_words(row.input.text)) for row in examples], "words")
    apart = {by: parts for by, parts in found.items() if len(parts) > 1}
    return apart | parted_by_columns(examples, columns, group=group)


def parted_by_columns(
    examples: Sequence[Example], columns: Sequence[str], *, group: str | None
) -> dict[str, Parted]:
    """The segments of some rows by what stands in their columns, those of one value left out.

    Args:
        examples: the test rows.
        columns: of `data.segments`.
        group: the column of `data.group`.
    """
    found: dict[str, Parted] = {}
    named = [*columns] if group is None else [group, *columns]
    for column in dict.fromkeys(named):
        cells = [row.metadata.get(column) for row in examples]
        numbers = [_number(cell) for cell in cells]
        if None not in numbers and len(set(numbers)) > MAX_VALUES:
            found[column] = _by_size([number or 0.0 for number in numbers], "")
        else:
            found[column] = _by_value([[_shown(cell)] for cell in cells])
    return {by: parts for by, parts in found.items() if len(parts) > 1}


def measure_segments(
    a: Measured,
    b: Measured,
    parts: Mapping[str, Parted],
    units: Sequence[str | None],
    *,
    binary: bool,
) -> Segments:
    """Both contenders on every segment, those that get worse first.

    Args:
        a: the trained contender's test scores, row by row; of all its seeds the mean counts.
        b: those of the contender without training, on the same rows.
        parts: of `parted`.
        units: (n,) the independent unit of each test row.
        binary: whether every score is 0 or 1.
    """
    items = [
        _segment(by, value, rows, (a, b), units, binary=binary)
        for by, some in parts.items()
        for value, rows in some.items()
    ]
    known = [one for one in items if one.p is not None]
    adjusted = holm([one.p for one in known if one.p is not None])
    found = [one for one in items if one.p is None]
    found += [replace(one, p_adjusted=p) for one, p in zip(known, adjusted, strict=True)]
    return Segments(
        a=a.name,
        b=b.name,
        items=tuple(sorted(found, key=lambda one: (not one.worse, one.low is None, one.delta))),
    )


def measure_label_noise(examples: Sequence[Example], metric: Metric) -> LabelNoise | None:
    """How far labels of the same input agree; None where none is labelled twice.

    With label probabilities p_k given the input, two labels agree with probability sum p_k², and
    the best model is right with probability max p_k <= sqrt(sum p_k²); by Jensen's inequality no
    model exceeds the square root of the mean agreement over inputs.

    Args:
        examples: rows of all sides.
        metric: of one label against another; rates have a ceiling, other scores do not.
    """
    alike: dict[str, list[str]] = {}
    for row in examples:
        alike.setdefault(normalised_input(row), []).append(row.target)
    several = [targets for targets in alike.values() if len(targets) > 1]
    if not several:
        return None
    agreements = [
        fmean(_agreement(one, other, metric) for one, other in combinations(targets, 2))
        for targets in several
    ]
    exact = metric.binary and all(value in (0.0, 1.0) for value in agreements)
    rows = rows_of(len(agreements), binary=exact)
    scores: FloatArray = np.array(agreements, dtype=np.float64)
    found = quality(sample(scores, rows), rows)
    if isinstance(found, NotComputed):
        return LabelNoise(inputs=len(several), agreement=found.value, method=found.reason)
    return LabelNoise(
        inputs=len(several),
        agreement=found.value,
        low=found.low,
        high=found.high,
        ceiling=math.sqrt(max(0.0, min(1.0, found.high))) if metric.binary else None,
        method=found.method,
    )


def _agreement(one: str, other: str, metric: Metric) -> float:
    """The metric either way round, the mean of both."""
    return (metric.score(one, other).value + metric.score(other, one).value) / 2.0


def _segment(
    by: str,
    value: str,
    rows: Sequence[int],
    pair: tuple[Measured, Measured],
    units: Sequence[str | None],
    *,
    binary: bool,
) -> Segment:
    about = rows_of(len(rows), binary=binary, groups=[units[row] for row in rows])
    a, b = (_mean(one, rows, about) for one in pair)
    found = difference(a, b, about)
    interval = found if isinstance(found, Interval) else None
    return Segment(
        by=by,
        value=value,
        n=len(rows),
        units=about.group_count,
        a=float(a.scores.mean()),
        b=float(b.scores.mean()),
        low=interval and interval.low,
        high=interval and interval.high,
        p=interval and interval.p,
        method=found.method if isinstance(found, Interval) else found.reason,
    )


def _mean(one: Measured, rows: Sequence[int], about: Rows) -> Sample:
    places = np.array(rows, dtype=np.int64)
    return mean_sample([sample(one.values(seed)[places], about) for seed in sorted(one.scores)])


def _by_value(cells: Sequence[Sequence[str]]) -> Parted:
    """Rows by what they hold, most rows first; rare values together."""
    counts = Counter(value for some in cells for value in set(some))
    kept = [value for value, n in counts.most_common(MAX_VALUES) if n >= MIN_ROWS]
    found: dict[str, list[int]] = {value: [] for value in kept}
    rest: list[int] = []
    for row, some in enumerate(cells):
        own = [value for value in dict.fromkeys(some) if value in found]
        for value in own:
            found[value].append(row)
        if not own:
            rest.append(row)
    if len(rest) >= MIN_ROWS:
        found[OTHERS] = rest
    return found


def _by_size(sizes: Sequence[float], unit: str) -> Parted:
    """Rows in parts of about equal size, the smallest first; rows of one size stay together."""
    values: FloatArray = np.array(sizes, dtype=np.float64)
    borders = sorted({float(b) for b in np.quantile(values, np.arange(1, PARTS) / PARTS)})
    part = np.searchsorted(borders, values, side="left")
    found: dict[str, list[int]] = {}
    for number in range(len(borders) + 1):
        rows = np.flatnonzero(part == number)
        if rows.size:
            low, high = values[rows].min(), values[rows].max()
            found[_span(float(low), float(high), unit)] = [int(row) for row in rows]
    return found


def _span(low: float, high: float, unit: str) -> str:
    ends = f"{low:g}" if low == high else f"{low:g} to {high:g}"
    return f"{ends} {unit}".strip()


def _number(cell: JsonValue) -> float | None:
    if isinstance(cell, bool) or cell is None:
        return None
    try:
        number = float(str(cell))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _shown(cell: JsonValue) -> str:
    if cell is None or cell == "":
        return "nothing there"
    text = " ".join(str(cell).split())
    return text if len(text) <= 60 else f"{text[:59]}…"
