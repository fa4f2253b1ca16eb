"""What terminal and page say of parts of the test rows, and of labels given twice."""

from collections.abc import Callable
from typing import Any

from html_pages import Page
from tunewise.report.html import render_html
from tunewise.report.segments import (
    label_noise_sentence,
    segment_lines,
    segment_rows,
    segments_plot,
    segments_sentence,
)
from tunewise.runs.schema import Run

MakeRun = Callable[..., Run]


def segment(value: str, a: float, b: float, p: float | None, n: int = 40) -> dict[str, Any]:
    known = {"low": a - b - 0.1, "high": a - b + 0.1, "p": p, "p_adjusted": p}
    few = {"method": f"{n} rows (at least 20 are needed)"}
    return {"by": "label", "value": value, "n": n, "units": n, "a": a, "b": b} | (
        few if p is None else known
    )


SEGMENTS = {
    "a": "fine_tune",
    "b": "few_shot",
    "items": [
        segment("refund", 0.5, 0.9, 0.001),
        segment("billing", 0.8, 0.85, 0.6),
        segment("delivery", 0.95, 0.7, 0.01),
        segment("praise", 0.4, 0.9, None, n=8),
    ],
}
NOISE = {"inputs": 40, "agreement": 0.9, "low": 0.76, "high": 0.97, "ceiling": 0.985}


def measured(make_run: MakeRun, **more: Any) -> Run:
    return make_run(changes={"segments": SEGMENTS, **more})


def test_the_terminal_names_what_is_shown_to_get_worse_and_nothing_else(
    make_run: MakeRun,
) -> None:
    assert segment_lines(measured(make_run)) == [
        "Where it hurts: fine_tune is worse on label: refund (−40.0 points on 40 rows)."
    ]
    assert segment_lines(make_run()) == []


def test_the_page_says_how_many_parts_get_worse_and_how_many_may_by_chance(
    make_run: MakeRun,
) -> None:
    run = measured(make_run)
    said = segments_sentence(run)
    assert "1 of the 3 with rows enough to tell" in said
    assert "below few_shot, but no more than chance could make: 1." in said
    rows = segment_rows(run)
    assert [(row.name, row.worse) for row in rows][:2] == [
        ("label: refund", True),
        ("label: billing", False),
    ]
    assert rows[3].interval == "too few rows to tell"
    page = Page(render_html(run))
    assert "Where it helps and where it hurts" in page.text
    assert "label: praise" in page.text


def test_the_plot_holds_the_parts_that_have_an_interval(make_run: MakeRun) -> None:
    plot = segments_plot(measured(make_run))
    assert plot is not None
    assert "label: refund" in plot.wide
    assert "label: praise" not in plot.wide
    assert segments_plot(make_run()) is None


def test_the_ceiling_is_said_with_what_would_lower_it(make_run: MakeRun) -> None:
    run = make_run(changes={"label_noise": NOISE})
    assert label_noise_sentence(run) == (
        "40 inputs stand in the data with more than one label; these agree in 90.0% (76.0–97.0): "
        "no model can be right in more than 98.5% of rows labelled like these. Where a repeated "
        "row is a copy and no second label, it is less."
    )
    assert segment_lines(run) == [label_noise_sentence(run)]
    few = make_run(changes={"label_noise": {"inputs": 3, "agreement": 1.0}})
    assert "too few to say" in label_noise_sentence(few)
    assert segment_lines(few) == []


def test_personal_data_in_the_name_of_a_part_is_masked(make_run: MakeRun) -> None:
    items = [segment("anna.berg@example-shop.de", 0.5, 0.9, 0.001)]
    run = make_run(changes={"segments": {**SEGMENTS, "items": items}})
    assert "anna.berg" not in render_html(run)
    assert "anna.berg" not in " ".join(segment_lines(run))
