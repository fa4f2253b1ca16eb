from dataclasses import replace
from itertools import pairwise
from xml.etree.ElementTree import fromstring

import pytest

from tunewise.report.cost_plots import CostLine, SwingRow, tornado, total_cost
from tunewise.statistics.amounts import BreakEven

TUNED = CostLine(
    label="fine_tune", first=60.0, each=0.001, low=0.0009, high=0.0011, again=60.0, every=None,
    role="challenger",
)  # fmt: skip
RIVAL = CostLine(
    label="few_shot", first=0.0, each=0.002, low=0.0018, high=0.0022, again=0.0, every=None,
    role="incumbent",
)  # fmt: skip
EVEN = BreakEven(value=60_000.0, low=50_000.0, high=75_000.0)
WIDTHS = pytest.mark.parametrize("width", [900, 344])


def drawn(width=900, even=EVEN, until=130_000.0, lines=(TUNED, RIVAL)):
    return fromstring(
        total_cost(
            lines, even=even, said="50,000 to 75,000", until=until, currency="USD", width=width
        )
    )


def path(svg, role):
    line = next(one for one in svg.iter("polyline") if role in one.get("class"))
    return [tuple(map(float, pair.split(","))) for pair in line.get("points").split()]


def height_at(points, x):
    for (x1, y1), (x2, y2) in pairwise(points):
        if x1 <= x <= x2 and x2 > x1:
            return y1 + (y2 - y1) * (x - x1) / (x2 - x1)
    raise AssertionError(x)


@WIDTHS
def test_the_lines_cross_at_break_even(width):
    svg = drawn(width)
    tuned, rival = path(svg, "challenger"), path(svg, "incumbent")
    mark = next(one for one in svg.iter("line") if one.get("class") == "gain")
    x = float(mark.get("x1"))
    assert height_at(tuned, x) == pytest.approx(height_at(rival, x), abs=0.5)
    assert tuned[0][1] < rival[0][1], "the training is paid first: higher is dearer"


@WIDTHS
def test_everything_lies_within_the_plot(width):
    svg = drawn(width)
    for text in svg.iter("text"):
        assert 0 <= float(text.get("x")) <= width
    for line in (*svg.iter("polyline"), *svg.iter("polygon")):
        pairs = [pair.split(",") for pair in line.get("points").split()]
        assert all(0 <= float(x) <= width and 0 <= float(y) <= 400 for x, y in pairs)


def test_a_further_training_is_a_step():
    again = replace(TUNED, every=40_000.0)
    assert again.total(40_000, 0.0) == 60.0
    assert again.total(40_001, 0.0) == 120.0
    assert again.total(100_000, 0.001) == pytest.approx(60 + 2 * 60 + 100)
    points = path(drawn(lines=(again, RIVAL)), "challenger")
    assert len(points) == 8, "four stretches of two ends"


def test_an_open_break_even_runs_to_the_edge_and_a_never_says_so():
    open_ended = drawn(even=BreakEven(value=60_000.0, low=50_000.0, high=None))
    within = [one for one in open_ended.iter("line") if one.get("class") == "within"]
    assert max(float(one.get("x2")) for one in within) == pytest.approx(900 - 14)
    never = drawn(even=BreakEven(value=None, low=None, high=None))
    assert "never recovered" in [text.text for text in never.iter("text")]


ROWS = [
    SwingRow(label="requests a month", less=-200.0, more=2000.0, said="50,000 or 200,000"),
    SwingRow(label="labels", less=650.0, more=500.0, said="50 or 200 USD"),
]


@WIDTHS
def test_a_tornado_has_a_bar_for_each_premise_around_what_was_reckoned(width):
    svg = fromstring(tornado(ROWS, base=600.0, title="Saved in 12 months, USD", width=width))
    bars = list(svg.iter("rect"))
    base = float(next(one for one in svg.iter("line") if one.get("class") == "gain").get("x1"))
    assert len(bars) == 2
    for bar in bars:
        left, wide = float(bar.get("x")), float(bar.get("width"))
        assert left - 0.2 <= base <= left + wide + 0.2
    assert float(bars[0].get("width")) > 5 * float(bars[1].get("width"))


@WIDTHS
def test_labels_are_texts_and_never_markup(width):
    rows = [replace(ROWS[0], label="a <b> & c")]
    text = tornado(rows, base=0.0, title="t", width=width)
    assert "a &lt;b&gt; &amp; c" in text
