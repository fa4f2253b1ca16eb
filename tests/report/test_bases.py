"""Several base models in terminal and page: the smallest that is good enough, or why none is."""

from collections.abc import Callable
from typing import Any

from html_pages import Page
from tunewise.report.bases import base_rows, base_sentence
from tunewise.report.html import render_html
from tunewise.report.summary import summary
from tunewise.runs.schema import Run

MakeRun = Callable[..., Run]
SMALL: dict[str, Any] = {
    "base": "small", "parameters": 134_515_008, "contender": "few_shot", "good_enough": True,
    "rival": "fine_tune", "delta": -0.01, "low": -0.034, "confidence": 0.96,
}  # fmt: skip
LARGE: dict[str, Any] = {
    "base": "large", "parameters": 1_711_376_384, "contender": "fine_tune", "good_enough": True,
    "rival": "few_shot", "delta": 0.01, "low": -0.014, "confidence": 0.96,
}  # fmt: skip
UNKNOWN: dict[str, Any] = {
    **SMALL, "good_enough": False, "low": -0.071,
    "why": "few_shot may be 7.1 points worse than fine_tune",
}  # fmt: skip
NOBODY: dict[str, Any] = {
    "base": "middle", "parameters": 360_000_000, "contender": None, "good_enough": False,
    "why": "none of its contenders was judged on test", "confidence": 0.98,
}  # fmt: skip


def test_the_smallest_is_named_with_how_sure_that_is(make_run: MakeRun) -> None:
    run = make_run(changes={"bases": [SMALL, LARGE], "smallest_base": "small"})
    assert base_sentence(run) == (
        "The smallest base that is good enough is small, with few_shot: it is at most 3.4 points "
        "worse than fine_tune, the nearest of the others, with 96% confidence, and 5 points are "
        "what matters to you."
    )
    assert base_sentence(run) in summary(run).sentences


def test_one_that_is_shown_to_be_better_than_all_others_is_called_so(make_run: MakeRun) -> None:
    run = make_run(changes={"bases": [{**SMALL, "delta": 0.06, "low": 0.02}, LARGE]})
    assert "it is better than fine_tune, the nearest of the others" in base_sentence(run)


def test_where_none_is_named_each_one_tells_what_is_missing(make_run: MakeRun) -> None:
    run = make_run(changes={"bases": [UNKNOWN, NOBODY]})
    assert base_sentence(run) == (
        "No base is shown to be good enough, within 5 points of every other contender: small "
        "(few_shot may be 7.1 points worse than fine_tune) and middle (none of its contenders was "
        "judged on test)."
    )


def test_with_one_base_nothing_is_said(make_run: MakeRun) -> None:
    run = make_run()
    assert (base_sentence(run), base_rows(run)) == ("", [])
    assert 'id="bases"' not in render_html(run)


def test_the_page_lists_every_base_and_marks_the_smallest(make_run: MakeRun) -> None:
    run = make_run(changes={"bases": [SMALL, NOBODY, LARGE], "smallest_base": "small"})
    small, middle, large = base_rows(run)
    assert (small.weights, large.weights, middle.weights) == ("135", "1,710", "360")
    assert (small.difference, small.bound) == (
        "−1.0 to fine_tune", "at least −3.4, 96% confidence",
    )  # fmt: skip
    assert [row.said for row in (small, middle)] == [
        "yes", "not shown: none of its contenders was judged on test",
    ]  # fmt: skip
    assert [row.smallest for row in (small, middle, large)] == [True, False, False]
    page = Page(render_html(run)).text
    assert "How large a model it takes" in page
    assert page.count("the smallest") >= 1
