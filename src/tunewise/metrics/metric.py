"""What a metric is, and what it says about one answer: records only."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

Aggregate: TypeAlias = Callable[[Sequence[str], Sequence[str]], float]
"""(answers, targets) -> the quality of all of them together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """What a metric says about one answer."""

    value: float
    """0 (wrong) to 1 (right)."""
    reason: str | None = None
    """Why, where the value alone does not say it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """How answers are judged."""

    name: str
    binary: bool
    """Whether every value is 0 or 1; decides which interval and test are right."""
    score: Callable[[str, str], Judgement]
    """(answer, target) -> judgement of one answer."""
    labels: tuple[str, ...] | None = None
    """The closed set of labels that it reads by, where there is one."""
    aggregate: Aggregate | None = None
    """Where quality is no mean; None: the mean of the single values."""
