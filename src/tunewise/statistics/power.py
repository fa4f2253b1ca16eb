"""Sample sizes: the rows that tell a gain with 80% power, and the gain that rows can tell."""

from math import ceil, sqrt

from tunewise.statistics.distributions import normal_quantile

DISCORDANCE = 0.2
"""Share of rows on which two contenders differ, assumed before anything is measured."""


def rows_for_power(
    delta: float, variance: float, *, power: float = 0.8, confidence: float = 0.95
) -> int:
    """Paired rows at which a true mean difference is shown to be above 0.

    n = ((z_{α/2} · σ₀ + z_β · σ₁) / δ)² with σ₀² the mean squared difference and σ₁² = σ₀² − δ².
    For yes/no scores σ₀² is the discordant share: Connor (1987).

    Args:
        delta: the true difference, not 0.
        variance: the mean squared per-row difference, times the design effect of groups.
        power: probability of showing it.
        confidence: of the two-sided interval whose lower end must pass 0.

    Raises:
        ValueError: delta is 0 or the variance is not above 0.
    """
    if delta == 0.0 or variance <= 0.0:
        raise ValueError("a difference and a variance above 0 are needed")
    under_none = normal_quantile((1.0 + confidence) / 2.0) * sqrt(variance)
    under_delta = normal_quantile(power) * sqrt(max(variance - delta**2, 0.0))
    return ceil(((under_none + under_delta) / delta) ** 2)


def detectable_gain(n: float, *, power: float = 0.8, confidence: float = 0.95) -> float:
    """The smallest true gain that n paired rows show, when `DISCORDANCE` of the rows differ.

    The inverse of `rows_for_power`. A gain above the discordance means that every row that
    differs differs in its favour.

    Args:
        n: paired rows, or what rows in groups are worth; above 0.
        power: probability of showing it.
        confidence: of the two-sided interval whose lower end must pass 0.

    Returns:
        The gain, at most 1.
    """
    low, high = 0.0, 1.0
    while high - low > 1e-6:
        middle = (low + high) / 2.0
        variance = max(DISCORDANCE, middle)
        shown = rows_for_power(middle, variance, power=power, confidence=confidence) <= n
        low, high = (low, middle) if shown else (middle, high)
    return high


def further_rows(
    n: int,
    delta: float,
    variance: float,
    *,
    minimum_gain: float,
    power: float = 0.8,
    confidence: float = 0.95,
) -> int | None:
    """Rows to add until the question whether a gain is worth it would be settled.

    It is settled when the gain is shown to be above 0, or to be below `minimum_gain`. Planned
    for the larger of the observed gain and `minimum_gain`; or, where that takes fewer rows, for
    showing that a gain as small as the observed one is below `minimum_gain`.

    Args:
        n: rows compared so far.
        delta: the observed gain.
        variance: the mean squared per-row difference so far, times the design effect.
        minimum_gain: the smallest gain worth having.
        power: probability of settling it.
        confidence: of the two-sided interval.

    Returns:
        The number to add, at least 1; None when nothing below a hundred times n would do.
    """
    gain = max(delta, minimum_gain, 1e-6)
    plans = [rows_for_power(gain, max(variance, gain**2), power=power, confidence=confidence)]
    if delta < minimum_gain:
        short = minimum_gain - delta
        around = max(variance - delta**2, 1e-9) + short**2
        plans.append(rows_for_power(short, around, power=power, confidence=confidence))
    open_plans = [needed for needed in plans if n < needed <= 100 * n]
    return min(open_plans) - n if open_plans else None
