import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewise import wording
from tunewise.statistics.intervals import Interval
from tunewise.types import Stopped
from tunewise.wording import Wording

SHARES = st.floats(0.0, 1.0)
DIFFERENCES = st.floats(-1.0, 1.0)
REAL = DIFFERENCES.filter(lambda value: abs(value) >= 1e-8)
"""Differences that are more than what arithmetic leaves of 0; of a million rows, 1e-6 is one."""
BELOW_ZERO = re.compile(r"[-\N{MINUS SIGN}]0(\.0*)?(?![.\d])")
"""`-0` and `-0.0`, with either sign."""


def number(text: str) -> float:
    """What a number as people read it says."""
    return float(text.replace(",", "").replace(wording.MINUS, "-").rstrip("%"))


@given(SHARES)
def test_a_percentage_read_back_is_the_share_within_its_rounding(share: float):
    assert number(wording.percent(share)) == pytest.approx(100 * share, abs=0.05 + 1e-9)
    assert number(wording.whole_percent(share)) == pytest.approx(100 * share, abs=0.5 + 1e-9)


@given(DIFFERENCES)
def test_points_read_back_are_the_difference_within_their_rounding(difference: float):
    read = number(wording.points(difference))
    assert read == pytest.approx(100 * difference, abs=0.05 + 1e-9)
    assert number(wording.amount(difference)) == abs(read)


@given(REAL)
def test_a_difference_that_is_not_0_never_reads_as_0(difference: float):
    text = wording.points(difference)
    assert number(text) != 0
    assert text.startswith("+" if difference > 0 else wording.MINUS)
    for said in (wording.amount(difference), wording.in_points(difference)):
        assert number(said.split()[0]) > 0
    assert number(wording.threshold(difference)) != 0


def test_a_difference_near_0_has_the_decimals_that_its_first_digit_takes():
    shown = [wording.points(x) for x in (0.17, 0.002, 0.0004, -0.00003, 1e-17, -1e-17, -0.0)]
    minus = wording.MINUS
    assert shown == ["+17.0", "+0.2", "+0.04", f"{minus}0.003", "0.0", "0.0", "0.0"]


@given(st.one_of(DIFFERENCES, st.floats(-1e9, 1e9), st.sampled_from([0.0, -0.0, -1e-17, -0.04])))
def test_no_number_reads_minus_0(value: float):
    said = (
        wording.percent(value),
        wording.percent_span(value, value),
        wording.whole_percent(value),
        wording.points(value),
        wording.points_span(value, value),
        wording.amount(value),
        wording.in_points(value),
        wording.count(value),
        wording.mean_tokens(value),
        wording.money(value, "USD"),
        wording.threshold(value),
        wording.significant(value),
        wording.setting(value),
        wording.axis_mark(value),
        wording.axis_mark(value, signed=True),
    )
    assert [text for text in said if BELOW_ZERO.search(text.replace("e-0", "e"))] == []


@given(st.floats(0.0, 1e9))
def test_counts_times_and_prices_read_back_within_their_rounding(value: float):
    assert number(wording.count(value)) == pytest.approx(value, abs=0.5)
    assert number(wording.mean_tokens(value)) == pytest.approx(value, abs=0.5)
    price, currency = wording.money(value, "EUR").split()
    assert (number(price), currency) == (pytest.approx(value, abs=5e-4 + 1e-9), "EUR")
    assert number(price) > 0 or value < 1e-300


@given(st.floats(0.0, 1e7))
def test_a_stretch_of_time_read_back_is_right_within_its_smallest_unit(seconds: float):
    text = wording.duration(seconds)
    if text.startswith("<"):
        assert seconds < 0.1
        return
    units = {"s": 1, "min": 60, "h": 3600}
    parts = text.split()
    read = sum(
        number(size) * units[unit] for size, unit in zip(parts[::2], parts[1::2], strict=True)
    )
    smallest = units[parts[-1]] if "." not in text else 0.1
    assert read == pytest.approx(seconds, abs=smallest / 2 + 1e-6)
    assert all(number(size) < 60 for size, unit in zip(parts[::2], parts[1::2], strict=True)
               if unit != "h")  # fmt: skip


@given(st.integers(0, 10**9))
def test_one_thing_is_singular_and_every_other_number_plural(n: int):
    assert wording.plural(n, "row") == f"{n:,} {'row' if n == 1 else 'rows'}"
    assert wording.plural(n, "input has", "inputs have").endswith("has" if n == 1 else "have")


@given(st.integers(0, 10**7))
def test_examples_to_label_are_rounded_up_by_less_than_a_tenth(n: int):
    assert n <= wording.about(n) <= max(1.1 * n, n)
    assert len(str(wording.about(n)).rstrip("0")) <= 2


def test_lists_read_as_a_person_writes_them():
    assert [wording.joined(list(names)) for names in ("a", "ab", "abc")] == [
        "a",
        "a and b",
        "a, b and c",
    ]
    assert wording.listed(["a:1", "a:2", "a:3", "a:4"]) == "a:1, a:2, a:3 and 1 more"


def test_a_share_that_is_no_whole_number_of_points_keeps_its_decimal():
    said = [wording.in_points(gain) for gain in (0.05, 0.01, 0.125, 0.0004)]
    assert said == ["5 points", "1 point", "12.5 points", "0.04 points"]


@given(REAL)
def test_a_sentence_tells_the_same_difference_as_a_table(difference: float):
    estimate = Interval(value=difference, low=-1.0, high=1.0, method="exact", p=1.0)
    said = Wording(binary=True, n=100).advantage(estimate, "few_shot")
    more = "more" if difference > 0 else "less"
    assert re.match(rf"[\d.]+ points? {more} than few_shot \(", said)
    assert said.split()[0] == wording.points(difference)[1:]


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (390.2, 431.0, "390–431 ms"),
        (9_400, 10_400, "9,400 ms–10.4 s"),
        (11_900, 12_900, "11.9–12.9 s"),
        (0.02, 0.4, "< 0.1–0.4 ms"),
    ],
)
def test_an_interval_of_latencies_has_its_unit_once(low: float, high: float, text: str):
    assert wording.milliseconds_span(low, high) == text


def test_why_a_contender_was_asked_no_more() -> None:
    stopped = Stopped(
        rows=24, of=55, quality=0.0, behind="classifier", best=0.708, margin=0.05, bound="e-value"
    )
    assert wording.out_of_the_race(stopped) == (
        "out after 24 of 55 dev rows: 0.0% on them against 70.8% of classifier, so surely more "
        "than 5 points behind"
    )


@given(st.floats(-1e9, 1e9))
def test_a_sum_of_money_reads_back_within_its_rounding(value: float):
    shown, currency = wording.cash(value, "EUR").split()
    assert currency == "EUR"
    size = abs(value)
    tolerance = 0.5 if size >= 100 else 0.005 if size >= 1 else 5e-4
    assert number(shown.replace(wording.MINUS, "-")) == pytest.approx(value, abs=tolerance + 1e-9)


@pytest.mark.parametrize(
    ("value", "said"),
    [(67_012.0, "67,000"), (1_044_000.0, "1,040,000"), (5.24, "5.2"), (0.0136, "0.0136"), (0, "0"),
     (99.6, "100"), (-1234.0, f"{wording.MINUS}1,230")],
)  # fmt: skip
def test_what_is_known_to_two_digits_is_told_with_two(value: float, said: str):
    assert wording.rough(value) == said


@pytest.mark.parametrize(
    ("value", "said"), [(1202.4, "1,202"), (12.5, "12.50"), (0.2431, "0.243"), (0.9999, "1.00")]
)
def test_sums_of_money_have_as_many_decimals_as_one_pays(value: float, said: str):
    assert wording.cash(value) == said
