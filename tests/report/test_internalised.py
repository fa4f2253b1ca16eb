"""One sentence on a prompt that was put into weights: shown, not shown, or not computed."""

from collections.abc import Callable
from typing import Any

import pytest

from html_pages import Page
from tunewise.report.html import render_html
from tunewise.report.internalised import internalised_sentence
from tunewise.runs.schema import Run

MakeRun = Callable[..., Run]
FOUND: dict[str, Any] = {
    "teacher": "few_shot",
    "margin": 0.05,
    "delta": -0.01,
    "low": -0.031,
    "high": 0.011,
    "equivalent": True,
    "answers": 300,
    "same": {"count": 276, "low": 0.88, "high": 0.95, "method": "Clopper–Pearson"},
    "tokens_saved": 483.0,
    "teacher_tokens": 531.0,
}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {},
            "internalised is shown to be worth the same as its teacher few_shot, within 5 points "
            "(−1.0 points, 90% interval −3.1 to +1.1); 276 of 300 answers are the same "
            "(88.0–95.0%), and a request takes 483 of 531 tokens less.",
        ),
        (
            {"equivalent": False, "low": -0.071},
            "internalised is not shown to be worth the same as its teacher few_shot within 5 "
            "points (−1.0 points, 90% interval −7.1 to +1.1); 276 of 300 answers are the same "
            "(88.0–95.0%), and a request takes 483 of 531 tokens less.",
        ),
        (
            {
                "equivalent": False,
                "low": None,
                "high": None,
                "method": "12 rows (at least 20 are needed)",
                "same": {"count": 11},
                "answers": 12,
                "tokens_saved": -3.0,
            },
            "internalised is not shown to be worth the same as its teacher few_shot within 5 "
            "points (−1.0 points, 12 rows (at least 20 are needed)); 11 of 12 answers are the "
            "same, and a request takes 3 tokens more than 531.",
        ),
    ],
)
def test_the_sentence_says_what_was_shown(
    make_run: MakeRun, changes: dict[str, Any], said: str
) -> None:
    run = make_run(changes={"internalised": {**FOUND, **changes}})
    assert internalised_sentence(run) == said
    assert "The prompt, learned by heart" in Page(render_html(run)).text


def test_a_run_without_it_says_nothing(make_run: MakeRun) -> None:
    assert internalised_sentence(make_run()) == ""
    assert "learned by heart" not in render_html(make_run())
