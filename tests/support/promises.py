"""The promises of the decision rule, as one check that takes the rule.

A rule passes only when it neither recommends fine-tunes that gain nothing nor misses those that
gain: always saying `undecided` fails, and so does always saying `fine_tune`.
"""

from dataclasses import dataclass

from projects import Rule, World, share_fine_tuned

UNTRAINED = {"constant": 0.30, "zero_shot": 0.45}

NO_GAIN = {
    "one strong prompt": World(
        rates={**UNTRAINED, "prompt": 0.62, "few_shot": 0.75, "fine_tune": 0.75,
               "fine_tune_rag": 0.75},
    ),
    "a runner-up that dev may mistake for the best": World(
        rates={**UNTRAINED, "prompt": 0.67, "few_shot": 0.75, "fine_tune": 0.75,
               "fine_tune_rag": 0.75},
        discordant=0.3,
        dev_rows=40,
    ),
    "groups": World(
        rates={**UNTRAINED, "prompt": 0.62, "few_shot": 0.75, "fine_tune": 0.75,
               "fine_tune_rag": 0.75},
        group_rows=8,
        correlation=0.3,
    ),
    "four looks": World(
        rates={**UNTRAINED, "prompt": 0.67, "few_shot": 0.75, "fine_tune": 0.75,
               "fine_tune_rag": 0.75},
        test_rows=(80, 120, 200, 300),
    ),
}  # fmt: skip
"""Worlds in which the best trained contender is as good as the best untrained one."""

GAIN = World(
    rates={**UNTRAINED, "prompt": 0.62, "few_shot": 0.70, "fine_tune": 0.80, "fine_tune_rag": 0.75}
)
"""A true gain of 0.10, 20% discordant, 200 test rows; dev must also find the better tune."""

MAX_FALSE_ADVICE = 0.05
MIN_POWER = 0.80


@dataclass(frozen=True, kw_only=True)
class Kept:
    false_advice: dict[str, float]
    power: float

    @property
    def broken(self) -> list[str]:
        found = [
            f"{name}: {share:.1%} false advice"
            for name, share in self.false_advice.items()
            if share > MAX_FALSE_ADVICE
        ]
        if self.power < MIN_POWER:
            found.append(f"power {self.power:.1%}")
        return found


def check_promises(rule: Rule, *, projects: int, seed: int = 0) -> Kept:
    """Simulates that many projects in every world and says which promises the rule keeps."""
    return Kept(
        false_advice={
            name: share_fine_tuned(world, projects, seed + number, rule)
            for number, (name, world) in enumerate(NO_GAIN.items())
        },
        power=share_fine_tuned(GAIN, projects, seed + 100, rule),
    )
