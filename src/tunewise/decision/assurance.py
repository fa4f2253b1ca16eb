"""What more test rows would do: the rule itself, applied to simulated next looks.

Assurance (O'Hagan, Stevens and Campbell 2005): the chance of a result averaged over what the truth
may be, rather than its power at one assumed truth.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from tunewise.decision.comparisons import Bench
from tunewise.statistics import paired
from tunewise.statistics.intervals import FloatArray, IntArray
from tunewise.statistics.jackknife import Jackknife
from tunewise.statistics.spending import look_confidence
from tunewise.types import Assurance, Finding

ROWS = (100, 300, 1000)
"""Numbers of further test rows that a person is told about."""
LIKELY = 0.6
"""Chance below which more rows are no advice."""


def assurance(
    bench: Bench,
    judge: Callable[[Bench], Finding],
    *,
    more: Sequence[int],
    earlier: Sequence[int],
    draws: int,
) -> tuple[Assurance, ...]:
    """The chances of the rule's findings after so many further rows.

    The truth is drawn by a Bayesian bootstrap (Rubin 1981): the units seen get weights from a flat
    Dirichlet distribution, and further units are drawn with them. What the rows seen and the new
    ones say together is judged at the confidence of the next look.

    Args:
        bench: the present look.
        judge: the rule.
        more: numbers of further rows.
        earlier: how many of the present rows each earlier look had seen.
        draws: next looks simulated for each number.
    """
    rng = np.random.default_rng(0)
    n = bench.rows.n
    units = _rows_of_units(bench.rows)
    found: list[Assurance] = []
    for rows in sorted(set(more)):
        confidence = look_confidence([*earlier, n], n + rows)
        said = Counter(
            judge(_next_look(bench, _further(units, rows, rng), confidence)) for _ in range(draws)
        )
        found.append(
            Assurance(
                rows=rows,
                settled=1.0 - said["cannot_tell"] / draws,
                fine_tune=said["fine_tune"] / draws,
            )
        )
    return tuple(found)


def rows_that_settle(found: Sequence[Assurance]) -> int | None:
    """The smallest number of further rows with which the question is likely settled."""
    return next((one.rows for one in found if one.settled >= LIKELY), None)


def _rows_of_units(rows: paired.Rows) -> list[IntArray]:
    """The rows of each unit."""
    codes = np.arange(rows.n, dtype=np.int64) if rows.codes is None else rows.codes
    order: IntArray = np.argsort(codes, kind="stable")
    ends: list[int] = np.cumsum(np.bincount(codes)).tolist()
    return [order[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _further(
    units: Sequence[IntArray], more: int, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """(m,) rows seen that stand for further ones, and the unit each belongs to; m about `more`."""
    seen = sum(unit.size for unit in units)
    weights = rng.dirichlet(np.ones(len(units)))
    size = max(1, round(more * len(units) / seen))
    chosen: list[int] = rng.choice(len(units), size=size, p=weights).tolist()
    pieces = [units[unit] for unit in chosen]
    numbers = np.repeat(np.arange(size, dtype=np.int64), [piece.size for piece in pieces])
    return np.concatenate(pieces), numbers


def _next_look(bench: Bench, further: tuple[IntArray, IntArray], confidence: float) -> Bench:
    """The bench with further rows, at the confidence of that look."""
    drawn, numbers = further
    rows = bench.rows
    codes = None
    if rows.codes is not None:
        codes = np.concatenate([rows.codes, rows.group_count + numbers])
    count = rows.n + drawn.size if codes is None else int(codes.max()) + 1
    return replace(
        bench,
        rows=replace(rows, n=rows.n + drawn.size, codes=codes, group_count=count),
        seeds={
            name: {seed: _extended(one, drawn) for seed, one in of.items()}
            for name, of in bench.seeds.items()
        },
        confidence=confidence,
    )


def _extended(one: paired.Sample, drawn: IntArray) -> paired.Sample:
    """A sample with further rows; an aggregate moves as its pseudo-values do."""
    scores: FloatArray = np.concatenate([one.scores, one.scores[drawn]])
    if one.jackknife is None:
        return paired.Sample(scores=scores, value=float(scores.mean()), jackknife=None)
    before = one.jackknife.pseudo_values
    pseudo_values: FloatArray = np.concatenate([before, before[drawn]])
    value = one.value + float(pseudo_values.mean() - before.mean())
    return paired.Sample(
        scores=scores,
        value=value,
        jackknife=Jackknife(value=value, pseudo_values=pseudo_values),
    )
