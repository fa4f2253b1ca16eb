"""Means of costs: amounts without an upper bound, whose few largest decide much of the mean.

Arrays in, intervals out. Student's interval of such a mean lies too low where the largest requests
happen to be missing: with log-normal lengths of log-scale 1.3 it covers 81 to 89% on 20 to 200
rows (docs/method.md). Two corrections are made here, for skewness and for what was not seen.
"""

from math import cbrt, sqrt

import numpy as np

from tunewise.statistics.distributions import student_quantile
from tunewise.statistics.intervals import FloatArray, Interval, NotComputed
from tunewise.statistics.paired import Rows


def heavy_tailed_mean(
    values: FloatArray, rows: Rows, *, largest: float, confidence: float = 0.95
) -> Interval | NotComputed:
    """The mean of amounts, or of paired differences of amounts, with its interval.

    Student's t of the units' residuals (the CR2 variance of a ratio of totals where rows come in
    groups), made asymmetric by the inverse of Hall's cubic transformation (1992), in which a is
    the skewness over √units: T = 3/a (∛(1 + a (t − a/6)) − 1). Variance and skewness include two
    pseudo-units, one at +`largest` and one at −`largest` (after Bonett and Price 2012): a request
    of a kind that none of the rows showed. The interval is never of zero width.

    Args:
        values: (n,) amounts of any unit.
        rows: what is known of the n rows; units are its groups.
        largest: what a single value may be, plus or minus; above 0.
        confidence: nominal coverage.

    Raises:
        ValueError: `largest` is not above 0, or there is not one value a row.
    """
    if largest <= 0.0 or values.size != rows.n:
        raise ValueError(f"{values.size} values for {rows.n} rows, the largest being {largest}")
    mean = float(values.mean())
    if rows.shortage is not None:
        return NotComputed(value=mean, reason=rows.shortage)
    codes = np.arange(rows.n, dtype=np.int64) if rows.codes is None else rows.codes
    sizes = np.bincount(codes).astype(np.float64)  # (units,)
    units = sizes.size
    residuals = (np.bincount(codes, weights=values) - mean * sizes) * units / rows.n
    unseen = 2.0 * largest**2
    variance = float((residuals**2 / (1.0 - sizes / rows.n)).sum()) / units**2
    error = sqrt(variance + unseen / (units + 2.0) ** 2)
    spread = sqrt((float((residuals**2).sum()) + unseen) / units)
    skew = float((residuals**3).mean()) / spread**3 / sqrt(units)
    quantile = student_quantile((1.0 + confidence) / 2.0, units - 1.0)
    return Interval(
        value=mean,
        low=mean - _transformed(quantile, skew) * error,
        high=mean - _transformed(-quantile, skew) * error,
        p=None,
        method="Hall's t with pseudo-units",
    )


def _transformed(quantile: float, skew: float) -> float:
    """Hall's transformation, inverted: where a skewed t statistic has this quantile."""
    if abs(skew) < 1e-9:
        return quantile
    return 3.0 / skew * (cbrt(1.0 + skew * (quantile - skew / 6.0)) - 1.0)
