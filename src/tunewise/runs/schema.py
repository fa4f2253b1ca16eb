"""What a report knows of one run, as frozen records; knows neither files nor rendering."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeAlias

from tunewise.types import Answer, Comparison, Constraint, JsonValue, Score

Rule = Literal["worth_more", "cheaper", "not_worth_it", "cannot_tell", "nothing_learned"]
"""Which rule of the method decided."""
Json: TypeAlias = Mapping[str, JsonValue]
"""An object as it stood in the file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Quality:
    """The primary metric over the test examples, 0 to 1, with its confidence interval."""

    value: float
    low: float
    high: float
    computed: bool = True
    """False: too few rows for an interval; it is 0 to 1 then."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tokens:
    """Mean tokens of one request."""

    prompt: float
    cached: float
    completion: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Latency:
    """Milliseconds of a request asked alone, on a warm model."""

    p50: float
    p95: float | None
    n: int | None
    """Requests timed."""
    first_token_p50: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class FitRecord:
    """What fitting cost and what it chose on dev."""

    seconds: float | None
    settings: Json
    tokens: Mapping[str, int]
    """Spent: `prefilled`, `generated`, `trained`."""
    trials: tuple[Json, ...]
    """Every setting tried, with its dev quality."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Contender:
    """One row of the verdict: measured, or skipped with the reason."""

    name: str
    skipped: str | None
    """Why it did not run; then everything below is empty."""
    quality: Quality | None
    dev: float | None
    trained: bool
    ceiling: bool
    """Shown for scale, not a candidate."""
    seeds: int
    errors: int
    """Answers that crashed; they count as wrong."""
    without_errors: float | None
    """Quality over the answers that did not crash."""
    secondary: Mapping[str, float]
    tokens: Tokens | None
    latency: Latency | None
    cost_per_1000: float | None
    currency: str | None
    fit: FitRecord
    recall_at_k: float | None
    recall_k: int | None
    by_seed: Mapping[int, float] = field(default_factory=dict[int, float])
    """seed -> quality on the test examples; `quality` is that of the one that ships."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What was written down before the first test example was answered."""

    incumbent: str | None
    challenger: str | None
    shipped_seed: int | None
    futile: bool
    """Dev already showed no gain, so seeds two and three were not trained."""
    written_before_test: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitSizes:
    """Rows of each part."""

    train: int
    dev: int
    test: int
    groups: int | None
    fingerprint: str | None
    unused: Mapping[str, int] = field(default_factory=dict[str, int])
    """Setting -> labelled rows that it left out."""
    unused_test: int = 0
    """How many of these would be test examples, about."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """The person's demands, from the [decision] table of the project."""

    minimum_gain: float = 0.05
    minimum_quality: float | None = None
    maximum_latency_ms: float | None = None
    retention_margin: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldOut:
    """One test row as the contenders saw it, and the answer wanted."""

    id: str
    input: str
    target: str
    place: str | None = None
    """`file:line` of the row, relative to the project; None where the run did not write it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """Everything a report says about one run."""

    folder: Path
    outcome: str
    recommended: str | None
    reason: str
    rule: Rule
    question: str | None
    instruction: str | None
    kind: str | None
    metric: str
    n_test: int
    test_set_uses: int
    contenders: tuple[Contender, ...]
    comparisons: tuple[Comparison, ...]
    """The primary one first."""
    constraints: tuple[Constraint, ...]
    examples_needed: int | None
    plan: Plan
    decision: Decision
    splits: SplitSizes | None
    base: str | None
    engine: str | None
    engine_why: str | None
    notes: tuple[str, ...]
    reproduce: str | None
    retention: Json
    economics: Json
    learning_curve: Json
    tests: tuple[HeldOut, ...] = ()
    answers: tuple[Answer, ...] = field(default=(), repr=False)
    scores: tuple[Score, ...] = field(default=(), repr=False)
    masked: bool = False
    """Whether personal data was found in rows or answers, and masked."""

    @property
    def measured(self) -> tuple[Contender, ...]:
        """The contenders that were judged on the test examples."""
        return tuple(c for c in self.contenders if c.quality is not None)

    @property
    def skipped(self) -> tuple[Contender, ...]:
        """The contenders that did not run."""
        return tuple(c for c in self.contenders if c.quality is None)

    def contender(self, name: str | None) -> Contender | None:
        """The measured contender of that name, if any."""
        return next((c for c in self.measured if c.name == name), None)

    @property
    def incumbent(self) -> Contender | None:
        """The best contender that needs no training, as planned on dev."""
        return self.contender(self.plan.incumbent)

    @property
    def challenger(self) -> Contender | None:
        """The best trained contender, as planned on dev."""
        return self.contender(self.plan.challenger)

    @property
    def primary(self) -> Comparison | None:
        """Challenger minus incumbent."""
        if self.plan.challenger is None or self.plan.incumbent is None:
            return None
        return self.difference(self.plan.challenger, self.plan.incumbent)

    def difference(self, a: str, b: str) -> Comparison | None:
        """Quality of a minus quality of b, turned round if the run holds it as b minus a."""
        for item in self.comparisons:
            if (item.a, item.b) == (a, b):
                return item
            if (item.a, item.b) == (b, a):
                return replace(item, a=a, b=b, delta=-item.delta, low=-item.high, high=-item.low)
        return None
