"""Writes counts, tokens and durations the way people read them; `wording` rounds qualities."""

import numpy as np
from numpy.typing import NDArray


def quantile(values: NDArray[np.int64], share: float) -> int:
    """The value that so many of the values are at most: one that occurs, never one in between."""
    return int(np.quantile(values, share, method="inverted_cdf")) if len(values) else 0


def p_value(p: float) -> str:
    """A p-value: `p < 0.001` or `p = 0.042`."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def count(number: float) -> str:
    """A whole number with thousands apart: `96,000`."""
    return f"{round(number):,}"


def mean_tokens(tokens: float) -> str:
    """Mean tokens of a request: `531`, below 10 with one decimal."""
    return count(tokens) if tokens >= 10 or tokens == round(tokens) else f"{tokens:.1f}"


def milliseconds(value: float) -> str:
    """A latency: `0.4 ms`, `140 ms`, `12.3 s`."""
    if value < 0.1:
        return "< 0.1 ms"
    if value < 10:
        return f"{value:.1f} ms"
    return f"{value:,.0f} ms" if value < 10_000 else f"{value / 1000:.1f} s"


def duration(seconds: float) -> str:
    """A stretch of time: `0.8 s`, `41 s`, `3 min 32 s`, `1 h 12 min`."""
    if seconds < 0.05:
        return "< 0.1 s"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def times(ratio: float) -> str:
    """How many times as much: `11 times`, below 10 with one decimal."""
    return f"{ratio:.0f} times" if ratio >= 10 else f"{ratio:.1f} times"
