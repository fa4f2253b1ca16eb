"""Simulated projects: what dev and test would hold if the true qualities were known.

Each contender answers an example right when a latent normal variable stays below the quantile of
its true rate. The variable is made of the example's difficulty (shared by all contenders), the
contender's own luck with it (shared by its seeds) and each seed's luck; within groups the first
two are correlated. Everything downstream of the scores is the shipped code.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import brentq
from scipy.stats import multivariate_normal, norm

from tunewise.decision.plan import Measured, Plan, choose_plan, futile
from tunewise.decision.rule import Demands, decide
from tunewise.types import Verdict

Rule = Callable[..., Verdict]
"""Anything with the signature of `tunewise.decision.rule.decide`."""

TRAINED = ("fine_tune", "fine_tune_rag")
DEMANDS = Demands(minimum_gain=0.05)


@dataclass(frozen=True, kw_only=True)
class World:
    """The truth about one kind of project."""

    rates: Mapping[str, float]
    """contender -> true share of right answers; two of them trained."""
    discordant: float | None = 0.2
    """Share of rows on which the best trained and the best untrained contender differ; None: what
    follows when half of the latent variance is the example's difficulty."""
    test_rows: tuple[int, ...] = (200,)
    """Test rows at each look; rows are only ever added."""
    dev_rows: int = 50
    group_rows: int = 1
    """Rows of a group, on average; 1: independent rows."""
    correlation: float = 0.0
    """Within groups, of difficulty and of each contender's luck."""
    seed_share: float = 0.3
    """Share of a contender's own variance that differs between its seeds."""
    seeds: int = 3
    grid: int = 3
    """Runs from which the first seed was picked on dev."""
    shared: float = field(init=False)
    """Share of the latent variance that is the example's difficulty."""

    def __post_init__(self) -> None:
        untrained = max(rate for name, rate in self.rates.items() if name not in TRAINED)
        trained = max(self.rates[name] for name in TRAINED)
        half = self.discordant is None
        shared = 0.5 if half else _shared(trained, untrained, self.discordant)
        object.__setattr__(self, "shared", shared)


def _shared(a: float, b: float, discordant: float) -> float:
    """The latent correlation at which two contenders with rates a and b differ on that share."""

    def excess(correlation: float) -> float:
        both = multivariate_normal.cdf(
            [norm.ppf(a), norm.ppf(b)], cov=[[1.0, correlation], [correlation, 1.0]]
        )
        return a + b - 2.0 * float(both) - discordant

    return float(brentq(excess, 0.0, 0.999))


def draw(
    world: World, rows: int, runs: Mapping[str, int], rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], list[str] | None]:
    """contender -> (runs, rows) zeros and ones, and the group of each row."""
    codes = None
    if world.group_rows > 1:
        count = max(2, rows // world.group_rows)
        # Groups of unequal size: the largest has about twice the rows of the smallest.
        codes = np.concatenate(
            [np.arange(count), rng.choice(count, rows - count, p=_uneven(count))]
        )

    def luck() -> np.ndarray:
        own = rng.standard_normal(rows)
        if codes is None:
            return own
        of_group = rng.standard_normal(int(codes.max()) + 1)[codes]
        return np.sqrt(world.correlation) * of_group + np.sqrt(1 - world.correlation) * own

    difficulty = np.sqrt(world.shared) * luck()
    scores = {}
    for name, rate in world.rates.items():
        own = np.sqrt((1 - world.shared) * (1 - world.seed_share)) * luck()
        noise = np.sqrt((1 - world.shared) * world.seed_share)
        latent = difficulty + own + noise * rng.standard_normal((runs[name], rows))
        scores[name] = (latent < norm.ppf(rate)).astype(np.float64)
    groups = None if codes is None else [f"group {code}" for code in codes]
    return scores, groups


def _uneven(count: int) -> np.ndarray:
    weights = np.linspace(1.0, 2.0, count)
    return weights / weights.sum()


def measured(scores: Mapping[str, np.ndarray], seeds: Mapping[str, int]) -> list[Measured]:
    return [
        Measured(
            name=name,
            trained=name in TRAINED,
            scores={seed: scores[name][seed] for seed in range(seeds[name])},
        )
        for name in scores
    ]


def planned(world: World, rng: np.random.Generator) -> Plan:
    """What a run writes down from dev: incumbent, futility of each tune, plan."""
    runs = {name: world.seeds - 1 + world.grid if name in TRAINED else 1 for name in world.rates}
    dev, _ = draw(world, world.dev_rows, runs, rng)
    for name in TRAINED:  # the first seed is the winner of the grid on dev
        tried, others = dev[name][: world.grid], dev[name][world.grid :]
        dev[name] = np.vstack([tried[tried.mean(axis=1).argmax()], others])
    seeds = {name: world.seeds if name in TRAINED else 1 for name in world.rates}
    untrained = {name: dev[name] for name in dev if name not in TRAINED}
    incumbent = choose_plan(measured(untrained, seeds), minimum_gain=DEMANDS.minimum_gain).incumbent
    for name in TRAINED:
        alone = {one: dev[one] for one in (name, incumbent)}
        first, bar = measured(alone, dict.fromkeys(alone, 1))
        if futile(first, bar, minimum_gain=DEMANDS.minimum_gain):
            seeds[name] = 1
    return choose_plan(
        measured(dev, seeds), minimum_gain=DEMANDS.minimum_gain, seeds_wanted=world.seeds
    )


def run_project(world: World, rng: np.random.Generator, rule: Rule = decide) -> list[Verdict]:
    """The verdicts of one project at its looks, ending with the first that says fine-tune."""
    runs = {name: world.seeds if name in TRAINED else 1 for name in world.rates}
    test, groups = draw(world, world.test_rows[-1], runs, rng)
    order = rng.permutation(world.test_rows[-1])
    verdicts: list[Verdict] = []
    for look, rows in enumerate(world.test_rows, start=1):
        plan = planned(world, rng)
        seen = np.sort(order[:rows])
        verdicts.append(
            rule(
                plan,
                measured(
                    {name: values[:, seen] for name, values in test.items()},
                    {name: plan.seeds[name] for name in test},
                ),
                metric="accuracy",
                binary=True,
                demands=DEMANDS,
                groups=None if groups is None else [groups[row] for row in seen],
                earlier=world.test_rows[: look - 1],
                draws=0,
            )
        )
        if verdicts[-1].outcome in TRAINED:
            break
    return verdicts


def share_fine_tuned(world: World, projects: int, seed: int, rule: Rule = decide) -> float:
    """The share of simulated projects in which a fine-tune is recommended at some look."""
    rng = np.random.default_rng(seed)
    found = [run_project(world, rng, rule)[-1].outcome in TRAINED for _ in range(projects)]
    return sum(found) / projects
