"""Whether one sample is shown to be worse than another by less than a margin, however sure one is.

Arrays in, a p-value out. A gate asks for error rates far below 1%. There an interval around the
estimate is too short: where few rows differ, the variance that is seen is smaller than any under
which the difference could be as bad as the margin. So the variance is taken as it would have to be
if it were.
"""

from math import sqrt

import numpy as np

from tunewise.statistics.clusters import difference_spread
from tunewise.statistics.distributions import student_cdf
from tunewise.statistics.paired import Rows, Sample


def no_worse_p(a: Sample, b: Sample, rows: Rows, *, margin: float) -> float:
    """The one-sided p-value of "a is worse than b by `margin` or more".

    A score test (Tango 1998; Nam 1997): t = (d + m) / sqrt(D (s - m²) / n), with d the difference,
    m the margin and s the mean squared difference of a row: as observed, plus what the shares of
    won and lost rows are more under d = -m, by maximum likelihood, than as observed. Graded scores
    count as fractions of rows won and lost. D is the design effect of groups, at least 1. Student's
    distribution with n - 1 degrees of freedom, or those of the groups (Bell and McCaffrey 2002).

    Args:
        a: the sample that has to prove itself.
        b: what it is held against, on the same rows.
        rows: what they have in common.
        margin: above 0, below 1.

    Raises:
        ValueError: too few rows or groups, or an impossible margin.
    """
    if rows.shortage is not None:
        raise ValueError(rows.shortage)
    if not 0.0 < margin < 1.0:
        raise ValueError(f"a margin of {margin}")
    both = a.influence - b.influence
    differences = both.pseudo_values
    won = float(differences[differences > 0].sum())
    lost = -float(differences[differences < 0].sum())
    more = max(0.0, discordance_at_margin(won, lost, rows.n, margin) - (won + lost) / rows.n)
    square = float(np.mean(differences**2)) + more
    effect, degrees = 1.0, rows.n - 1.0
    if rows.codes is not None:
        spread = difference_spread(differences, rows.codes)
        effect, degrees = max(1.0, spread.design_effect), spread.degrees
    error = sqrt(effect * max(square - margin**2, 1e-12) / rows.n)
    return student_cdf(-(both.value + margin) / error, degrees)


def discordance_at_margin(won: float, lost: float, n: float, margin: float) -> float:
    """The likeliest share of rows that differ, if a is worse by exactly the margin.

    With p the share that a wins and p + m the share that it loses, the likelihood
    p^won (p + m)^lost (1 - 2p - m)^(n - won - lost) is highest at the larger root of
    2n p² + (2n m + (won - lost) m - (won + lost)) p - won m (1 - m) = 0.

    Args:
        won: rows that only a has right; may be fractional.
        lost: rows that only b has right.
        n: rows.
        margin: m.
    """
    shrunk = min(1.0, n / max(won + lost, 1e-12))  # pseudo-values may lie beyond -1 and 1
    won, lost = won * shrunk, lost * shrunk
    linear = 2.0 * n * margin + (won - lost) * margin - (won + lost)
    root = sqrt(linear**2 + 8.0 * n * won * margin * (1.0 - margin))
    share = (root - linear) / (4.0 * n)
    return 2.0 * min(max(share, 0.0), (1.0 - margin) / 2.0) + margin
