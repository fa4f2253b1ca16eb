"""What terminal and page say of dependability: the counts as they were measured."""

from collections.abc import Callable
from io import StringIO
from typing import Any

from rich.console import Console

from html_pages import Page
from tunewise.report.dependability import dependable_lines, dependable_plot, dependable_rows
from tunewise.report.html import render_html
from tunewise.report.terminal import render_verdict
from tunewise.runs.schema import Run

MakeRun = Callable[..., Run]


def steadiness(kept: int, broken: int, inputs: int, each: int = 1) -> dict[str, Any]:
    return {
        "inputs": inputs,
        "answers": inputs * each,
        "kept": {"count": kept, "low": 0.8, "high": 0.97, "method": "Clopper–Pearson"},
        "broken": {"count": broken, "low": 0.0, "high": 0.06, "method": "Clopper–Pearson"},
        "quality": 0.9,
    }


MEASURED = [
    {
        "contender": name,
        "form": "is a JSON object or list",
        "plain": steadiness(60, 0, 60),
        "slips": steadiness(kept, 1, 60),
        "case": steadiness(58, 0, 60),
        "sampled": sampled,
        "temperature": 0.7,
        "draws": 3,
    }
    for name, kept, sampled in (
        ("fine_tune", 57, steadiness(171, 2, 60, each=3)),
        ("few_shot", 49, None),
    )
]


def measured(make_run: MakeRun) -> Run:
    return make_run(changes={"dependability": MEASURED})


def test_a_line_a_contender_tells_what_stays_and_what_breaks(make_run: MakeRun) -> None:
    assert dependable_lines(measured(make_run)) == [
        "fine_tune, asked again: the same answer to 57 of 60 typed with slips, 58 of 60 other case "
        "and spacing and 171 of 180 sampled 3 times at 0.7; 3 of these 300 answers break the form.",
        "few_shot, asked again: the same answer to 49 of 60 typed with slips and 58 of 60 other "
        "case and spacing; 1 of these 120 answers break the form.",
    ]


def test_the_terminal_says_it_and_a_run_without_it_says_nothing(make_run: MakeRun) -> None:
    def said(run: Run) -> str:
        out = StringIO()
        render_verdict(run, Console(file=out, width=200))
        return out.getvalue()

    assert "171 of 180 sampled 3 times at 0.7" in said(measured(make_run))
    assert "asked again" not in said(make_run())


def test_the_page_has_a_row_for_every_contender_and_way(make_run: MakeRun) -> None:
    run = measured(make_run)
    rows = dependable_rows(run)
    assert [(row.contender, row.way) for row in rows] == [
        ("fine_tune", "as they stand"),
        ("fine_tune", "typed with slips"),
        ("fine_tune", "other case and spacing"),
        ("fine_tune", "sampled 3 times at 0.7"),
        ("few_shot", "as they stand"),
        ("few_shot", "typed with slips"),
        ("few_shot", "other case and spacing"),
    ]
    assert (rows[1].kept, rows[1].kept_interval, rows[1].broken) == (
        "57 of 60",
        "80.0–97.0",
        "1 of 60",
    )
    assert rows[0].kept == ""
    page = Page(render_html(run))
    assert "How dependable the answers are" in page.text
    assert "none that is a JSON object or list" in page.text
    assert "171 of 180" in page.text


def test_the_plot_stands_in_both_widths_and_only_where_something_was_measured(
    make_run: MakeRun,
) -> None:
    plot = dependable_plot(measured(make_run))
    assert plot is not None
    assert "How often the answer stays" in plot.wide
    assert "few_shot, typed with slips" in plot.narrow
    assert dependable_plot(make_run()) is None


def test_an_interval_that_could_not_be_computed_is_said(make_run: MakeRun) -> None:
    few = steadiness(5, 0, 6)
    few["kept"] = {"count": 5, "method": "6 rows (at least 20 are needed)"}
    run = make_run(changes={"dependability": [{**MEASURED[1], "slips": few}]})
    assert dependable_rows(run)[1].kept_interval == "no interval"
