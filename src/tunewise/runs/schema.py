"""What the files of a run hold, as frozen records: whoever writes a file and whoever reads it.

A record's fields are the file's keys, in the file's order.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal, TypeAlias, cast

import pydantic
from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    GetPydanticSchema,
    Tag,
    TypeAdapter,
    WrapSerializer,
)
from pydantic import SerializerFunctionWrapHandler as Inner

from tunewise.decision.economics import Economics
from tunewise.decision.plan import Plan
from tunewise.project.settings import DecisionSettings
from tunewise.runs.dependability import Dependability
from tunewise.runs.held_out import HeldOut
from tunewise.runs.internalised import Internalised
from tunewise.runs.judged import JudgeResult
from tunewise.runs.learning_curve import LearningCurves
from tunewise.runs.records import RAN, SKIPPED, STOPPED
from tunewise.runs.retention import RetentionResult
from tunewise.runs.segments import LabelNoise, Segments
from tunewise.types import (
    Answer,
    Assurance,
    BaseJudged,
    Comparison,
    Constraint,
    Finding,
    JsonValue,
    Kind,
    Rule,
    Score,
    Stopped,
)

Json: TypeAlias = Annotated[
    Mapping[str, JsonValue],
    GetPydanticSchema(lambda _, handler: handler(Mapping[str, pydantic.JsonValue])),
]
"""An object as it stands in the file."""


def _empty_if_none(value: object, inner: Inner) -> object:
    return {} if value is None else inner(value)


def _none_if_empty(value: object) -> object:
    return value or None


_OR_EMPTY = (BeforeValidator(_none_if_empty), WrapSerializer(_empty_if_none))
"""None is written as `{}`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Quality:
    """The primary metric over the test examples, 0 to 1, with its confidence interval."""

    value: float
    low: float | None = None
    high: float | None = None
    """None: no interval could be computed."""
    method: str | None = None
    """The procedure, or why there is no interval."""

    @property
    def computed(self) -> bool:
        """Whether there is an interval."""
        return self.low is not None and self.high is not None

    @property
    def lower(self) -> float:
        """The interval's lower end; 0 where there is none."""
        return 0.0 if self.low is None else self.low

    @property
    def upper(self) -> float:
        """The interval's upper end; 1 where there is none."""
        return 1.0 if self.high is None else self.high


@dataclass(frozen=True, kw_only=True, slots=True)
class Tokens:
    """Mean tokens of one request."""

    prompt: float
    cached: float = 0.0
    """Those of the prompt that came from the prefix cache, as served."""
    completion: float = 0.0
    thinking: float = 0.0
    """Those of the completion that were thoughts."""

    @property
    def total(self) -> float:
        """Prompt and completion together."""
        return self.prompt + self.completion


@dataclass(frozen=True, kw_only=True, slots=True)
class Latency:
    """Milliseconds of a request asked alone, on a warm model."""

    p50: float
    p50_low: float | None = None
    p50_high: float | None = None
    """The 95% interval of the median; None with fewer than 6 requests, and in older runs."""
    p95: float | None = None
    """Of so few requests nearly the longest: kept, not shown."""
    n: int | None = None
    """Requests timed."""
    first_token_p50: float | None = None
    """Median time to the first token; None where the engine does not measure it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What requests cost by their tokens and machine hours."""

    per_1000_requests: float
    currency: str
    per_1000_low: float | None = None
    per_1000_high: float | None = None
    """The 95% interval of the cost of 1,000; None with too few rows, and in older runs."""
    per_month: float | None = None
    """None: `monthly_requests` is not set."""

    @property
    def lower(self) -> float:
        """The interval's lower end; the estimate where there is none."""
        return self.per_1000_requests if self.per_1000_low is None else self.per_1000_low

    @property
    def upper(self) -> float:
        """The interval's upper end; the estimate where there is none."""
        return self.per_1000_requests if self.per_1000_high is None else self.per_1000_high


@dataclass(frozen=True, kw_only=True, slots=True)
class RetrievalRecall:
    """How often the document that a row names is among the passages shown."""

    recall_at_k: float
    k: int
    """Passages shown."""
    n: int | None = None
    """Rows that name a document."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FitRecord:
    """What fitting cost and what it chose on dev."""

    seconds: float | None = None
    settings: Json = field(default_factory=dict[str, JsonValue])
    tokens: Mapping[str, int] = field(default_factory=dict[str, int])
    """Spent: `prefilled` (of prompts, those from a prefix cache left out), `generated`,
    `trained`."""
    trials: tuple[Json, ...] = ()
    """Every setting tried, with its dev quality."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ContenderResult:
    """What was measured of one contender that ran."""

    name: str
    quality: Quality
    """Of the seed that ships."""
    seeds: int = 1
    by_seed: Mapping[int, float] = field(default_factory=dict[int, float])
    """seed -> quality on the test examples."""
    errors: int = 0
    """Answers that crashed; they count as wrong."""
    without_errors: float | None = None
    """Quality over the answers that did not crash; None where all or none did."""
    cut_in_thoughts: int = 0
    """Answers whose thoughts have no end."""
    secondary: Mapping[str, float] = field(default_factory=dict[str, float])
    """Metric -> its value."""
    trained: bool = False
    base: str | None = None
    """Short name of the base model that it runs on; None where there is one, or it runs on none."""
    ceiling: bool = False
    """Shown for scale, not a candidate."""
    dev: float | None = None
    """Quality on dev."""
    tokens: Tokens | None = None
    latency: Annotated[Latency | None, Field(alias="latency_ms")] = None
    cost: Annotated[Cost | None, *_OR_EMPTY] = None
    """None: not all that its requests take has a price."""
    load_seconds: tuple[float, ...] = ()
    """Machine seconds a request when many come at once, by round; empty where not measured."""
    retrieval: Annotated[RetrievalRecall | None, *_OR_EMPTY] = None
    fit: FitRecord = FitRecord()


@dataclass(frozen=True, kw_only=True, slots=True)
class SkippedContender:
    """A contender that did not run."""

    name: str
    skipped: str
    """Why."""

    @property
    def sentence(self) -> str:
        """What follows its name: `did not run: ...`."""
        return f"did not run: {self.skipped}"


@dataclass(frozen=True, kw_only=True, slots=True)
class StoppedContender(SkippedContender):
    """A contender that was asked no more, since dev shows it to be too far behind."""

    stopped: Stopped
    fit: FitRecord
    """What was spent on it until then."""

    @property
    def sentence(self) -> str:
        """What follows its name: `out after 24 of 55 dev rows: ...`."""
        return self.skipped


def _ran_or_not(value: object) -> str:
    """Which of the three a contender is, as a record or as it stands in the file."""
    keys = cast("Mapping[str, object]", value) if isinstance(value, Mapping) else ()
    if isinstance(value, StoppedContender) or "stopped" in keys:
        return STOPPED
    return SKIPPED if isinstance(value, SkippedContender) or "skipped" in keys else RAN


AnyContender: TypeAlias = Annotated[
    Annotated[ContenderResult, Tag(RAN)]
    | Annotated[StoppedContender, Tag(STOPPED)]
    | Annotated[SkippedContender, Tag(SKIPPED)],
    Discriminator(_ran_or_not),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedComparison:
    """What was written down before the first test example was answered."""

    incumbent: str | None = None
    challenger: str | None = None
    shipped_seed: int | None = None
    """Of the challenger."""
    futile: bool = False
    """Dev already showed no gain, so seeds two and three were not trained."""
    written_before_test: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenPlan(Plan):
    """plan.json: all that was decided before test was opened."""

    futile: bool
    stopped: Mapping[str, Stopped] = field(default_factory=dict[str, Stopped])
    """contender -> why it is not asked on test."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitSizes:
    """Rows of each part."""

    train: int = 0
    dev: int = 0
    test: int = 0
    groups: int | None = None
    """Independent units among the test rows."""
    fingerprint: str | None = None
    unused: Mapping[str, int] = field(default_factory=dict[str, int])
    """Setting -> labelled rows that it left out."""
    unused_test: int = 0
    """How many of these would be test examples, about."""
    leaked: Mapping[str, int] = field(default_factory=dict[str, int])
    """Where a test example stands as well (`train`, `dev`, `documents`) -> how many were left out
    of test for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskAsked:
    """What the contenders were asked."""

    instruction: str | None = None
    kind: Kind | None = None
    metric: str | None = None
    """As the project names it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelUsed:
    """The model that answered, and through what."""

    base: str | None = None
    """Of several all, with commas between them."""
    engine: str | None = None
    why: str | None = None
    """Why this engine."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VerdictFile:
    """verdict.json; see design section 5 for its contract."""

    schema: Literal[1] = 1
    outcome: str
    recommended: str | None = None
    reason: str
    rule: Rule
    metric: str
    n_test: int
    """Rows that judged: of test; of dev in a first opinion."""
    test_set_uses: int = 1
    first_opinion: bool = False
    """Whether test stayed sealed and dev judged: `decide --quick`."""
    task: TaskAsked = TaskAsked()
    contenders: Annotated[tuple[AnyContender, ...], Field(min_length=1)]
    comparisons: tuple[Comparison, ...] = ()
    """The primary one first."""
    constraints: tuple[Constraint, ...] = ()
    plan: PlannedComparison = PlannedComparison()
    splits: SplitSizes | None = None
    model: ModelUsed = ModelUsed()
    decision: DecisionSettings
    """The person's demands."""
    retention: Mapping[str, RetentionResult] = field(default_factory=dict[str, RetentionResult])
    """Trained contender -> what became of its general ability; empty where not measured."""
    economics: Annotated[Economics | None, *_OR_EMPTY] = None
    """What a training costs and saves; None: no prices were given, or an older run."""
    learning_curve: Annotated[LearningCurves | None, *_OR_EMPTY] = None
    """What more rows to learn from would bring; None where it was not asked for."""
    dependability: tuple[Dependability, ...] = ()
    """Of the two final contenders; empty where it was not measured."""
    segments: Segments | None = None
    """Quality by label, length, group and the columns of `data.segments`; None where no trained
    contender was judged beside one without training."""
    label_noise: LabelNoise | None = None
    """None where no input is labelled twice."""
    internalised: Internalised | None = None
    """The contender of that name beside its teacher; None where one of them was not on test."""
    examples_needed: int | None = None
    """The smallest number of further test examples in `assurance` that settles the question with
    a chance of at least 60%; None where none does, or nothing is open."""
    finding: Finding
    """What was found; in runs written before there were findings, what the rule tells of it."""
    bases: tuple[BaseJudged, ...] = ()
    """Of several base models each, the smallest first; empty where there is one."""
    smallest_base: str | None = None
    """The smallest of them that is good enough; None where none is shown to be."""
    untrained: str | None = None
    """The contender without training that training was measured against."""
    regret: float | None = None
    """The quality that acting now is expected to cost against knowing the truth, 0 to 1."""
    assurance: tuple[Assurance, ...] = ()
    """What further test examples would do, fewest first; empty where nothing is open."""
    notes: tuple[str, ...] = ()
    reproduce: str | None = None
    """The command line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Run(VerdictFile):
    """Everything a report says about one run: its verdict, and the rows behind it."""

    folder: Path
    tests: tuple[HeldOut, ...] = ()
    answers: tuple[Answer, ...] = field(default=(), repr=False)
    scores: tuple[Score, ...] = field(default=(), repr=False)
    masked: bool = False
    """Whether personal data was found in rows or answers, and masked."""
    judge: JudgeResult | None = None
    """What a judge said of the two finalists afterwards: judge.json; None where none was asked."""

    @property
    def measured(self) -> tuple[ContenderResult, ...]:
        """The contenders that were judged on the test examples."""
        return tuple(c for c in self.contenders if isinstance(c, ContenderResult))

    @property
    def skipped(self) -> tuple[SkippedContender, ...]:
        """The contenders that did not run."""
        return tuple(c for c in self.contenders if isinstance(c, SkippedContender))

    def contender(self, name: str | None) -> ContenderResult | None:
        """The measured contender of that name, if any."""
        return next((c for c in self.measured if c.name == name), None)

    @property
    def incumbent(self) -> ContenderResult | None:
        """The best contender that needs no training, as planned on dev."""
        return self.contender(self.plan.incumbent)

    @property
    def challenger(self) -> ContenderResult | None:
        """The best trained contender, as planned on dev."""
        return self.contender(self.plan.challenger)

    @property
    def rival(self) -> ContenderResult | None:
        """The contender without training that training was measured against."""
        advised = self.contender(self.recommended)
        return (
            self.contender(self.untrained)
            or (None if advised is None or advised.trained else advised)
            or self.incumbent
        )

    @property
    def gain(self) -> Comparison | None:
        """Challenger minus `rival`."""
        if self.challenger is None or self.rival is None:
            return None
        return self.difference(self.challenger.name, self.rival.name)

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


VERDICT = TypeAdapter(VerdictFile)
PLAN = TypeAdapter(WrittenPlan)
ANSWER = TypeAdapter(Answer)
SCORE = TypeAdapter(Score)
