"""From what a run measured and the project's prices to what contenders cost and training saves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tunewise.decision.economics import (
    Economics,
    Served,
    Tariff,
    TrainingSpend,
    request_cost,
    tornado,
    weigh,
)
from tunewise.decision.plan import Measured
from tunewise.project.contenders import CONSTANT, built_in
from tunewise.project.settings import Endpoint, Prices, Project
from tunewise.report.verdict_json import Entry
from tunewise.runs.schema import Cost
from tunewise.statistics import paired
from tunewise.types import Splits
from tunewise.wording import joined


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What requests cost, and what a training saves."""

    requests: Mapping[str, Cost]
    """Contender -> the cost of its requests; those without a price are left out."""
    economics: Economics | None
    """None: no prices were given."""
    notes: tuple[str, ...]
    """What was not reckoned, and which keys would tell."""


def tariff_of(name: str, project: Project) -> Tariff:
    """What the requests of a contender are paid with: an endpoint has prices of its own."""
    own: Prices | Endpoint = project.prices
    for endpoint in project.contenders.endpoints:
        if endpoint.name == name:
            own = endpoint
    return Tariff(
        prompt=own.prompt_tokens,
        cached=own.cached_tokens,
        completion=own.completion_tokens,
        hour=own.hosting_hour,
        utilisation=project.prices.utilisation,
    )


def weigh_costs(
    entries: Sequence[Entry],
    project: Project,
    splits: Splits,
    *,
    challenger: str | None,
    confidence: float,
) -> Costs:
    """What contenders cost on the test rows.

    Args:
        entries: what was measured.
        project: with its prices.
        splits: of the run.
        challenger: the best trained contender.
        confidence: of every interval of a saving.
    """
    prices, groups = project.prices, splits.units_of(splits.test)
    rows = paired.rows_of(len(splits.test), binary=False, groups=groups)
    served = [_served(entry, project) for entry in entries]
    longest = max((float(one.completion.max(initial=0.0)) for one in served), default=0.0)
    requests: dict[str, Cost] = {}
    monthly = project.decision.monthly_requests
    for one in served:
        found = request_cost(one, rows, longest=longest, confidence=0.95)
        if found is not None:
            requests[one.name] = Cost(
                per_1000_requests=found.value,
                currency=prices.currency,
                per_1000_low=found.low,
                per_1000_high=found.high,
                per_month=None if monthly is None else found.value * monthly / 1000.0,
            )
    if not requests:
        return Costs(requests={}, economics=None, notes=(NO_PRICES,))
    tuned = next((entry for entry in entries if entry.name == challenger), None)
    worth = prices.value_per_point
    economics = weigh(
        served,
        None if tuned is None else _training(tuned, project, splits),
        challenger=challenger,
        rows=rows,
        currency=prices.currency,
        monthly_requests=monthly,
        value_per_point=worth,
        quality=None if worth is None else {e.name: _quality(e.measured, rows) for e in entries},
        confidence=confidence,
    )
    notes = _missing(served, economics, project)
    return Costs(requests=requests, economics=replace(economics, missing=notes), notes=notes)


NO_PRICES = (
    "What requests and training cost was not reckoned, since no prices were given: tokens and "
    "seconds are what was measured. Prices go under [prices] (docs/prices.md); answers are kept."
)


def with_tornado(costs: Costs, rival: str | None) -> Economics | None:
    """The economics, with what the saving against a contender hangs on."""
    if costs.economics is None:
        return None
    return replace(costs.economics, tornado=tornado(costs.economics, rival))


def _served(entry: Entry, project: Project) -> Served:
    usages = [answer.usage for answer in entry.answers[entry.shipped_seed]]
    known = built_in(entry.name)
    return Served(
        name=entry.name,
        untrained=not entry.trained and entry.name != CONSTANT,
        candidate=not entry.ceiling,
        needs_labels="k" in entry.fit.settings if known is None else known.uses_train,
        prompt=np.array([usage.prompt_tokens for usage in usages], dtype=np.float64),
        cached=entry.latency.cached_tokens,
        completion=np.array([usage.completion_tokens for usage in usages], dtype=np.float64),
        load=entry.load,
        tariff=tariff_of(entry.name, project),
    )


def _training(entry: Entry, project: Project, splits: Splits) -> TrainingSpend:
    prices = project.prices
    return TrainingSpend(
        seconds=entry.fit.seconds,
        hour=prices.training_hour,
        labels=len(splits.train),
        label=prices.labelling_per_example,
        every_months=prices.retraining_months,
    )


def _quality(one: Measured, rows: paired.Rows) -> paired.Sample:
    return paired.mean_sample([one.sample(seed, rows) for seed in sorted(one.scores)])


def _missing(served: Sequence[Served], found: Economics, project: Project) -> tuple[str, ...]:
    """Sentences about what was not reckoned."""
    notes: list[str] = []
    unpriced = [one.name for one in served if not one.priced]
    if unpriced:
        notes.append(
            f"What {joined(unpriced)} cost{'s' if len(unpriced) == 1 else ''} is not known: give "
            "prompt_tokens and completion_tokens, or hosting_hour, of [prices] and of each "
            "endpoint's own table."
        )
    own = (project.prices.prompt_tokens, project.prices.completion_tokens)
    if len(project.model.bases) > 1 and own != (None, None):
        notes.append(
            "All base models are reckoned at the same prices of tokens, those of [prices]. Where "
            "a larger one costs more, give hosting_hour instead: what each takes is measured."
        )
    if found.challenger is None or not found.savings:
        return tuple(notes)
    absent = [
        key
        for key, value in (
            ("prices.training_hour", project.prices.training_hour),
            ("decision.monthly_requests", project.decision.monthly_requests),
        )
        if value is None
    ]
    if absent:
        notes.append(
            "Whether the training is as good and cheaper was not asked: that takes "
            f"{joined(absent)}."
        )
    apart = [one.contender for one in found.savings if not one.comparable]
    if apart:
        notes.append(
            f"Hours are held against tokens where {found.challenger} is compared with "
            f"{joined(apart)}: what is saved there supposes a machine that is always busy, and "
            "takes no part in the verdict. prices.utilisation would tell."
        )
    return tuple(notes)
