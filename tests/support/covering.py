"""How often the shipped intervals of a paired difference hold the truth."""

from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.special import gammaln, xlogy

from projects import World, draw
from tunewise.statistics import paired
from tunewise.statistics.intervals import bonett_price


def exact_coverage(n: int, only_a: float, only_b: float, confidence: float = 0.95) -> float:
    """The coverage for independent rows, summed over every possible outcome: no simulation."""
    a, b = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
    possible = a + b <= n
    a, b = a[possible], b[possible]
    rest = n - a - b
    chance = np.exp(
        gammaln(n + 1) - gammaln(a + 1) - gammaln(b + 1) - gammaln(rest + 1)
        + xlogy(a, only_a) + xlogy(b, only_b) + xlogy(rest, 1 - only_a - only_b)
    )  # fmt: skip
    total = 0.0
    for x, y, weight in zip(a.tolist(), b.tolist(), chance.tolist(), strict=True):
        if weight > 1e-9:
            found = bonett_price(x, y, n, confidence=confidence, degrees=n - 1.0)
            total += weight * (found.low <= only_a - only_b <= found.high)
    return total


@dataclass(frozen=True, kw_only=True)
class Cell:
    groups: int
    rows: int
    a: float
    b: float
    correlation: float
    coverage: float
    discordant: float

    @property
    def is_capped(self) -> bool:
        """Where an interval must not be much wider than needed either."""
        return (
            self.rows >= 200
            and self.groups >= 20
            and max(self.a, self.b) <= 0.9
            and self.discordant >= 0.1
        )


SHAPES = ((10, 20), (10, 60), (10, 200), (20, 200), (20, 400), (50, 200))
RATES = ((0.5, 0.5), (0.8, 0.7), (0.9, 0.8), (0.9, 0.9), (0.99, 0.9), (0.99, 0.97), (0.99, 0.99))


def grouped_cells(draws: int, seed: int, correlations: tuple[float, ...]) -> list[Cell]:
    """The coverage of the grouped interval in every cell, from `draws` data sets each."""
    rng = np.random.default_rng(seed)
    cells: list[Cell] = []
    for (groups, rows), (a, b), correlation in product(SHAPES, RATES, correlations):
        world = World(
            rates={"few_shot": b, "fine_tune": a},
            discordant=None,
            group_rows=rows // groups,
            correlation=correlation,
        )
        runs = dict.fromkeys(world.rates, 1)
        held = differing = 0
        for _ in range(draws):
            scores, names = draw(world, rows, runs, rng)
            layout = paired.rows_of(rows, binary=True, groups=names)
            one, other = (
                paired.sample(scores[name][0], layout) for name in ("fine_tune", "few_shot")
            )
            found = paired.difference(one, other, layout)
            held += found.low <= a - b + 1e-12 and a - b - 1e-12 <= found.high
            differing += int((one.scores != other.scores).sum())
        cells.append(
            Cell(
                groups=groups, rows=rows, a=a, b=b, correlation=correlation,
                coverage=held / draws, discordant=differing / draws / rows,
            )
        )  # fmt: skip
    return cells
