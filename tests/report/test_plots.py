import random
from itertools import combinations
from xml.etree.ElementTree import fromstring

import pytest

from tunewise.report.plots import (
    Box,
    IntervalRow,
    LatencyRow,
    Point,
    forest,
    interval_bar,
    latency,
    place_labels,
    scatter,
    ticks,
)

ROWS = [
    IntervalRow(
        label="fine_tune", value=17, low=9, high=25, text="+17.0 (+9 to +25)", role="challenger"
    ),
    IntervalRow(label="a <b> & c", value=-8, low=-12, high=-4, text="−8.0", role="other"),
]


def test_ticks_are_round_and_enclose_the_data() -> None:
    assert ticks(-12, 25, at_most=8) == [-20, -10, 0, 10, 20, 30]
    assert ticks(0, 0.3, at_most=4) == [0, 0.1, 0.2, 0.3]


def test_equal_ends_still_give_an_axis() -> None:
    marks = ticks(5, 5, at_most=5)
    assert marks[0] <= 5 <= marks[-1]


@pytest.mark.parametrize("width", [900, 344])
def test_a_forest_plot_puts_the_mark_inside_its_interval_and_right_of_zero(width: int) -> None:
    svg = fromstring(forest(ROWS, reference="few_shot", minimum_gain=5, unit="points", width=width))
    zero = float(next(e for e in svg.iter("line") if e.get("class") == "zero").attrib["x1"])
    line = next(e for e in svg.iter("line") if e.get("class") == "range challenger")
    diamond = next(svg.iter("polygon")).attrib["points"].split()
    middle = float(diamond[0].split(",")[0])
    assert zero < float(line.attrib["x1"]) < middle < float(line.attrib["x2"]) <= width


def test_names_are_text_and_never_markup() -> None:
    drawn = forest(ROWS, reference="<script>", minimum_gain=5, unit="points", width=900)
    assert "<script>" not in drawn
    assert "a &lt;b&gt; &amp; c" in drawn


def test_every_plot_says_in_words_what_it_shows() -> None:
    rows = [LatencyRow(label="prompt", p50=288, low=270, high=310, text="288 ms")]
    points = [Point(label="prompt", x=148, value=55, low=46, high=64)]
    for drawn in (
        forest(ROWS, reference="few_shot", minimum_gain=5, unit="points", width=900),
        latency(rows, width=900),
        scatter(points, x_unit="prompt tokens", y_unit="accuracy, %", width=900),
        interval_bar(ROWS[0]),
    ):
        svg = fromstring(drawn)
        assert svg.get("viewBox")
        assert svg.findtext("title")
        assert svg.findtext("desc")


def test_a_contender_that_takes_no_time_and_no_tokens_can_be_drawn() -> None:
    rows = [LatencyRow(label="constant", p50=0.0, text="< 0.1 ms")]
    points = [Point(label="constant", x=0, value=20, low=20, high=20)]
    assert "constant" in latency(rows, width=344)
    assert "constant" in scatter(points, x_unit="tokens", y_unit="accuracy", width=344)


@pytest.mark.parametrize("seed", range(25))
def test_labels_of_ten_crowded_points_never_overlap(seed: int) -> None:
    rng = random.Random(seed)
    centres = [(rng.uniform(50, 200), rng.uniform(60, 160)) for _ in range(10)]
    frame = Box(46, 20, 342, 292)
    boxes = place_labels([f"contender_{i}" for i in range(10)], centres, frame)
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
    assert all(b.left >= frame.left and b.right <= frame.right for b in boxes)
