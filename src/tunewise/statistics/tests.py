"""Hypothesis tests: counts or p-values in, p-values out."""

from collections.abc import Sequence

from tunewise.statistics.distributions import binomial_cdf


def mcnemar_exact(only_a: int, only_b: int) -> float:
    """The exact two-sided McNemar test of paired yes/no scores (McNemar 1947; the sign test).

    Under no difference each discordant pair is a fair coin; pairs on which both agree say
    nothing.

    Args:
        only_a: rows that only a got right.
        only_b: rows that only b got right.

    Returns:
        The two-sided p-value, 1.0 when no pair is discordant.

    Raises:
        ValueError: a count is negative.
    """
    if only_a < 0 or only_b < 0:
        raise ValueError("discordant counts cannot be negative")
    return min(1.0, 2.0 * binomial_cdf(min(only_a, only_b), only_a + only_b, 0.5))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment (Holm 1979): controls the chance of any false finding.

    Args:
        p_values: the p-values of one family, in any order.

    Returns:
        The adjusted p-values in the order given: p(i) times the number of hypotheses not yet
        passed, made monotone and capped at 1.
    """
    adjusted = [0.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted
