"""What is said of a judge: believed, refused, or still without ratings."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from example_run import write_run
from html_pages import Page
from tunewise.errors import UserError
from tunewise.report.html import render_html
from tunewise.report.judged import judged_lines, judged_sentence
from tunewise.report.terminal import render_verdict
from tunewise.runs.read import read_run
from tunewise.runs.schema import Run

MakeRun = Callable[..., Run]
AGREEMENT: dict[str, Any] = {
    "same": {"count": 78, "low": 0.686, "high": 0.857, "method": "Clopper–Pearson"},
    "of": 100,
    "by_chance": 0.38,
    "beyond": 0.4,
    "beyond_low": 0.31,
    "beyond_high": 0.49,
    "right": {"count": 60, "low": 0.79, "high": 0.94},
    "decided": 68,
}
BELIEVED: dict[str, Any] = {
    "judge": "wise",
    "id": "0123456789abcdef",
    "criteria": ["tone", "helpfulness"],
    "a": "fine_tune",
    "b": "few_shot",
    "rows": 300,
    "settled": 60,
    "judged": 240,
    "unreadable": 0,
    "rated": 100,
    "wanted": 100,
    "skipped": 4,
    "flips": {"count": 48, "low": 0.151, "high": 0.256},
    "first": 44,
    "position_bias": {"value": 0.167, "low": 0.11, "high": 0.22},
    "agreement": AGREEMENT,
    "lambda": 0.62,
    "corrected": {"value": 0.12, "low": 0.03, "high": 0.21, "method": "PPI++, Student's t"},
    "person": {"value": 0.1, "low": -0.02, "high": 0.22, "method": "Student's t"},
    "worth": 174.0,
}
WHY = (
    "it says what you say of 41 of 100 pairs (31.3–51.3%), and by chance alone it would of 38.0%: "
    "it is not shown to know better than chance."
)
REFUSED = BELIEVED | {"refused": WHY, "lambda": None, "corrected": None, "worth": None}


def judged(folder: Path, result: dict[str, Any]) -> Run:
    write_run(folder)
    (folder / "judge.json").write_text(json.dumps(result))
    return read_run(folder)


def test_a_believed_judge_says_who_is_preferred_and_by_how_much(tmp_path: Path) -> None:
    run = judged(tmp_path, BELIEVED)
    assert judged_sentence(run) == (
        "fine_tune is preferred to few_shot on 12 points more of the rows (+3.0 to +21.0) "
        "(by the judge wise, corrected by 100 ratings of yours)."
    )
    assert judged_lines(run)[1:] == [
        "By your ratings alone: fine_tune is preferred to few_shot on 10 points more of the "
        "rows (−2.0 to +22.0).",
        "The judge counts 62.0% (λ of PPI++): with it, 100 ratings tell as much as about 174 "
        "alone.",
        "The judge says what you say of 78 of 100 pairs (68.6–85.7%); by chance it would of "
        "38.0%, which leaves +40.0 points (+31.0 to +49.0). Where both prefer an answer, it is "
        "the same one in 60 of 68 (79.0–94.0%).",
        "Asked in both orders, it names the same place twice in 48 of 240 pairs (15.1–25.6%), the "
        "first place in 44 of them; these count as ties. Its lean to the first place: +16.7 "
        "points (+11.0 to +22.0).",
        "Judged by tone and helpfulness. Of 300 test rows, 60 need nobody, since both answers are "
        "the same or one crashed; 240 pairs judged, 100 rated by you, 4 skipped.",
    ]


def test_where_the_other_is_preferred_it_is_named_first(tmp_path: Path) -> None:
    size = {"value": -0.12, "low": -0.21, "high": -0.03}
    assert judged_sentence(judged(tmp_path, BELIEVED | {"corrected": size})).startswith(
        "few_shot is preferred to fine_tune on 12 points more of the rows (+3.0 to +21.0)"
    )


def test_a_refused_judge_is_refused_in_the_first_line(tmp_path: Path) -> None:
    run = judged(tmp_path, REFUSED)
    assert judged_sentence(run) == f"The judge wise is refused: {WHY}"
    assert judged_lines(run)[1].startswith("By your ratings alone: fine_tune is preferred")


def test_several_judges_that_were_tried_are_told_of(tmp_path: Path) -> None:
    assert any(
        line.startswith("3 judges were tried on these pairs")
        for line in judged_lines(judged(tmp_path, BELIEVED | {"tried": 3}))
    )


def test_without_ratings_no_preference_is_claimed(tmp_path: Path) -> None:
    why = "0 of the 100 pairs that are wanted are rated. Go on with `tunewise rate RUN`."
    run = judged(tmp_path, REFUSED | {"refused": why, "agreement": None, "person": None})
    assert "preferred" not in " ".join(judged_lines(run))


@pytest.mark.parametrize("result", [BELIEVED, REFUSED], ids=["believed", "refused"])
def test_terminal_and_page_say_it(tmp_path: Path, result: dict[str, Any]) -> None:
    run = judged(tmp_path, result)
    console = Console(record=True, width=160)
    render_verdict(run, console)
    shown = " ".join(console.export_text().split())
    assert " ".join(judged_sentence(run).split()) in shown
    page = Page(render_html(run)).text
    assert "Which answers are preferred" in page
    assert "names the same place twice in 48 of 240 pairs" in page


def test_a_run_that_nobody_judged_says_nothing(make_run: MakeRun) -> None:
    run = make_run()
    assert (judged_sentence(run), judged_lines(run)) == ("", [])
    assert "Which answers are preferred" not in render_html(run)


def test_a_damaged_judge_json_is_named_with_its_key(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        judged(tmp_path, BELIEVED | {"flips": 3})
    assert "judge.json: `flips` must be an object" in str(caught.value)
    assert "`tunewise rate RUN --judge` writes judge.json anew" in str(caught.value)
