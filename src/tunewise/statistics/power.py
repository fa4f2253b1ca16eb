"""Before a run: the rows that tell a gain with 80% power, and the chance that rows tell a gain.

And the chance that a gate lets a model through that is as good as the last one.
"""

from math import ceil, sqrt

from tunewise.statistics.distributions import normal_cdf, normal_quantile, student_quantile
from tunewise.statistics.spending import FIRST_LOOK

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


def chance_to_tell(n: float, gain: float, minimum_gain: float) -> float:
    """The chance that a true gain ends in the advice to fine-tune, at the first look at test rows.

    The observed gain is taken as normal around the true one. It has to reach `minimum_gain`, and
    the lower bound of its interval has to be above 0: Bonett and Price's, with `DISCORDANCE` of
    the rows discordant, or 10 points more than the gain where that is larger, and a sixth less
    for the mean over three seeds of which two differ half as often. One untrained contender is to
    be beaten; further ones that are as good lower the chance.

    Args:
        n: paired rows, or what rows in units are worth; above 1.
        gain: the true gain, above 0 and at most 1.
        minimum_gain: the smallest gain worth a training.
    """
    square = min(1.0, max(DISCORDANCE, gain + 0.1)) * 5.0 / 6.0
    spread = sqrt(max(square - gain**2, 1e-9) / n)
    quantile = student_quantile(1.0 - FIRST_LOOK, n - 1.0)
    # Where the centre of n differences and two pseudo-rows is `quantile` of its errors above 0.
    around_0 = (square * n + 2.0) / (n + 2.0)
    above_0 = quantile * sqrt(around_0 / (n + 2.0 + quantile**2)) * (n + 2.0) / n
    return normal_cdf((gain - max(minimum_gain, above_0)) / spread)


def chance_as_good_passes(n: float, margin: float, error: float) -> float:
    """The chance that a model exactly as good as the one before is shown no worse.

    The difference is taken as normal around 0, with `DISCORDANCE` of the rows discordant: more
    alike models pass more often, less alike ones more rarely.

    Args:
        n: independent rows or units.
        margin: by which it must not be worse, above 0.
        error: one-sided error rate of the test.
    """
    spread = sqrt(DISCORDANCE / n)
    return normal_cdf(margin / spread + normal_quantile(error))
