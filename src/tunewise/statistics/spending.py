"""How strict each look at growing test rows is, so that all looks together keep one error rate.

A group-sequential design (Lan and DeMets 1983): a function of the information so far says how
much of the error a look may have spent.
"""

from collections.abc import Sequence
from math import sqrt

import numpy as np

from tunewise.statistics.distributions import normal_cdf, normal_quantile

ERROR_BUDGET = 0.05
"""α: the chance, over all looks, of recommending a training that gains nothing."""
FIRST_LOOK = 0.04
"""What the first look spends of it, one-sided: most projects end there."""
REFITTED = 0.6
"""How much two looks at the very same rows resemble each other: contenders are fitted anew on the
rows added to train. With less resemblance the later looks are stricter."""
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(60)


def look_confidence(earlier: Sequence[int], n: int) -> float:
    """The confidence of two-sided intervals at the next look, such that its tails spend its share.

    Looks 1 to k may have spent A(k) = α − (α − α₁) × min(n₁ / n_k, 2^−(k − 1))^1.5. The bound c
    of look k solves P(z_k > c, z_(k−1) <= c_(k−1)) = A(k) − A(k − 1), with z of two looks
    correlated by `REFITTED` × sqrt(n_(k−1) / n_k): only the look before is taken into account, so
    that what all looks spend is at most A(k) (Hunter's bound on a union, 1976).

    Args:
        earlier: for each earlier look, oldest first, how many of the present rows it had seen.
        n: rows seen now, at least 1.

    Raises:
        ValueError: there are no rows.
    """
    if n < 1:
        raise ValueError("a look needs rows")
    sizes = [int(seen) for seen in np.maximum.accumulate([*np.clip(earlier, 1, n), n])]
    bound, spent = normal_quantile(1.0 - FIRST_LOOK), FIRST_LOOK
    for look in range(1, len(sizes)):
        share = min(sizes[0] / sizes[look], 2.0**-look) ** 1.5
        budget = max(ERROR_BUDGET - (ERROR_BUDGET - FIRST_LOOK) * share, spent)
        correlation = REFITTED * sqrt(sizes[look - 1] / sizes[look])
        bound, spent = _next_bound(bound, budget - spent, correlation), budget
    return 2.0 * normal_cdf(bound) - 1.0


def _next_bound(before: float, error: float, correlation: float) -> float:
    """c with P(z > c, z_before <= before) = error, for two correlated standard normal variables."""
    low, high = 0.0, 8.0
    while high - low > 1e-9:
        middle = (low + high) / 2.0
        low, high = (
            (middle, high) if _newly_above(middle, before, correlation) > error else (low, middle)
        )
    return high


def _newly_above(bound: float, before: float, correlation: float) -> float:
    """P(z > bound, z_before <= before), by Gauss–Legendre quadrature over z."""
    reach = 10.0
    z = bound + (reach - bound) * (_NODES + 1.0) / 2.0
    left = [normal_cdf((before - correlation * one) / sqrt(1.0 - correlation**2)) for one in z]
    density = np.exp(-(z**2) / 2.0) / np.sqrt(2.0 * np.pi)
    return float((_WEIGHTS * density * np.array(left)).sum() * (reach - bound) / 2.0)
