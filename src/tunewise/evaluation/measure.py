"""Turns a contender's answers to one split into what the plan and the rule compare.

Dev and test both come through here: what is better on one is what is better on the other.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from tunewise.decision.plan import Measured
from tunewise.metrics.by_name import over_rows
from tunewise.metrics.metric import Metric
from tunewise.statistics.intervals import FloatArray


def measure(
    name: str,
    answers: Mapping[int, Sequence[str | None]],
    targets: Sequence[str],
    metric: Metric,
    *,
    trained: bool,
    ceiling: bool,
    base: str = "",
) -> Measured:
    """One contender on one split.

    Args:
        name: the contender's.
        answers: seed -> its answer to each row; None where it crashed.
        targets: (n,) the answers wanted.
        metric: how answers are judged, one by one or all together.
        trained: whether it trains the language model.
        ceiling: whether it is shown only, never recommended.
        base: short name of the base model that it runs on, where there are several.

    Raises:
        ValueError: a seed did not answer every row.
        UserError: the user's own metric failed.
    """
    return Measured(
        name=name,
        trained=trained,
        ceiling=ceiling,
        base=base,
        scores={seed: _scores(metric, given, targets) for seed, given in answers.items()},
        aggregate=None
        if metric.aggregate is None
        else {seed: over_rows(metric.aggregate, given, targets) for seed, given in answers.items()},
    )


def _scores(metric: Metric, answers: Sequence[str | None], targets: Sequence[str]) -> FloatArray:
    """(n,) the metric of each answer by itself, NaN where it crashed."""
    return np.array(
        [
            np.nan if answer is None else metric.score(answer, target).value
            for answer, target in zip(answers, targets, strict=True)
        ],
        dtype=np.float64,
    )
