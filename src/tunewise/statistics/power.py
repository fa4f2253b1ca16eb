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
