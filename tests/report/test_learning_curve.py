"""What terminal and page say of learning curves: what was measured, and what is expected of it."""

from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from html_pages import Page
from tunewise.report.changes import what_would_change
from tunewise.report.html import render_html
from tunewise.report.learning_curve import (
    curve_lines,
    curves_missing,
    curves_shown,
    gain_with,
    learner,
)
from tunewise.report.more_rows import prospects
from tunewise.report.terminal import render_verdict
from tunewise.runs.schema import Run

MakeRun = Callable[..., Run]


def point(n: int, value: float, reach: float) -> dict[str, Any]:
    return {"n": n, "value": value, "low": value - reach, "high": value + reach}


def expected(n: int, value: float, gain: float, reach: float) -> dict[str, Any]:
    ends = {"gain": gain, "gain_low": gain - reach, "gain_high": gain + reach}
    return {**point(n, value, reach), **ends}


CLASSIFIER = {
    "contender": "classifier",
    "scored": "folds",
    "judged": 250,
    "points": [point(50, 0.55, 0.04), point(100, 0.62, 0.03), point(200, 0.66, 0.02)],
    "doubled": {"value": 0.042, "low": 0.01, "high": 0.074, "method": "Bonett–Price"},
    "says": "rising",
    "forecast": [expected(300, 0.68, 0.02, 0.03), expected(400, 0.69, 0.03, 0.05)],
    "band": [
        expected(50, 0.55, -0.11, 0.05),
        expected(200, 0.66, 0.0, 0.02),
        expected(300, 0.68, 0.02, 0.03),
        expected(400, 0.69, 0.03, 0.05),
    ],
    "against": {
        "contender": "prompt",
        "points": [point(50, 0.0, 0.1), point(100, 0.07, 0.1), point(200, 0.11, 0.1)],
        "forecast": [point(300, 0.13, 0.11), point(400, 0.14, 0.12)],
    },
}
TUNED = {
    "contender": "fine_tune",
    "scored": "dev",
    "judged": 60,
    "points": [{"n": 100, "value": 0.85}, {"n": 200, "value": 0.86}],
    "doubled": {"value": 0.01, "low": -0.05, "high": 0.07, "method": "widened"},
    "says": "cannot say",
}


def measured(make_run: MakeRun, *curves: dict[str, Any], **more: Any) -> Run:
    found = {"curves": list(curves or (CLASSIFIER,)), "missing": more.pop("missing", {})}
    return make_run(changes={"learning_curve": found}, **more)


def test_a_line_says_what_the_last_doubling_brought_and_what_the_next_is_expected_to(
    make_run: MakeRun,
) -> None:
    assert curve_lines(measured(make_run, CLASSIFIER, TUNED)) == [
        "More rows for classifier: from half of its rows to all 200, +4.2 points (+1.0 to +7.4): "
        "rising. Twice as many are expected to bring +3.0 points (−2.0 to +8.0).",
        "More rows for fine_tune: from half of its rows to all 200, +1.0 points (−5.0 to +7.0): "
        "that is neither shown to be flat nor to rise.",
    ]
    assert curve_lines(make_run()) == []


def test_flat_and_too_few_rows_are_said_as_such(make_run: MakeRun) -> None:
    flat = {**CLASSIFIER, "says": "flat", "doubled": {"value": 0.0, "low": -0.01, "high": 0.02}}
    few = {
        **CLASSIFIER,
        "says": None,
        "doubled": {"value": 0.04, "method": "12 rows (at least 20 are needed)"},
        "forecast": [],
        "band": [],
        "against": None,
    }
    said = curve_lines(measured(make_run, flat, few))
    assert "flat, so less than 5 points." in said[0]
    assert "too few rows to tell (12 rows (at least 20 are needed))." in said[1]
    assert curves_shown(measured(make_run, few))[0].plot is None


def test_the_page_has_measured_and_expected_rows_and_the_flat_line(make_run: MakeRun) -> None:
    run = measured(make_run)
    (shown,) = curves_shown(run)
    assert [row.rows for row in shown.rows] == [
        "50",
        "100",
        "200",
        "300, expected at 1.5 times",
        "400, expected at 2 times",
    ]
    assert (shown.rows[-1].quality, shown.rows[-1].gain) == ("69.0%", "+3.0")
    assert (shown.rows[-1].against, shown.rows[-1].against_interval) == ("+14.0", "+2.0 to +26.0")
    assert shown.sentence.startswith(
        "classifier learned from 50 to 200 rows and was judged on 250 rows of train and dev, each "
        "by what was learned without it. From half of its rows to all 200, +4.2 points"
    )
    assert shown.sentence.endswith(
        "Against prompt, which takes nothing from more rows: +11.0 points (+1.0 to +21.0) now, "
        "+14.0 points (+2.0 to +26.0) with twice as many, on the rows of dev."
    )
    assert shown.plot is not None
    assert "prompt" in shown.plot.narrow
    page = Page(render_html(run))
    assert "What more rows to learn from would bring" in page.text
    assert "300, expected at 1.5 times" in page.text
    assert "What more rows to learn from would bring" not in Page(render_html(make_run())).text


def test_between_two_sizes_of_the_band_lies_what_both_say(make_run: MakeRun) -> None:
    one = learner(measured(make_run))
    assert one is not None
    assert gain_with(one, 0.5) == "+2.0 (−1.0 to +5.0)"
    assert gain_with(one, 0.75) == "+2.5 (−1.5 to +6.5)"
    assert gain_with(one, 1.0) == "+3.0 (−2.0 to +8.0)"
    assert gain_with(one, 1.01) == "not known beyond twice the rows"
    assert gain_with(one, 0.0) == "no rows to learn from"


def test_the_table_of_more_test_examples_says_what_the_rows_beside_them_teach(
    make_run: MakeRun,
) -> None:
    run = measured(make_run, ends="cannot_tell")
    run = replace(run, assurance=run.assurance[:2])
    assert run.splits is not None
    # 100 test examples beside the 60 there are come with as large a share of rows to learn from.
    assert run.splits.test == 60
    assert [line.learned for line in prospects(run)] == ["not known beyond twice the rows"] * 2
    (first, *_) = prospects(replace(run, splits=replace(run.splits, test=200)))
    assert first.learned == "+2.0 (−1.0 to +5.0)"
    reserved = replace(run.splits, test=60, unused={"data.limit_test": 150})
    (first, *_) = prospects(replace(run, splits=reserved))
    assert first.learned == "no rows to learn from"
    assert prospects(make_run(ends="cannot_tell"))[0].learned == ""


def test_the_terminal_shows_the_line_and_the_column(make_run: MakeRun) -> None:
    def said(run: Run) -> str:
        out = StringIO()
        render_verdict(run, Console(file=out, width=200))
        return out.getvalue()

    shown = said(measured(make_run, ends="cannot_tell"))
    assert "Twice as many are expected to bring +3.0 points" in shown
    assert "points classifier gains" in shown
    assert "classifier gains" not in said(make_run(ends="cannot_tell"))


def test_a_fine_tune_without_a_curve_says_what_one_takes(make_run: MakeRun) -> None:
    (line,) = curves_missing(measured(make_run))
    assert line.startswith("fine_tune: no curve, since one takes another training")
    assert curves_missing(measured(make_run, CLASSIFIER, TUNED)) == []
    asked = measured(make_run, missing={"fine_tune": "dev has 12 rows"})
    assert curves_missing(asked) == ["fine_tune: no curve, dev has 12 rows."]
    assert curves_missing(make_run()) == []


@pytest.mark.parametrize(("curves", "said"), [
    ((CLASSIFIER,), "by how much was not measured in this run."),
    ((TUNED,), "neither shown to be flat nor to rise."),
])  # fmt: skip
def test_what_would_change_the_verdict_says_what_is_known_of_the_fine_tune(
    make_run: MakeRun, curves: tuple[dict[str, Any], ...], said: str
) -> None:
    lines = what_would_change(measured(make_run, *curves, ends="do_not"))
    assert any("More or cleaner rows may lift it" in line and said in line for line in lines)
