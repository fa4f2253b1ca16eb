"""What a run writes of the general ability that a training cost, as frozen records."""

from dataclasses import dataclass

from tunewise.decision.retention import Kept, Retention
from tunewise.statistics.intervals import Interval, NotComputed


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A number with its 90% interval."""

    value: float
    low: float | None = None
    high: float | None = None
    """None: no interval could be computed."""
    method: str
    """The procedure, or why there is no interval."""

    @classmethod
    def of(cls, found: Interval | NotComputed) -> "Estimate":
        """What a statistic gave."""
        if isinstance(found, NotComputed):
            return cls(value=found.value, method=f"not computed: {found.reason}")
        return cls(value=found.value, low=found.low, high=found.high, method=found.method)


@dataclass(frozen=True, kw_only=True, slots=True)
class AbilityKept:
    """What became of one ability."""

    ability: str
    """`knowledge`, `reasoning`, `language`, `reading`, `arithmetic`, `instructions`, `your own`."""
    items: int
    before: float
    """Share that the base gets right."""
    after: float
    floor: float
    """Share that guessing gets right."""
    lost: int
    """Items that the base gets right and the trained model does not."""
    won: int
    change: Estimate
    """`after` minus `before`; a question that is asked in two ways is one unit."""
    little_to_forget: bool
    """Whether the base is near what guessing gets."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KindKept:
    """The items of one kind, which are one cluster."""

    ability: str
    kind: str
    items: int
    right: int
    """That the base gets right."""
    lost: int
    won: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Drift:
    """How far the trained model went from the base on texts that the base wrote."""

    divergence: float
    """Mean of KL(base || trained) over the texts, nats a token."""
    low: float
    high: float
    """Of the 90% interval."""
    texts: int


@dataclass(frozen=True, kw_only=True, slots=True)
class RepairPoint:
    """An adapter whose update counts so many times, or that was trained again."""

    scale: float
    dev: float
    """Quality on dev of the seed that ships, 0 to 1."""
    change: Estimate | None
    """Of general ability, on the half of the suite that the choice is made on; None: it was not
    asked, as a larger scale was taken or dev alone ruled this one out."""
    way: str = ""
    """How it was trained again, after the words `trained again`; empty: it was not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Repair:
    """The frontier of task and general ability, and the point that was taken."""

    frontier: tuple[RepairPoint, ...]
    """The largest scale first: the adapter as it was trained. After the scales, the ways in which
    it was trained again."""
    taken: float | None
    """Scale; 1 where `way` says how it was trained again. None: no point keeps general ability and
    does as well on dev as what needs no training, so that the adapter stays as it was trained."""
    before: Estimate
    """The change of general ability as it was trained, on all of the suite."""
    way: str = ""
    """Of the point that was taken."""

    def is_taken(self, point: RepairPoint) -> bool:
        """Whether that is the adapter that goes on to test."""
        return (point.scale, point.way) == (self.taken, self.way)


@dataclass(frozen=True, kw_only=True, slots=True)
class RetentionResult:
    """What became of the general ability of one trained contender."""

    state: Retention
    """`retained`, `broken` or `not shown`, against `retention_margin`."""
    warns: bool
    """Whether more than twice the margin is lost, by point estimate."""
    little_to_forget: bool
    """Whether the base is near what guessing gets, so that nothing can be shown to be kept."""
    margin: float
    suite: str
    """`screening` or `whole`."""
    items: int
    left_out: int
    """Items that could not be asked: they do not fit the context, or a request failed."""
    before: float
    after: float
    floor: float
    change: Estimate
    """Of the share of right answers, with the kinds as clusters."""
    lost: int
    won: int
    lost_share: Estimate | None
    """Negative flips as a share of what the base gets right."""
    likelihood: Estimate | None
    """Mean change of the probability of the right choice among the choices."""
    same_answers: Estimate | None
    """How often the trained model's greedy answer is the base's, letter by letter."""
    drift: Drift | None
    """None: the base wrote no text."""
    abilities: tuple[AbilityKept, ...]
    kinds: tuple[KindKept, ...]
    repair: Repair | None = None
    """Where it was broken or warned; all else is then of the half that the choice did not see, if
    a point was taken."""

    @property
    def kept(self) -> Kept:
        """As the decision rule reads it."""
        return Kept(
            state=self.state,
            change=self.change.value,
            low=self.change.low,
            high=self.change.high,
            margin=self.margin,
            base=self.before,
            floor=self.floor,
        )
