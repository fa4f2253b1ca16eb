"""Simulated projects: what dev and test would hold if the true qualities were known.

Each contender answers an example right when a latent normal variable stays below the quantile of
its true rate. The variable is made of the example's difficulty (shared by all contenders), the
contender's own luck with it (shared by its seeds) and each seed's luck; within units the first two
are correlated. Everything downstream of the scores is the shipped code.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtri
from scipy.stats import multivariate_normal

from races import checkpoints, dev_of, told
from tunewise.decision.plan import Measured, Plan, choose_plan, futile
from tunewise.decision.rule import Demands, decide
from tunewise.project.contenders import effort
from tunewise.types import Verdict

Rule = Callable[..., Verdict]
"""Anything with the signature of `tunewise.decision.rule.decide`."""

FIELDS = (-0.15, -0.05, 0.05, 0.15)
"""How much easier or harder each of four fields is: scores in quarters, many of them 0 or 1."""


def is_trained(name: str) -> bool:
    return name.startswith("fine_tune")


def how_many(usual: int) -> int:
    """`usual`, or what PROJECTS says: the numbers of docs/method.md are those of 1,000."""
    return int(os.environ.get("PROJECTS", usual))


@dataclass(frozen=True, kw_only=True)
class World:
    """The truth about one kind of project."""

    rates: Mapping[str, float]
    """contender -> true share of right answers; at least one of them trained."""
    minimum_gain: float = 0.05
    discordant: float | None = 0.2
    """Share of rows on which the best trained and the best untrained contender differ; None: what
    follows when half of the latent variance is the example's difficulty."""
    test_rows: tuple[int, ...] = (200,)
    """Test rows at each look; rows are only ever added."""
    dev_rows: int = 50
    group_rows: int = 1
    """Rows of a unit, on average; 1: independent rows."""
    correlation: float = 0.0
    """Within units, of difficulty and of each contender's luck."""
    units_known: bool = True
    """Whether the rule is told of the units."""
    kind: Literal["right or wrong", "fields", "macro_f1"] = "right or wrong"
    classes: int = 3
    """Labels of a macro_f1 world, Zipf-distributed."""
    seed_share: float = 0.3
    """Share of a contender's own variance that differs between its seeds."""
    seed_spread: float = 0.0
    """Standard deviation of a trained contender's true rate between its seeds."""
    refitted: float = 0.0
    """Share of a trained contender's own luck that is new at each look, as it is fitted anew."""
    seeds: int = 3
    grid: int = 3
    """Runs from which the first seed was picked on dev."""
    raced: bool = True
    """Whether those that dev shows to be surely too far behind are not asked on test."""
    shared: float = field(init=False)
    """Share of the latent variance that is the example's difficulty."""

    def __post_init__(self) -> None:
        half = self.discordant is None
        shared = 0.5 if half else _shared(self.best(True), self.best(False), self.discordant)
        object.__setattr__(self, "shared", shared)

    def best(self, trained: bool) -> float:
        """The true rate of the best contender with, or without, training."""
        return max(rate for name, rate in self.rates.items() if is_trained(name) == trained)

    def runs(self, of_trained: int) -> dict[str, int]:
        return {name: of_trained if is_trained(name) else 1 for name in self.rates}


def _shared(a: float, b: float, discordant: float) -> float:
    """The latent correlation at which two contenders with rates a and b differ on that share."""

    def excess(correlation: float) -> float:
        both = multivariate_normal.cdf(
            [ndtri(a), ndtri(b)], cov=[[1.0, correlation], [correlation, 1.0]]
        )
        return a + b - 2.0 * float(both) - discordant

    return float(brentq(excess, 0.0, 0.9999))


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Examples of one split: what all answers to them have in common."""

    world: World
    codes: np.ndarray | None
    difficulty: np.ndarray
    luck: Mapping[str, np.ndarray]
    labels: np.ndarray
    """(rows,) the true class."""

    @property
    def groups(self) -> list[str] | None:
        return None if self.codes is None else [f"unit {code}" for code in self.codes]

    def answers(self, runs: Mapping[str, int], rng: np.random.Generator, *, renewed: float = 0.0):
        """contender -> (runs, rows) zeros and ones, or scores in quarters."""
        world, n = self.world, self.difficulty.size
        scores = {}
        for name, rate in world.rates.items():
            luck = self.luck[name]
            if renewed and is_trained(name):
                luck = np.sqrt(1 - renewed) * luck + np.sqrt(renewed) * _luck(
                    world, self.codes, n, rng
                )
            own = np.sqrt((1 - world.shared) * (1 - world.seed_share)) * luck
            noise = np.sqrt((1 - world.shared) * world.seed_share)
            latent = self.difficulty + own + noise * rng.standard_normal((runs[name], n))
            rates = np.full((runs[name], 1), rate)
            if world.seed_spread and is_trained(name):
                rates = np.clip(rates + world.seed_spread * rng.standard_normal(rates.shape), 0, 1)
            if world.kind == "fields":
                each = [latent < ndtri(np.clip(rates + easier, 0, 1)) for easier in FIELDS]
                scores[name] = np.mean(each, axis=0)
            else:
                scores[name] = (latent < ndtri(rates)).astype(np.float64)
        return scores


def draw_rows(world: World, rows: int, rng: np.random.Generator) -> Rows:
    """So many examples of a project."""
    codes = None
    if world.group_rows > 1:
        count = max(2, rows // world.group_rows)
        # Units of unequal size: the largest has about twice the rows of the smallest.
        codes = np.concatenate(
            [np.arange(count), rng.choice(count, rows - count, p=_uneven(count))]
        )
    shares = 1.0 / np.arange(1, world.classes + 1)
    return Rows(
        world=world,
        codes=codes,
        difficulty=np.sqrt(world.shared) * _luck(world, codes, rows, rng),
        luck={name: _luck(world, codes, rows, rng) for name in world.rates},
        labels=rng.choice(world.classes, size=rows, p=shares / shares.sum()),
    )


def draw(world: World, rows: int, runs: Mapping[str, int], rng: np.random.Generator):
    """contender -> (runs, rows) scores, and the unit of each row."""
    drawn = draw_rows(world, rows, rng)
    return drawn.answers(runs, rng), drawn.groups


def _luck(world: World, codes: np.ndarray | None, rows: int, rng: np.random.Generator):
    own = rng.standard_normal(rows)
    if codes is None:
        return own
    of_group = rng.standard_normal(int(codes.max()) + 1)[codes]
    return np.sqrt(world.correlation) * of_group + np.sqrt(1 - world.correlation) * own


def _uneven(count: int) -> np.ndarray:
    weights = np.linspace(1.0, 2.0, count)
    return weights / weights.sum()


def measured(
    scores: Mapping[str, np.ndarray],
    seeds: Mapping[str, int],
    *,
    labels: np.ndarray | None = None,
    classes: int = 0,
    rng: np.random.Generator | None = None,
) -> list[Measured]:
    """What the rule sees of (runs, rows) scores; with labels, quality is macro F1."""
    return [
        Measured(
            name=name,
            trained=is_trained(name),
            scores={seed: scores[name][seed] for seed in range(seeds[name])},
            aggregate=None
            if labels is None or rng is None
            else {
                seed: macro_f1(labels, scores[name][seed], classes, rng)
                for seed in range(seeds[name])
            },
        )
        for name in scores
    ]


def macro_f1(labels: np.ndarray, right: np.ndarray, classes: int, rng: np.random.Generator):
    """Macro F1 as a function of row indices; what is wrong is any other class."""
    wrong = (labels + rng.integers(1, classes, size=labels.size)) % classes
    answers = np.where(right > 0, labels, wrong)

    def of_rows(rows: np.ndarray) -> float:
        true, said = labels[rows], answers[rows]
        hits = np.bincount(true[true == said], minlength=classes)
        total = np.bincount(true, minlength=classes) + np.bincount(said, minlength=classes)
        present = np.bincount(true, minlength=classes) > 0
        return float((2 * hits[present] / total[present]).mean())

    return of_rows


def planned(world: World, rng: np.random.Generator) -> Plan:
    """What a run writes down from dev: who is still in, incumbent, futility of each tune, plan."""
    rows = draw_rows(world, world.dev_rows, rng)
    dev = rows.answers(world.runs(world.seeds - 1 + world.grid), rng)
    still_in = _still_in(world, rows, dev, rng) if world.raced else _everybody(world)
    for name in dev:  # the first seed is the winner of the grid on dev
        if is_trained(name):
            tried = max(still_in[name] or range(world.grid), key=lambda n: dev[name][n].mean())
            dev[name] = dev[name][[tried, *range(world.grid, dev[name].shape[0])]]

    def on_dev(seeds: Mapping[str, int], names=tuple(world.rates)) -> list[Measured]:
        return _seen(world, {name: dev[name] for name in names}, seeds, rows.labels, rng)

    seeds, once = world.runs(world.seeds), world.runs(1)
    untrained = [name for name in dev if not is_trained(name) and still_in[name]]
    demands = {"minimum_gain": world.minimum_gain}
    incumbent = choose_plan(on_dev(once, untrained), **demands).incumbent
    trained = [name for name in dev if is_trained(name)]
    if not any(still_in[name] for name in trained):  # one is asked on test in any case
        trained = [choose_plan(on_dev(once, trained), **demands).challenger]
    else:
        trained = [name for name in trained if still_in[name]]
    groups = rows.groups if world.units_known else None
    for name in trained:
        first, bar = on_dev(once, (name, incumbent))
        if not still_in[name] or futile(first, bar, groups=groups, **demands):
            seeds[name] = 1
    return choose_plan(on_dev(seeds, (*untrained, *trained)), seeds_wanted=world.seeds, **demands)


def _everybody(world: World) -> dict[str, list[int]]:
    return {name: list(range(runs)) for name, runs in world.runs(world.grid).items()}


def _still_in(
    world: World, rows: Rows, dev: Mapping[str, np.ndarray], rng: np.random.Generator
) -> dict[str, list[int]]:
    """contender -> its settings, or points of the first seed's training, that dev does not stop.

    In the order of a run, cheapest first, those who train last. What asks no model is not raced.
    """
    labels = rows.labels if world.kind == "macro_f1" else None
    groups = rows.groups if world.units_known else None
    race = dev_of(world.dev_rows, groups, labels, world.classes).race(world.minimum_gain)
    found = _everybody(world)
    for name in sorted(found, key=lambda one: (is_trained(one), effort(one))):
        says = [told(dev[name][run], labels, world.classes, rng) for run in found[name]]
        if name in ("constant", "classifier"):
            race.add(name, says[0])
        else:
            out = checkpoints(race, name, says)
            found[name] = [run for run in found[name] if out[run] is None]
    return found


def _seen(world, scores, seeds, labels, rng) -> list[Measured]:
    if world.kind != "macro_f1":
        return measured(scores, seeds)
    return measured(scores, seeds, labels=labels, classes=world.classes, rng=rng)


def run_project(
    world: World, rng: np.random.Generator, rule: Rule = decide, *, draws: int = 0
) -> list[Verdict]:
    """The verdicts of one project at its looks, ending with the first that says fine-tune."""
    test = draw_rows(world, world.test_rows[-1], rng)
    order = rng.permutation(world.test_rows[-1])
    if test.codes is not None:  # whole units are added, as a split by hash does
        place = rng.permutation(int(test.codes.max()) + 1)
        order = np.argsort(place[test.codes], kind="stable")
    kept = test.answers(world.runs(world.seeds), rng)
    verdicts: list[Verdict] = []
    for look, rows in enumerate(world.test_rows, start=1):
        if look > 1 and world.refitted:
            kept = test.answers(world.runs(world.seeds), rng, renewed=world.refitted)
        plan = planned(world, rng)
        seen = np.sort(order[:rows])
        answered = {name: kept[name][:, seen] for name in plan.seeds}
        verdicts.append(
            rule(
                plan,
                _seen(world, answered, plan.seeds, test.labels[seen], rng),
                metric="macro_f1" if world.kind == "macro_f1" else "accuracy",
                binary=world.kind == "right or wrong",
                demands=Demands(minimum_gain=world.minimum_gain),
                groups=None
                if test.groups is None or not world.units_known
                else [test.groups[row] for row in seen],
                earlier=world.test_rows[: look - 1],
                draws=draws,
            )
        )
        if is_trained(verdicts[-1].outcome):
            break
    return verdicts


def share_fine_tuned(world: World, projects: int, seed: int, rule: Rule = decide) -> float:
    """The share of simulated projects in which a fine-tune is recommended at some look."""
    rng = np.random.default_rng(seed)
    found = [is_trained(run_project(world, rng, rule)[-1].outcome) for _ in range(projects)]
    return sum(found) / projects
