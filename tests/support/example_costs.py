"""What the example shop's requests cost: shipped code on lengths around the means of its tokens."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

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
from tunewise.statistics import paired

TARIFF = Tariff(prompt=0.5, completion=1.5)
BIG = Tariff(prompt=3.0, completion=12.0)
"""Of the endpoint."""
TRAINING = TrainingSpend(seconds=212, hour=4300.0, labels=240, label=None, every_months=None)
MONTHLY = 500_000


@dataclass(frozen=True, kw_only=True)
class ShopCosts:
    requests: Mapping[str, dict[str, Any]]
    """Contender -> `cost` of verdict.json."""
    economics: Economics

    def against(self, rival: str | None) -> dict[str, Any]:
        """`economics` of verdict.json."""
        return asdict(replace(self.economics, tornado=tornado(self.economics, rival)))


def shop_costs(
    tokens: Mapping[str, tuple[float, float]],
    n_test: int,
    training: TrainingSpend = TRAINING,
    monthly: int | None = MONTHLY,
) -> ShopCosts:
    """Of contenders with these mean tokens of prompt and answer."""
    rng = np.random.default_rng(11)
    spread = np.exp(0.5 * rng.standard_normal(n_test))
    spread /= spread.mean()
    rows = paired.rows_of(n_test, binary=False)
    served = [
        Served(
            name=name,
            untrained=name not in ("constant", "fine_tune"),
            candidate=name != "big-model",
            needs_labels=name in ("few_shot", "classifier", "fine_tune"),
            prompt=prompt * spread,
            cached=0.0,
            completion=completion * spread,
            load=(),
            tariff=BIG if name == "big-model" else TARIFF,
        )
        for name, (prompt, completion) in tokens.items()
    ]
    longest = max(float(one.completion.max()) for one in served)
    costs = {one.name: request_cost(one, rows, longest=longest, confidence=0.95) for one in served}
    economics = weigh(
        served, training, challenger="fine_tune", rows=rows, currency="USD",
        monthly_requests=monthly,
    )  # fmt: skip
    return ShopCosts(
        requests={
            name: {
                "per_1000_requests": found.value, "currency": "USD", "per_1000_low": found.low,
                "per_1000_high": found.high,
                "per_month": None if monthly is None else found.value * monthly / 1000,
            }
            for name, found in costs.items()
            if found is not None
        },
        economics=economics,
    )  # fmt: skip
