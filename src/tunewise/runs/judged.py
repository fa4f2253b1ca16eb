"""What a person and a judge said of two contenders' answers: records of the run folder.

ratings.jsonl and judgements.jsonl have a line for each time that somebody looked at a pair;
judge.json says what came of all of them.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from tunewise.runs.dependability import Counted

RATINGS = "ratings.jsonl"
JUDGEMENTS = "judgements.jsonl"
JUDGED = "judge.json"
WANTED = 100
"""Rated pairs below which no judge is believed, where there are so many."""

Side = Literal["left", "right", "tie"]
Rated = Literal["left", "right", "tie", "skip", "undone"]
Choice = Literal["first", "second", "tie"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rating:
    """What the person said of one pair; a later line about the same pair replaces it."""

    example_id: str
    a: str
    b: str
    """The contenders whose answers were shown."""
    left: str
    """Which of the two stood on the left."""
    said: Rated
    """Which was better; `skip`: not rated; `undone`: taken back."""

    @property
    def value(self) -> float | None:
        """1 where a is better, −1 where b is, 0 for a tie; None where it is no rating."""
        if self.said in ("skip", "undone"):
            return None
        if self.said == "tie":
            return 0.0
        return 1.0 if (self.said == "left") == (self.left == self.a) else -1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """What a judge said of one pair, asked in both orders."""

    example_id: str
    judge: str
    """What tells one judge from another: a hash of its model and of what it was told."""
    a: str
    b: str
    a_first: Choice | None
    """What it said where a's answer stood first; None: it could not be read."""
    b_first: Choice | None
    """Where b's answer stood first."""
    said: tuple[str, str]
    """Both answers as they came."""

    @property
    def value(self) -> float:
        """1 or −1 where both orders name a or b; a flip, a tie and what cannot be read are 0."""
        if (self.a_first, self.b_first) == ("first", "second"):
            return 1.0
        return -1.0 if (self.a_first, self.b_first) == ("second", "first") else 0.0

    @property
    def flipped(self) -> bool:
        """Whether it named the same place in both orders, that is another answer each time."""
        return self.a_first == self.b_first and self.a_first in ("first", "second")

    @property
    def unreadable(self) -> bool:
        """Whether one of its two answers could not be read."""
        return self.a_first is None or self.b_first is None


@dataclass(frozen=True, kw_only=True, slots=True)
class Preference:
    """How much more often a's answer is preferred than b's, as a share of all test rows."""

    value: float
    low: float | None = None
    high: float | None = None
    """Its 95% interval; None: there is none."""
    method: str | None = None
    """The procedure, or why there is no interval."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lean:
    """How much more often the first place was named in both orders than the second."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """How far the judge says what the person says, on the pairs that both saw."""

    same: Counted
    """Pairs of which both say the same: a, b or a tie."""
    of: int
    by_chance: float
    """The share that would be the same if neither knew of the other, from how often each says
    what (Cohen 1960)."""
    beyond: float
    """The share of `same`, less that."""
    beyond_low: float | None = None
    beyond_high: float | None = None
    """Its interval, at a confidence corrected for the judges that were tried; None: none."""
    right: Counted
    """Pairs on which both prefer an answer, and the same one."""
    decided: int
    """Pairs on which both prefer an answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgeResult:
    """judge.json: two finalists, judged by a model that a person's ratings hold to account."""

    judge: str
    """The model."""
    id: str
    """The hash that its judgements carry."""
    criteria: tuple[str, ...]
    """Their names."""
    a: str
    """The trained contender, or the better of two without training."""
    b: str
    """The contender that it was held against."""
    rows: int
    """Test rows."""
    settled: int
    """Rows that need nobody: both answers the same, or one of them crashed."""
    judged: int
    """Pairs that the judge saw."""
    unreadable: int
    """Of these, pairs of which an answer of the judge's could not be read; they count as ties."""
    rated: int
    """Pairs that the person rated."""
    wanted: int
    """Pairs that must be rated before a judge is believed."""
    skipped: int = 0
    tried: int = 1
    """Judges (models, criteria, wordings) tried on this run's pairs, this one included."""
    flips: Counted
    """Pairs of which it named the same place in both orders; they count as ties."""
    first: int
    """Flips towards the answer that stood first."""
    position_bias: Lean | None = None
    """None with too few pairs."""
    agreement: Agreement | None = None
    """None: no pair was both rated and judged."""
    refused: str | None = None
    """Why the judge is not believed; None: it is."""
    power: Annotated[float | None, Field(alias="lambda")] = None
    """λ of PPI++: how much the judge counts, 0 to 1; None where it is refused."""
    corrected: Preference | None = None
    """By the judge, corrected by the person's ratings; None where it is refused."""
    person: Preference | None = None
    """By the person's ratings alone; None: there are none."""
    worth: float | None = None
    """Ratings that would have given the corrected interval without a judge."""
    notes: tuple[str, ...] = ()


RATING = TypeAdapter(Rating)
JUDGEMENT = TypeAdapter(Judgement)
JUDGE_RESULT = TypeAdapter(JudgeResult)
