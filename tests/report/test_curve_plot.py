"""The plot of a learning curve: points where they were measured, a band up to twice the rows."""

from xml.etree.ElementTree import Element, fromstring

import pytest

from tunewise.report.curve_plot import FlatLine, learning_curve
from tunewise.report.plots import Point

WIDTHS = pytest.mark.parametrize("width", [900, 344])


def point(rows: float, value: float, reach: float) -> Point:
    return Point(label="classifier", x=rows, value=value, low=value - reach, high=value + reach)


POINTS = [point(25, 40, 8), point(50, 52, 6), point(100, 60, 4), point(200, 66, 3)]
BAND = [point(n, v, r) for n, v, r in ((25, 41, 5), (100, 60, 3), (200, 66, 2), (400, 70, 6))]


def drawn(width: int, flat: FlatLine | None = None) -> Element:
    made = learning_curve(POINTS, BAND, flat=flat, unit="accuracy, %", width=width)
    return fromstring(made)


def texts(svg: Element) -> list[str]:
    return [one.text or "" for one in svg.iter("text")]


@WIDTHS
def test_every_point_has_its_mark_and_all_rows_their_line(width: int) -> None:
    svg = drawn(width)
    assert len([one for one in svg.iter("circle") if "mark" in (one.get("class") or "")]) == 4
    (line,) = (one for one in svg.iter("line") if one.get("class") == "gain")
    marks = sorted(float(one.get("cx") or 0) for one in svg.iter("circle"))
    assert float(line.get("x1") or 0) == pytest.approx(marks[-1])
    assert "all 200 rows" in texts(svg)


@WIDTHS
def test_the_band_ends_at_twice_the_rows_and_holds_the_curve(width: int) -> None:
    svg = drawn(width)
    (area,) = svg.iter("polygon")
    (path,) = svg.iter("polyline")
    corners, curve = (
        [tuple(map(float, pair.split(","))) for pair in (one.get("points") or "").split()]
        for one in (area, path)
    )
    half = len(corners) // 2
    for (x, y), (_, top), (_, bottom) in zip(
        curve, corners[:half], reversed(corners[half:]), strict=True
    ):
        assert top <= y <= bottom
        assert 0 <= x <= width
    assert curve[-1][0] == pytest.approx(width - 14)


@WIDTHS
@pytest.mark.parametrize("value", [20.0, 66.0, 90.0])
def test_a_flat_line_has_its_name_within_the_plot(width: int, value: float) -> None:
    svg = drawn(width, FlatLine(label="prompt", value=value, role="incumbent"))
    (line,) = (one for one in svg.iter("line") if one.get("class") == "range incumbent")
    assert line.get("y1") == line.get("y2")
    (name,) = (one for one in svg.iter("text") if one.text == "prompt")
    assert 0 < float(name.get("y") or 0) < 380
    assert abs(float(name.get("y") or 0) - float(line.get("y1") or 0)) < 20


def test_what_is_drawn_is_said_in_words() -> None:
    said = drawn(900).get("aria-label") or ""
    assert "25 rows: 40.0% (32.0–48.0)" in said
    assert "400 rows: 70.0% (64.0–76.0)" in said
