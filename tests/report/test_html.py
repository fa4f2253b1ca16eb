import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from example_run import RATES, SHOPS
from html_pages import HOSTILE, Page, requests_made_by
from tunewise.report.html import render_html, write_html
from tunewise.runs.read import read_run
from tunewise.runs.schema import Run

MakeRun = Callable[..., Run]


def hostile(make_run: MakeRun) -> Run:
    """A run in which everything that others wrote is hostile."""
    return make_run(
        answers={"prompt": HOSTILE, "few_shot": HOSTILE},
        changes={
            "reason": f"Fine-tune. {HOSTILE}",
            "reproduce": HOSTILE,
            "notes": [HOSTILE],
            "question": HOSTILE,
        },
    )


def test_markup_in_an_answer_shows_as_text(make_run: MakeRun) -> None:
    page = Page(render_html(hostile(make_run)))
    assert not {"script", "img", "iframe", "object", "embed", "form", "base"} & {
        tag for tag, _ in page.elements
    }
    assert page.text.count("<script>document.title='owned'</script>") >= 5
    assert "{{ 7 * 7 }}" in page.text
    assert sum(tag == "style" for tag, _ in page.elements) == 1


def test_nothing_in_the_page_points_anywhere(make_run: MakeRun) -> None:
    page = Page(render_html(hostile(make_run)))
    for tag, attributes in page.elements:
        assert not {"src", "srcset", "action", "background", "poster", "data"} & set(attributes)
        assert not any(name.startswith("on") for name in attributes), tag
        if "href" in attributes:
            assert re.match(r"data:|#", attributes["href"] or "")
        assert "url(" not in (attributes.get("style") or "")
    assert "url(" not in page.styles
    assert "@import" not in page.styles
    assert "http" not in page.styles


def test_the_page_forbids_itself_scripts_and_requests(make_run: MakeRun) -> None:
    page = Page(render_html(make_run()))
    policy = next(
        attributes["content"] or ""
        for tag, attributes in page.elements
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    )
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert directives == {
        "default-src": "'none'",
        "style-src": "'unsafe-inline'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


@pytest.mark.parametrize("ends", SHOPS)
def test_every_contender_stands_in_the_table_for_every_verdict(
    make_run: MakeRun, ends: str
) -> None:
    run = make_run(ends=ends)
    html = render_html(run)
    table = html[html.index('<section id="contenders">') : html.index('<section id="changes">')]
    for contender in run.contenders:
        assert re.search(rf'<th scope="row"[^>]*>{re.escape(contender.name)}<', table)
    assert table.count("Did not run: no documents given") == 2
    assert "3 crashed" in table


def test_the_verdict_stands_on_top(make_run: MakeRun) -> None:
    html = render_html(make_run())
    assert "<h1>Fine-tune.</h1>" in html
    assert html.index("<h1>") < html.index("12.2 points") < html.index("When to fine-tune")


def test_each_section_of_the_report_is_there(make_run: MakeRun) -> None:
    html = render_html(make_run())
    assert re.findall(r'<section id="(\w+)">', html) == [
        "questions",
        "differences",
        "tokens",
        "latency",
        "contenders",
        "changes",
        "examples",
        "chosen",
        "measured",
        "reproduce",
    ]
    assert "tunewise decide examples/support_triage --seed 0" in html
    assert html.count("not measured in this run") >= 3


def test_ten_examples_show_every_contender_that_answered(make_run: MakeRun) -> None:
    html = render_html(make_run())
    examples = html[html.index('<section id="examples">') : html.index('<section id="chosen">')]
    cards = examples.split('<li class="card">')[1:]
    assert len(cards) == 10
    for card in cards:
        assert all(name in card for name in RATES)


def test_each_example_says_where_its_row_stands(make_run: MakeRun) -> None:
    run = make_run()
    places = {row.id: f"letters.csv:{n}" for n, row in enumerate(run.tests, 2)}
    (run.folder / "places.json").write_text(json.dumps(places))
    examples = render_html(read_run(run.folder)).split('<section id="examples">')[1]
    assert len(re.findall(r'<p class="place">letters\.csv:\d+</p>', examples)) == 10


def test_a_run_that_kept_no_places_names_the_id(make_run: MakeRun) -> None:
    assert re.search(r'<p class="place">id a\d+</p>', render_html(make_run()))


def test_a_long_answer_is_clipped_with_the_full_text_in_details(make_run: MakeRun) -> None:
    long = "word " * 400 + "the end"
    html = render_html(make_run(answers={"prompt": long}))
    assert "the full text</summary>" + long in html
    assert "word…<details>" in html


def test_a_page_of_700_test_rows_with_enormous_answers_stays_below_1_mb(
    make_run: MakeRun,
) -> None:
    # 3,000 characters, 12,000 bytes once escaped: twice what the page shows of one answer.
    run = make_run(n_test=700, answers=dict.fromkeys(RATES, '<&"é🙂' * 600))
    path = write_html(run)
    assert path.name == "report.html"
    assert path.stat().st_size < 1_000_000


def test_a_run_that_kept_no_answers_still_has_a_report(make_run: MakeRun) -> None:
    run = make_run()
    for name in ("answers", "scores", "test"):
        (run.folder / f"{name}.jsonl").unlink()
    assert "The run folder keeps no answers to show." in render_html(read_run(run.folder))


def test_backticks_in_a_sentence_become_code_and_stay_escaped(make_run: MakeRun) -> None:
    html = render_html(make_run(changes={"notes": ["set `a<b` and c", "one ` alone"]}))
    assert "set <code>a&lt;b</code> and c" in html
    assert "one ` alone" in html


@pytest.mark.slow
def test_a_browser_asks_no_server_for_anything(make_run: MakeRun, tmp_path: Path) -> None:
    page = write_html(hostile(make_run))
    assert requests_made_by(page, tmp_path / "profile") == []


@pytest.mark.slow
def test_the_browser_check_would_notice_a_request(tmp_path: Path) -> None:
    page = tmp_path / "leaky.html"
    page.write_text("<body><img src='http://tracker.test/a.png'>")
    assert requests_made_by(page, tmp_path / "profile") == ["http://tracker.test/a.png"]
