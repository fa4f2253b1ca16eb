"""Numbers, lists and plurals as people read them: values in, words out. The one place that rounds.

Qualities are percent and their differences points, hundredths of the scale, both with one decimal
everywhere: in a sentence, in a table and on a plot. A difference that is not 0 never reads as 0,
and no number reads `-0`.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from tunewise.statistics.intervals import Interval, NotComputed
from tunewise.types import Comparison, Stopped

MINUS = "\u2212"
_NOISE = 1e-9
"""Differences of qualities below this are what floating-point arithmetic leaves of 0."""


def percent(share: float) -> str:
    """A share or a quality as percent: `91.0%`."""
    return f"{_fixed(100 * share, 1)}%"


def percent_span(low: float, high: float) -> str:
    """An interval of qualities as percent: `84.6–95.1`."""
    return f"{_fixed(100 * low, 1)}–{_fixed(100 * high, 1)}"


def whole_percent(share: float) -> str:
    """A share that is not known to a tenth: `91%`."""
    return f"{_fixed(100 * share, 0)}%"


def points(difference: float) -> str:
    """A difference of two qualities in signed points: `+17.0`, near 0 `−0.04`, `0.0` if none."""
    size = amount(difference)
    if abs(difference) < _NOISE:
        return size
    return f"{'+' if difference > 0 else MINUS}{size}"


def points_span(low: float, high: float) -> str:
    """An interval of differences in points: `+9.2 to +25.1`."""
    return f"{points(low)} to {points(high)}"


def amount(difference: float) -> str:
    """The size of a difference in points without its sign: `17.0`.

    Where one decimal would say 0.0, as many as its first digit takes: on which side of 0 a
    difference is may decide a verdict.
    """
    size = abs(100 * difference)
    if size >= 0.05 or abs(difference) < _NOISE:
        return _fixed(size, 1)
    return _first_digit(size)


def in_points(size: float) -> str:
    """A size with its unit: `17.0 points`, `5 points` where it is a whole number of them."""
    text = amount(size).removesuffix(".0")
    return f"{text} point" if text == "1" else f"{text} points"


def difference(item: Comparison) -> str:
    """A comparison in a few words: `+17.0 points (+9.2 to +25.1)`."""
    return f"{points(item.delta)} points ({points_span(item.low, item.high)})"


def by_seed(qualities: Mapping[int, float]) -> str:
    """The quality of every seed and their mean: `seeds 95.9%, 93.9%, 89.8%, mean 93.2%`."""
    each = ", ".join(percent(qualities[seed]) for seed in sorted(qualities))
    return f"seeds {each}, mean {percent(fmean(qualities.values()))}"


def out_of_the_race(stopped: Stopped) -> str:
    """Why a contender was asked no more: `out after 24 of 55 dev rows: 0.0% on them ...`."""
    return (
        f"out after {count(stopped.rows)} of {plural(stopped.of, 'dev row')}: "
        f"{percent(stopped.quality)} on them against {percent(stopped.best)} of {stopped.behind}, "
        f"so surely more than {in_points(stopped.margin)} behind"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Wording:
    """How the qualities of one project are put into words."""

    binary: bool
    """Whether a quality is the share of right answers; otherwise it is a mean score."""
    n: int
    """Test examples."""

    def quality(
        self, estimate: Interval | NotComputed, seeds: Mapping[int, float] | None = None
    ) -> str:
        """`answers 90.8% of 120 test examples right (84.2–95.3)`; then every seed, if several."""
        if self.binary:
            text = f"answers {percent(estimate.value)} of {count(self.n)} test examples right"
        else:
            text = f"scores {percent(estimate.value)} on {count(self.n)} test examples"
        beside: list[str] = []
        if isinstance(estimate, Interval):
            beside.append(percent_span(estimate.low, estimate.high))
        if seeds and len(seeds) > 1:
            beside.append(by_seed(seeds))
        return f"{text} ({'; '.join(beside)})" if beside else text

    def advantage(self, estimate: Interval | NotComputed, other: str) -> str:
        """`17.5 points more than few_shot (+8.1 to +26.9)`."""
        value = estimate.value
        if abs(value) < _NOISE:
            text = f"the same as {other}"
        else:
            size = amount(value)
            unit = "point" if size == "1.0" else "points"
            text = f"{size} {unit} {'more' if value > 0 else 'less'} than {other}"
        if isinstance(estimate, NotComputed):
            return text
        return f"{text} ({points_span(estimate.low, estimate.high)})"


def about(count: int) -> int:
    """A number of examples rounded up to two digits: 143 -> 150."""
    step = 10 ** max(0, len(str(count)) - 2)
    return -(-count // step) * step


def count(number: float) -> str:
    """A whole number with thousands apart: `96,000`."""
    return _fixed(number, 0)


def plural(n: int, one: str, many: str | None = None) -> str:
    """`1 row`, `2 rows`, `1,000 rows`; `many` where it is not `one` with an s."""
    return f"{count(n)} {one if n == 1 else many or one + 's'}"


def joined(parts: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def listed(places: Sequence[str], most: int = 3) -> str:
    """A few of many: `a.jsonl:3, a.jsonl:9 and 4 more`."""
    shown = ", ".join(places[:most])
    return f"{shown} and {count(len(places) - most)} more" if len(places) > most else shown


def mean_tokens(tokens: float) -> str:
    """Mean tokens of a request: `531`, below 10 with one decimal."""
    return _fixed(tokens, 0 if tokens >= 10 or tokens == round(tokens) else 1)


def milliseconds(value: float) -> str:
    """A latency in milliseconds: `0.4 ms`, `140 ms`, `12.3 s`."""
    if value < 0.1:
        return "< 0.1 ms"
    if value < 10:
        return f"{_fixed(value, 1)} ms"
    return f"{_fixed(value, 0)} ms" if value < 10_000 else f"{_fixed(value / 1000, 1)} s"


def milliseconds_span(low: float, high: float) -> str:
    """An interval of latencies: `390–431 ms`, with one unit where both have the same."""
    first, last = milliseconds(low), milliseconds(high)
    number, _, unit = first.rpartition(" ")
    return f"{number if last.endswith(f' {unit}') else first}–{last}"


def duration(seconds: float) -> str:
    """A stretch of time: `0.8 s`, `41 s`, `3 min 32 s`, `1 h 12 min`."""
    if seconds < 0.05:
        return "< 0.1 s"
    if seconds < 9.95:
        return f"{_fixed(seconds, 1)} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def rough_duration(seconds: float) -> str:
    """A time that is not known to the second: `20 s`, `3 min`, `1 h 10 min`."""
    if seconds < 55:
        return f"{max(5, 5 * round(seconds / 5))} s"
    minutes = max(1, round(seconds / 60))
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def times(ratio: float) -> str:
    """How many times as much: `11 times`, below 10 with one decimal."""
    return f"{_fixed(ratio, 0 if ratio >= 10 else 1)} times"


def money(price: float, currency: str | None) -> str:
    """What requests cost: `0.020 USD`; below a thousandth with as many decimals as it takes."""
    text = _fixed(price, 3) if abs(price) >= 5e-4 or not price else _first_digit(price)
    return f"{text} {currency or ''}".strip()


def cash(sum_of_money: float, currency: str | None = None) -> str:
    """A sum of money: `96,000 USD`, `12.50 USD`, below 1 as `money` writes it."""
    size = abs(sum_of_money)
    if not size:
        return f"0 {currency or ''}".strip()
    if size < 1.0 - 5e-4:
        return money(sum_of_money, currency)
    return f"{_fixed(sum_of_money, 0 if size >= 100 else 2)} {currency or ''}".strip()


def cash_span(low: float, high: float) -> str:
    """An interval of sums of money: `−12.50 to 96,000`."""
    return f"{cash(low)} to {cash(high)}"


def stated_share(share: float) -> str:
    """A share that a person set: `50%`, `0.5%`."""
    return f"{100 * share + 0.0:g}%"


def rough(number: float) -> str:
    """A number known to about two digits, as a break-even is: `38,000`, `5.2`, `0.0136`; three
    where the first is a 1."""
    if not number:
        return "0"
    power = math.floor(math.log10(abs(number)))
    digits = (2 if abs(number) < 2 * 10.0**power else 1) - power
    return _fixed(round(number, digits), max(0, min(digits, 6)))


def stated_confidence(item: Comparison) -> str:
    """Of the interval of a comparison, from its method: `92%`; `at least 95%` in runs that were
    written before the method said it."""
    said = re.search(r"[\d.]+%$", item.method)
    return said[0] if said else "at least 95%"


def p_value(p: float) -> str:
    """A p-value: `p < 0.001` or `p = 0.042`."""
    return "p < 0.001" if p < 0.001 else f"p = {_fixed(p, 3)}"


def loss(value: float) -> str:
    """A training loss in nats a token: `0.4213`."""
    return _fixed(value, 4)


def significant(value: float) -> str:
    """A number of no known kind, four digits of it: `0.0005`, `12.35`, `5e-05`."""
    return f"{value + 0.0:.4g}"


def shown_value(value: float, *, higher_is_better: bool) -> str:
    """What dev says of a training: a share of 1 as percent, a perplexity as it is."""
    return percent(value) if higher_is_better else significant(value)


def setting(value: float) -> str:
    """A value as it stands in tunewise.toml: `0.05`, `800`."""
    return f"{value + 0.0:g}"


def threshold(value: float) -> str:
    """Where a setting would decide otherwise: `0.183`, near 0 as many decimals as it takes."""
    return _fixed(value, 3) if abs(value) >= 5e-4 or abs(value) < _NOISE else _first_digit(value)


def axis_mark(value: float, *, signed: bool = False) -> str:
    """A round number beside an axis: `1,000`, `0.5`, signed `+10`, `−5`."""
    text = f"{value + 0.0:{'+' if signed and value else ''},g}"
    return text.replace("-", MINUS)


def _fixed(value: float, decimals: int) -> str:
    """So many decimals, thousands apart, with a real minus sign and without a signed 0."""
    text = f"{abs(value):,.{decimals}f}"
    return text if value >= 0 or not float(text.replace(",", "")) else f"{MINUS}{text}"


def _first_digit(size: float) -> str:
    """A number between 0 and 1 up to its first digit that is not 0: `0.004`."""
    decimals = max(1, math.ceil(-math.log10(abs(size))))
    return _fixed(size, decimals).rstrip("0")
