"""The promises of the decision rule, as one check that takes the rule.

A rule passes only when it neither recommends fine-tunes that gain nothing nor misses those that
gain: always saying `undecided` fails, and so does always saying `fine_tune`.
"""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import binom

from projects import Rule, World, is_trained, run_project, share_fine_tuned

UNTRAINED = {"constant": 0.30, "zero_shot": 0.45}


def no_gain(*trained: str, **settings) -> World:
    """A world in which the best trained contender is as good as the best untrained one."""
    trained = trained or ("fine_tune", "fine_tune_rag")
    others = settings.pop("others", {"prompt": 0.62})
    rates = {**UNTRAINED, **others, "few_shot": 0.75, **dict.fromkeys(trained, 0.75)}
    return World(rates=rates, **settings)


FOUR = ("fine_tune", "fine_tune_rag", "fine_tune_dpo", "fine_tune_cpt")
EQUALS = {"prompt": 0.75, "classifier": 0.75}
NO_GAIN = {
    "one strong prompt": no_gain(),
    "a runner-up that dev may mistake for the best": no_gain(
        others={"prompt": 0.67}, discordant=0.3, dev_rows=40
    ),
    "groups": no_gain(group_rows=8, correlation=0.3),
    "four looks": no_gain(others={"prompt": 0.67}, test_rows=(80, 120, 200, 300)),
    "four looks, fitted anew": no_gain(test_rows=(80, 120, 200, 300), refitted=0.4),
    "four trained, 20 rows": no_gain(*FOUR, test_rows=(20,), dev_rows=10),
    "four trained, 60 rows": no_gain(*FOUR, test_rows=(60,), dev_rows=30),
    "four trained, 112 rows": no_gain(*FOUR, test_rows=(112,), dev_rows=56),
    "one trained, 630 rows": no_gain("fine_tune", test_rows=(630,), dev_rows=300),
    "three equal untrained": no_gain(others=EQUALS, test_rows=(60,), dev_rows=30),
    "nearly always right": World(
        rates={**UNTRAINED, "prompt": 0.8, "few_shot": 0.95, "fine_tune": 0.95},
        discordant=0.08, minimum_gain=0.01, test_rows=(100,),
    ),
    "units of 5, alike by 0.8": no_gain(group_rows=5, correlation=0.8),
    "units of 10, alike by 0.8": no_gain(group_rows=10, correlation=0.8),
    "fields, 100 rows": no_gain(kind="fields", test_rows=(100,)),
    "macro F1, 3 classes": no_gain(kind="macro_f1", test_rows=(100,)),
    "macro F1, 77 classes": no_gain("fine_tune", kind="macro_f1", classes=77, seeds=2),
}  # fmt: skip

GAIN = World(
    rates={**UNTRAINED, "prompt": 0.62, "few_shot": 0.70, "fine_tune": 0.80, "fine_tune_rag": 0.75}
)
"""A true gain of 0.10, 20% discordant, 200 test rows; dev must also find the better tune."""

MAX_FALSE_ADVICE = 0.05
MIN_POWER = 0.80


def most_false_advice(projects: int, drawn: int) -> float:
    """The share that keeps the promise. Where fewer than 1,000 projects a world were asked for, the
    luck of those `drawn` is allowed for (the 97.5% quantile of a binomial share of 5%)."""
    if projects >= 1000:
        return MAX_FALSE_ADVICE
    return float(binom.ppf(0.975, drawn, MAX_FALSE_ADVICE)) / drawn


@dataclass(frozen=True, kw_only=True)
class Kept:
    false_advice: dict[str, float]
    most: dict[str, float]
    """What each world allows."""
    power: float

    @property
    def broken(self) -> list[str]:
        found = [
            f"{name}: {share:.1%} false advice"
            for name, share in self.false_advice.items()
            if share > self.most[name]
        ]
        if self.power < MIN_POWER:
            found.append(f"power {self.power:.1%}")
        return found


def check_promises(rule: Rule, *, projects: int, seed: int = 0, raced: bool = True) -> Kept:
    """Simulates that many projects in every world and says which promises the rule keeps.

    Macro F1 is recomputed without each row in turn: its worlds get a quarter of the projects.
    """
    worlds = {name: replace(world, raced=raced) for name, world in NO_GAIN.items()}
    drawn = {
        name: projects // 4 if world.kind == "macro_f1" else projects
        for name, world in worlds.items()
    }
    return Kept(
        false_advice={
            name: share_fine_tuned(world, drawn[name], seed + number, rule)
            for number, (name, world) in enumerate(worlds.items())
        },
        most={name: most_false_advice(projects, drawn[name]) for name in worlds},
        power=share_fine_tuned(replace(GAIN, raced=raced), projects, seed + 100, rule),
    )


@dataclass(frozen=True, kw_only=True)
class Worth:
    """What the verdicts of many projects with gains of all sizes are worth."""

    decided: float
    """Share of the projects that end in something to act on."""
    regret: float
    """What acting on the verdict costs against knowing the truth, on average."""
    trained_for_nothing: float
    """Share of the projects without a gain in which a training is recommended."""


def worth_of(rule: Rule, *, rows: int, projects: int, seed: int = 0, raced: bool = True) -> Worth:
    """Gains are drawn from N(0.03, 0.08); a training is worth its gain less 0.05 to the person."""
    rng = np.random.default_rng(seed)
    said: Counter[str] = Counter()
    regret, nothing = 0.0, []
    for gain in np.clip(rng.normal(0.03, 0.08, projects), -0.4, 0.25).round(2):
        tuned, independent = 0.70 + gain, 0.70 + (1.0 - 1.4) * (0.70 + gain)
        world = World(
            rates={**UNTRAINED, "prompt": 0.62, "few_shot": 0.70, "fine_tune": tuned},
            discordant=min(max(0.2, abs(gain) + 0.1), 0.95 * independent),
            test_rows=(rows,), dev_rows=rows // 2, raced=raced,
        )  # fmt: skip
        verdict = run_project(world, rng, rule)[-1]
        trains = is_trained(verdict.outcome)
        said[verdict.finding] += 1
        worth = gain - world.minimum_gain
        regret += max(worth, 0.0) - (worth if trains else 0.0)
        if gain <= 0.0:
            nothing.append(trains)
    return Worth(
        decided=1.0 - said["cannot_tell"] / projects,
        regret=regret / projects,
        trained_for_nothing=sum(nothing) / len(nothing),
    )
