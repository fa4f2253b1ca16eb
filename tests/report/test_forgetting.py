"""What a training cost in general ability is told in words, in a table and on a plot."""

from collections.abc import Callable
from dataclasses import asdict
from io import StringIO
from xml.etree.ElementTree import fromstring

import pytest
from rich.console import Console

from retentions import retention
from tunewise.report.flips import flips_plot, forgotten
from tunewise.report.forgetting import but_forgets, retention_measured, what_was_kept
from tunewise.report.html import render_html
from tunewise.report.summary import summary
from tunewise.report.terminal import render_verdict
from tunewise.runs.retention import RetentionResult
from tunewise.runs.schema import Run

MakeRun = Callable[..., Run]
LOST = retention("not shown", -0.08, 0.06)


def with_(make_run: MakeRun, found: RetentionResult) -> Run:
    return make_run(changes={"retention": {"fine_tune": asdict(found)}})


def test_a_record_comes_back_from_the_file_as_it_was(make_run: MakeRun) -> None:
    assert with_(make_run, LOST).retention == {"fine_tune": LOST}


def test_what_was_kept_is_said_with_the_answers_that_turned(make_run: MakeRun) -> None:
    assert what_was_kept(with_(make_run, retention())) == (
        "General ability was kept: no general ability lost (−2.0 to +2.0; 3 points may be). Of 384 "
        "general answers that the base gets right, fine_tune loses 5; it gains 5 others."
    )


def test_a_large_loss_bids_beware_in_the_first_sentence_too(make_run: MakeRun) -> None:
    run = with_(make_run, LOST)
    assert what_was_kept(run).startswith("Beware. That general ability was kept is not shown: 8 ")
    assert summary(run).finding.startswith(
        "Fine-tune: use the fine-tuned model (fine_tune); it is worth its training, but it "
        "forgets: 8 points of general ability lost."
    )
    assert but_forgets(with_(make_run, retention("not shown", -0.02, 0.03))) == (
        "; that it kept its general ability is not shown"
    )


def test_a_run_that_measured_nothing_says_so_and_shows_nothing(make_run: MakeRun) -> None:
    run = make_run()
    assert (what_was_kept(run), but_forgets(run), retention_measured(run)) == ("", "", "")
    assert "was not measured" in summary(run).next
    assert 'id="forgotten"' not in render_html(run)


def test_terminal_and_page_show_it(make_run: MakeRun) -> None:
    run = with_(make_run, LOST)
    console = Console(file=StringIO(), width=200)
    render_verdict(run, console)
    assert isinstance(console.file, StringIO)
    assert "8 points of general ability lost" in console.file.getvalue()
    page = render_html(run)
    assert 'id="forgotten"' in page
    assert "Most was lost in geography (56 of 200 lost)." in page
    assert "little to forget: guessing gets 0.0%" in page
    assert "was not measured: try it" not in page


def test_the_table_has_a_line_for_each_ability_and_the_facts_their_intervals(
    make_run: MakeRun,
) -> None:
    (one,) = forgotten(with_(make_run, LOST))
    assert [row.ability for row in one.rows] == ["knowledge", "instructions"]
    facts = dict(one.facts)
    assert facts["change"] == "−8.0 points (−14.0 to −2.0)"
    assert facts["drift on texts of the base"] == "0.12 nats a token (0.1 to 0.14), 60 texts"
    assert facts["answers like the base's, letter by letter"] == "70.0% (68.0–72.0)"


@pytest.mark.parametrize("width", [900, 344])
def test_lost_answers_stand_left_of_zero_and_won_ones_right(width: int) -> None:
    svg = fromstring(flips_plot(LOST.abilities, width=width))
    zero = float(next(e for e in svg.iter("line") if e.get("class") == "zero").attrib["x1"])
    bars = {e.attrib["class"]: e for e in svg.iter("rect")}
    lost, won = bars["mark incumbent"], bars["mark challenger"]
    assert float(lost.attrib["x"]) + float(lost.attrib["width"]) == pytest.approx(zero, abs=0.2)
    assert float(won.attrib["x"]) == pytest.approx(zero, abs=0.2)
    assert float(lost.attrib["width"]) > 5 * float(won.attrib["width"])
    assert float(lost.attrib["x"]) >= 0


def test_where_nothing_turned_the_plot_has_no_bars() -> None:
    kept = [one for one in LOST.abilities if not one.lost]
    assert "<rect" not in flips_plot(kept, width=900)
