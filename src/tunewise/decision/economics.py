"""What requests and a training cost, and when the training has paid for itself.

Measured tokens and seconds with their prices in, amounts with intervals out. Pure: it knows no
files, and no price that nobody gave.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil

from tunewise.decision.case import Saving
from tunewise.statistics.amounts import (
    MINIMUM_ROUNDS,
    BreakEven,
    added,
    break_even,
    mean_of_rounds,
    scaled,
)
from tunewise.statistics.heavy_tails import heavy_tailed_mean
from tunewise.statistics.intervals import FloatArray, Interval
from tunewise.statistics.paired import Rows, Sample

HORIZON_MONTHS = 12
"""Over which rule 2 and the net saving are reckoned."""
_NOTHING = Interval(value=0.0, low=0.0, high=0.0, p=None, method="")


@dataclass(frozen=True, kw_only=True, slots=True)
class Tariff:
    """What the requests of one contender are paid with; None: not in this way."""

    prompt: float | None = None
    """Per million prompt tokens that are computed."""
    cached: float | None = None
    """Per million prompt tokens from a cache; None: as much as the others."""
    completion: float | None = None
    """Per million tokens generated."""
    hour: float | None = None
    """Per hour of a machine that serves."""
    utilisation: float | None = None
    """Share of the paid hours in which it serves; None: not told, and taken as all."""

    @property
    def by_token(self) -> bool:
        """Whether tokens are paid for, both those read and those written."""
        return self.prompt is not None and self.completion is not None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Served:
    """What was measured of one contender's requests, and their tariff."""

    name: str
    untrained: bool
    """Whether it could be used instead of training: no trained contender, and not `constant`."""
    candidate: bool
    """Whether it may be recommended."""
    needs_labels: bool
    """Whether it uses the rows of train."""
    prompt: FloatArray
    """(n,) prompt tokens of each test row, cached ones included."""
    cached: float
    """Mean prompt tokens that came from a cache, as served."""
    completion: FloatArray
    """(n,) tokens generated."""
    load: tuple[float, ...]
    """(rounds,) machine seconds a request when many come at once; empty: not measured."""
    tariff: Tariff

    @property
    def by_hour(self) -> bool:
        """Whether machine hours are part of its price, and were measured."""
        return self.tariff.hour is not None and len(self.load) >= MINIMUM_ROUNDS

    @property
    def priced(self) -> bool:
        """Whether all that its requests take has a price."""
        if self.tariff.hour is not None and not self.by_hour:
            return False
        return self.tariff.by_token or self.by_hour

    def of_tokens(self, prompt: FloatArray, completion: FloatArray) -> FloatArray:
        """What so many tokens cost; 0 where tokens are not paid for."""
        one = self.tariff
        if one.prompt is None or one.completion is None:
            return 0.0 * prompt
        saved = one.prompt - (one.prompt if one.cached is None else one.cached)
        cached = prompt.clip(max=self.cached)
        return (prompt * one.prompt - cached * saved + completion * one.completion) / 1e6

    def of_hours(self) -> list[float]:
        """(rounds,) what the machine costs a request in each round; empty where it costs none."""
        if self.tariff.hour is None or not self.by_hour:
            return []
        return [s * self.tariff.hour / 3600.0 / (self.tariff.utilisation or 1.0) for s in self.load]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingSpend:
    """What training the challenger took, and its prices."""

    seconds: float
    """Of its fit in this run: all seeds, the choices on dev included."""
    hour: float | None
    """Price of an hour of training."""
    labels: int
    """Labelled rows that it learned from."""
    label: float | None
    """Price of labelling one; None: they are there already, and cost nothing more."""
    every_months: float | None
    """Months after which it is trained again; None: never."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Amount:
    """An amount of money with its interval."""

    value: float
    low: float | None = None
    high: float | None = None
    """None: too few rows for an interval."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingCost:
    """What a training costs."""

    compute: float
    """Each time."""
    labelling: float
    """Once, against contenders that need no labelled rows of train."""
    times: int
    """Trainings within the horizon."""
    every_months: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Payback:
    """What the challenger saves against one contender without training."""

    contender: str
    candidate: bool
    """Whether that one may be recommended."""
    per_1000_requests: Amount
    """Saved in running costs; below 0: the challenger costs more."""
    hours_per_1000: float
    """The part of it that is machine hours."""
    comparable: bool
    """False where only one of the two is paid by the hour and nobody told how busy it is: then
    the saving is what it would be at best, and takes no part in the verdict."""
    per_month: Amount | None = None
    """None: `monthly_requests` is not known."""
    training: float | None = None
    """Paid before the first request: computing and labels; None: no price of training."""
    break_even_requests: BreakEven | None = None
    break_even_months: BreakEven | None = None
    in_horizon: Amount | None = None
    """Saved within the horizon, trainings paid."""
    benefit_per_1000: Amount | None = None
    """The worth of its better quality and the saving together; None: no `value_per_point`."""
    benefit_in_horizon: Amount | None = None
    """The same within the horizon, trainings paid."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Swing:
    """What the saving within the horizon becomes when one of its premises changes."""

    premise: str
    """`sampled requests`, `requests a month`, `utilisation`, `retraining` or `labelling`."""
    less: float
    """The lower setting: requests, a share, months between trainings, a sum for all labels."""
    more: float
    """The higher one; of months 0 is never, and of sampled requests both are 0."""
    saves_less: float
    """The saving at the lower setting."""
    saves_more: float
    """The saving at the higher setting."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Economics:
    """`economics` of verdict.json."""

    currency: str
    confidence: float
    """Of every interval."""
    horizon_months: int
    monthly_requests: int | None
    utilisation: float | None
    challenger: str | None
    training: TrainingCost | None
    """None: no price of training was given, or nothing was trained."""
    savings: tuple[Payback, ...]
    tornado: tuple[Swing, ...] = ()
    """Of the saving against the contender without training that was judged the best."""
    missing: tuple[str, ...] = ()
    """What could not be reckoned, and which keys would tell."""

    def against(self, name: str | None) -> Payback | None:
        """What is saved against a contender."""
        return next((one for one in self.savings if one.contender == name), None)

    @property
    def rule_savings(self) -> dict[str, Saving]:
        """What rule 2 looks at: savings within the horizon, by contender without training."""
        return {
            one.contender: Saving(
                value=one.in_horizon.value,
                low=one.in_horizon.low,
                high=one.in_horizon.high,
                unit=f"{self.currency} in {self.horizon_months} months",
            )
            for one in self.savings
            if one.comparable
            and one.in_horizon is not None
            and one.in_horizon.low is not None
            and one.in_horizon.high is not None
        }


def request_cost(one: Served, rows: Rows, *, longest: float, confidence: float) -> Amount | None:
    """What 1,000 requests cost; None where something in them has no price.

    Args:
        one: what was measured.
        rows: the test rows.
        longest: tokens of the longest answer that any contender gave.
        confidence: of the interval.
    """
    if not one.priced:
        return None
    tokens = one.of_tokens(one.prompt, one.completion)
    found = _mean(tokens, rows, _largest(one, longest), confidence)
    hours = one.of_hours()
    value = 1000.0 * (float(tokens.mean()) + (sum(hours) / len(hours) if hours else 0.0))
    if found is None:
        return Amount(value=value)
    return _amount(scaled(added(found, _rounds(hours, confidence)), 1000.0), at_least=0.0)


def weigh(
    served: Sequence[Served],
    training: TrainingSpend | None,
    *,
    challenger: str | None,
    rows: Rows,
    currency: str,
    monthly_requests: int | None = None,
    value_per_point: float | None = None,
    quality: Mapping[str, Sample] | None = None,
    confidence: float = 0.95,
) -> Economics:
    """What the challenger saves against every contender without training.

    Args:
        served: every contender that was asked, rows in one order.
        training: of the challenger; None: none took part.
        challenger: its name.
        rows: the test rows.
        currency: of all prices.
        monthly_requests: how many there are in production.
        value_per_point: what a point of quality is worth, per 1,000 requests.
        quality: contender -> its scores, for the worth of quality.
        confidence: of all intervals.
    """
    named = {one.name: one for one in served}
    tuned = named.get(challenger or "")
    longest = max((float(one.completion.max(initial=0.0)) for one in served), default=0.0)
    cost = None
    if training is not None and training.hour is not None:
        cost = TrainingCost(
            compute=training.seconds / 3600.0 * training.hour,
            labelling=training.labels * (training.label or 0.0),
            times=1 if not training.every_months else ceil(HORIZON_MONTHS / training.every_months),
            every_months=training.every_months,
        )
    pairs = [
        (tuned, one)
        for one in served
        if tuned is not None and tuned.priced and one.untrained and one.priced
    ]
    paybacks: list[Payback] = []
    for trained, other in pairs:
        found = _saving(trained, other, rows, longest, confidence)
        one = _payback(trained, other, found, cost, monthly_requests)
        if value_per_point is not None and quality is not None:
            worth = (quality[trained.name], quality[other.name], value_per_point / 10.0)
            benefit = _saving(trained, other, rows, longest, confidence, worth=worth).interval
            if benefit is not None:
                one = _with_benefit(one, benefit, cost, monthly_requests)
        paybacks.append(one)
    utilisations = {one.tariff.utilisation for one in served if one.by_hour}
    return Economics(
        currency=currency,
        confidence=confidence,
        horizon_months=HORIZON_MONTHS,
        monthly_requests=monthly_requests,
        utilisation=next(iter(utilisations), None),
        challenger=challenger,
        training=cost,
        savings=tuple(paybacks),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Saved:
    """What one request saves."""

    value: float
    hours: float
    """The part that is machine hours."""
    interval: Interval | None
    """None: too few rows."""


def _saving(
    trained: Served,
    other: Served,
    rows: Rows,
    longest: float,
    confidence: float,
    *,
    worth: tuple[Sample, Sample, float] | None = None,
) -> _Saved:
    """Cost of the other less that of the trained one, paired by row and by round.

    `worth` adds what the difference in quality is worth to each row: two samples, and the worth of
    the whole scale in one request (Stinnett and Mullahy 1998).
    """
    costs = [one.of_tokens(one.prompt, one.completion) for one in (other, trained)]
    saved = costs[0] - costs[1]
    largest = max(_largest(one, longest) for one in (other, trained))
    if worth is not None:
        better, bar, scale = worth
        both = better.influence - bar.influence
        off = both.value - float(both.pseudo_values.mean())  # an aggregate is no mean of them
        saved = saved + scale * (both.pseudo_values + off)
        largest += scale
    found = _mean(saved, rows, largest, confidence)
    theirs, mine = other.of_hours(), trained.of_hours()
    rounds = range(max(len(theirs), len(mine)))
    hours = [(theirs[r] if theirs else 0.0) - (mine[r] if mine else 0.0) for r in rounds]
    of_hours = sum(hours) / len(hours) if hours else 0.0
    return _Saved(
        value=float(saved.mean()) + of_hours,
        hours=of_hours,
        interval=None if found is None else added(found, _rounds(hours, confidence)),
    )


def _payback(
    trained: Served,
    other: Served,
    found: _Saved,
    cost: TrainingCost | None,
    monthly: int | None,
) -> Payback:
    told = (trained if trained.by_hour else other).tariff.utilisation is not None
    first = None
    if cost is not None:
        labels = 0.0 if other.needs_labels else cost.labelling
        first = cost.compute + labels
    one = Payback(
        contender=other.name,
        candidate=other.candidate,
        per_1000_requests=_scaled(found, 1000.0),
        hours_per_1000=1000.0 * found.hours,
        comparable=trained.by_hour == other.by_hour or told,
        per_month=None if monthly is None else _scaled(found, float(monthly)),
        training=first,
    )
    if cost is None or first is None:
        return one
    even = None if found.interval is None else break_even(first, found.interval)
    if monthly is None:
        return replace(one, break_even_requests=even)
    return replace(
        one,
        break_even_requests=even,
        break_even_months=None if even is None else _per(even, monthly),
        in_horizon=_scaled(found, float(monthly * HORIZON_MONTHS), -_trainings(first, cost)),
    )


def _with_benefit(
    one: Payback, benefit: Interval, cost: TrainingCost | None, monthly: int | None
) -> Payback:
    one = replace(one, benefit_per_1000=_amount(scaled(benefit, 1000.0)))
    if cost is None or one.training is None or monthly is None:
        return one
    paid = _trainings(one.training, cost)
    net = scaled(benefit, float(monthly * HORIZON_MONTHS), -paid)
    return replace(one, benefit_in_horizon=_amount(net))


def _trainings(first: float, cost: TrainingCost) -> float:
    """What all trainings within the horizon cost."""
    return first + (cost.times - 1) * cost.compute


def tornado(found: Economics, rival: str | None) -> tuple[Swing, ...]:
    """How the saving against one contender changes when each premise is halved and doubled.

    Widest first; the interval of the sampled requests stands among them, for comparison. Empty
    where the saving within the horizon is not known. Retraining that is not planned is set against
    one every quarter of a year.
    """
    one, cost, monthly = found.against(rival), found.training, found.monthly_requests
    if one is None or one.in_horizon is None or one.training is None or cost is None or not monthly:
        return ()
    labels = one.training - cost.compute
    base = (one.per_1000_requests.value - one.hours_per_1000) / 1000.0
    share = found.utilisation or 1.0

    def saved(
        *, volume: float = 1.0, busy: float = share, every: float | None = cost.every_months,
        label: float = 1.0,
    ) -> float:  # fmt: skip
        each = base + one.hours_per_1000 / 1000.0 * share / busy
        times = ceil(HORIZON_MONTHS / every) if every else 1
        trainings = times * cost.compute + label * labels
        return monthly * volume * HORIZON_MONTHS * each - trainings

    swings = [Swing(premise="requests a month", less=monthly / 2, more=monthly * 2,
                    saves_less=saved(volume=0.5), saves_more=saved(volume=2.0))]  # fmt: skip
    if one.hours_per_1000:
        less, more = share / 2, min(1.0, share * 2)
        swings.append(Swing(premise="utilisation", less=less, more=more,
                            saves_less=saved(busy=less), saves_more=saved(busy=more)))  # fmt: skip
    rare, often = ((cost.every_months * 2, cost.every_months / 2) if cost.every_months
                   else (0.0, HORIZON_MONTHS / 4))  # fmt: skip
    swings.append(Swing(premise="retraining", less=often, more=rare,
                        saves_less=saved(every=often), saves_more=saved(every=rare)))  # fmt: skip
    if labels:
        swings.append(Swing(premise="labelling", less=labels / 2, more=labels * 2,
                            saves_less=saved(label=0.5), saves_more=saved(label=2.0)))  # fmt: skip
    if one.in_horizon.low is not None and one.in_horizon.high is not None:
        swings.append(Swing(premise="sampled requests", less=0.0, more=0.0,
                            saves_less=one.in_horizon.low,
                            saves_more=one.in_horizon.high))  # fmt: skip
    return tuple(sorted(swings, key=lambda swing: -abs(swing.saves_more - swing.saves_less)))


def _largest(one: Served, longest: float) -> float:
    """The dearest request that may come: its longest prompt, and the longest answer of anybody."""
    prompt = one.prompt.max(initial=0.0, keepdims=True)
    return float(one.of_tokens(prompt, 0.0 * prompt + (longest if prompt.any() else 0.0)).max())


def _mean(values: FloatArray, rows: Rows, largest: float, confidence: float) -> Interval | None:
    if rows.shortage is not None:
        return None
    if largest <= 0.0:  # nothing in it is paid by the token
        return _NOTHING
    found = heavy_tailed_mean(values, rows, largest=largest, confidence=confidence)
    return found if isinstance(found, Interval) else None


def _rounds(hours: Sequence[float], confidence: float) -> Interval:
    return mean_of_rounds(hours, confidence=confidence) if hours else _NOTHING


def _scaled(found: _Saved, factor: float, shift: float = 0.0) -> Amount:
    if found.interval is None:
        return Amount(value=factor * found.value + shift)
    return _amount(scaled(found.interval, factor, shift))


def _amount(found: Interval, *, at_least: float | None = None) -> Amount:
    low = found.low if at_least is None else max(at_least, found.low)
    return Amount(value=found.value, low=low, high=found.high)


def _per(even: BreakEven, monthly: int) -> BreakEven:
    """Requests as months."""

    def months(requests: float | None) -> float | None:
        return None if requests is None else requests / monthly

    return BreakEven(value=months(even.value), low=months(even.low), high=months(even.high))
