"""The decision rule with costs: simulated projects whose requests have lengths like real ones."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from costs import CEILING, Lengths, Tokens, instructed, instructed_talks, nearest, short, talks
from projects import Rule, is_trained
from tunewise.decision.economics import Served, Tariff, TrainingSpend, weigh
from tunewise.decision.rule import decide
from tunewise.project.contenders import CONSTANT
from tunewise.statistics import paired
from tunewise.types import Verdict

TARIFF = Tariff(prompt=1.0, completion=4.0)
MONTHLY = 100_000
HOURS = 3.0
"""Of a training."""


def free(lengths: Lengths, inputs: Tokens) -> tuple[Tokens, Tokens]:
    """A contender that asks no language model."""
    return 0.0 * inputs, 0.0 * inputs


Way = Callable[[Lengths, Tokens], tuple[Tokens, Tokens]]
WAYS: dict[str, Way] = {
    "constant": free,
    "zero_shot": instructed_talks,
    "prompt": instructed,
    "few_shot": nearest,
    "classifier": free,
    "fine_tune": short,
    "fine_tune_rag": instructed_talks,
}
"""How each contender asks and answers."""
WORDY = {**WAYS, "fine_tune": talks}
"""The fine-tune writes answers with a heavy tail."""


@dataclass(frozen=True, kw_only=True)
class Priced:
    """What the requests of a project take."""

    ways: Mapping[str, Way]
    training: float
    """Of a training, in the currency; `worthless` makes it as much as is saved in a year."""
    log_scale: float = 1.0

    def draw(self, names: list[str], codes: Tokens | None, rows: int, rng: np.random.Generator):
        """name -> (rows,) prompt and completion tokens; rows of a unit are alike."""

        def lengths(median: float) -> Tokens:
            normal = rng.standard_normal(rows)
            if codes is not None:
                of_unit = rng.standard_normal(rows)[codes]
                normal = np.sqrt(0.3) * of_unit + np.sqrt(0.7) * normal
            return median * np.minimum(np.exp(self.log_scale * normal), CEILING)

        inputs = lengths(40.0)
        return {name: self.ways[name](lengths, inputs) for name in names}


def yearly(ways: Mapping[str, Way], rival: str, *, log_scale: float = 1.0) -> float:
    """What the fine-tune truly saves against a rival in a year, before its training."""
    one = Priced(ways=ways, training=0.0, log_scale=log_scale)
    drawn = one.draw(["fine_tune", rival], None, 400_000, np.random.default_rng(7))
    mine, theirs = (p.mean() + 4.0 * c.mean() for p, c in (drawn["fine_tune"], drawn[rival]))
    return 12 * MONTHLY * float(theirs - mine) / 1e6


def with_costs(priced: Priced, rng: np.random.Generator) -> Rule:
    """The shipped rule, with the savings that shipped code works out from drawn requests."""

    def rule(plan, measured, **settings) -> Verdict:
        rows = np.asarray(next(iter(measured[0].scores.values()))).size
        groups = settings["groups"]
        codes = None if groups is None else np.unique(groups, return_inverse=True)[1]
        drawn = priced.draw([one.name for one in measured], codes, rows, rng)
        found = weigh(
            [
                Served(
                    name=one.name, candidate=True, needs_labels=True,
                    untrained=not is_trained(one.name) and one.name != CONSTANT,
                    prompt=drawn[one.name][0], completion=drawn[one.name][1], cached=0.0, load=(),
                    tariff=TARIFF,
                )
                for one in measured
            ],
            TrainingSpend(seconds=3600 * HOURS, hour=priced.training / HOURS, labels=0, label=None,
                     every_months=None),
            challenger=plan.challenger,
            rows=paired.rows_of(rows, binary=False, groups=groups),
            currency="USD",
            monthly_requests=MONTHLY,
        )  # fmt: skip
        return decide(plan, measured, **settings, savings=found.rule_savings)

    return rule
