import re
from pathlib import Path
from xml.etree.ElementTree import fromstring

import numpy as np
import pytest

from checked_data import checked, shown
from html_pages import HOSTILE, Page, requests_made_by
from places import ROOT
from tunewise.data.checks.findings import Findings, Found
from tunewise.data.checks.leaks import LEAK_RULES
from tunewise.data.checks.result import ShownGroup, ShownLabelError, ShownLeak
from tunewise.errors import UserError
from tunewise.report.advice import RULES, advice_for
from tunewise.report.bars import BarRow, bars, histogram
from tunewise.report.check_page import render_check_page, write_check_page

SOURCES = ROOT / "src" / "tunewise"


def test_markup_in_a_row_or_label_shows_as_text() -> None:
    page = Page(render_check_page(checked(HOSTILE)))
    assert not {"script", "img", "iframe", "object", "embed", "form", "base"} & {
        tag for tag, _ in page.elements
    }
    assert page.text.count("<script>document.title='owned'</script>") >= 10
    assert "{{ 7 * 7 }}" in page.text
    assert sum(tag == "style" for tag, _ in page.elements) == 1


def test_nothing_in_the_page_points_out_of_it() -> None:
    page = Page(render_check_page(checked(HOSTILE)))
    names = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    for _, attributes in page.elements:
        assert not {"src", "srcset", "action", "background", "poster"} & set(attributes)
        assert not any(name.startswith("on") for name in attributes)
        link = attributes.get("href") or "#first"
        assert link.startswith("data:") or link[1:] in names
    assert "default-src 'none'" in render_check_page(checked())


def test_the_verdict_stands_on_top_then_what_to_do_first() -> None:
    html = render_check_page(checked())
    assert "<h1>411 of 412 rows can be used; 1 error, 26 warnings.</h1>" in html
    titles = [RULES[rule].title for rule in ("empty_target", "label_mistake", "duplicate")]
    places = [html.index(title) for title in titles]
    assert places == sorted(places)
    assert html.index("<h1>") < html.index("What to do first") < places[0]
    assert '<div class="verdict errors">' in html


def test_each_section_is_there_and_none_for_what_was_not_found() -> None:
    every = re.findall(r'<section id="([\w-]+)">', render_check_page(checked()))
    assert every == [
        "first", "outlook", "lengths", "labels", "mistakes", "contradictions", "leaks",
        "near-duplicates", "personal-data", "all", "how",
    ]  # fmt: skip
    clean = checked(
        report=Findings(), labels=(), label_errors=(), contradictions=(), ceiling=None, leaks=(),
        clusters=(), secrets=(),
    )  # fmt: skip
    html = render_check_page(clean)
    assert re.findall(r'<section id="([\w-]+)">', html) == [
        "first", "outlook", "lengths", "all", "how",
    ]  # fmt: skip
    assert "Nothing: no rule found anything." in html


def test_places_are_shown_without_the_folder_they_share() -> None:
    text = Page(render_check_page(checked())).text
    assert "train.jsonl:8" in text
    assert "/data/shop/train.jsonl" not in text


def test_twenty_places_of_a_rule_are_listed_then_counted() -> None:
    html = render_check_page(checked())
    block = html[html.index('id="rule-duplicate"') :]
    block = block[: block.index("</details>")]
    assert block.count("<li>") == 21
    assert "5 more of the same." in block


def test_a_sample_is_said() -> None:
    found = checked(rows={"train": 1_000_000}, label_error_rows=50_000)
    text = Page(render_check_page(found)).text
    assert "counted on a seeded sample of 412 rows" in text
    assert "a seeded sample of 50,000 rows: five-fold" in text


def test_a_page_full_of_enormous_texts_stays_below_1_mb(tmp_path: Path) -> None:
    text = '<&"é🙂' * 800
    row = shown(1, text, text)
    found = Found()
    for rule in RULES:
        for n in range(30):
            found.add("warning", rule, f"/data/shop/train.jsonl:{n}", text[:300])
    group = ShownGroup(size=4, rows=(row,) * 4)
    full = checked(
        report=found.report(),
        clusters=(group,) * 20,
        contradictions=(group,) * 20,
        label_errors=(ShownLabelError(row=row, likely="a", probability=0.9),) * 20,
        leaks=(ShownLeak(kind="near", test=row, other=row, share=1.0),) * 20,
    )
    path = write_check_page(full, tmp_path / "runs" / "check.html")
    assert path.stat().st_size < 1_000_000


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="the page cannot be written"):
        write_check_page(checked(), tmp_path / "file" / "check.html")


def test_every_rule_that_finds_something_has_its_words() -> None:
    named = {
        rule
        for file in [
            *(SOURCES / "data" / "checks").glob("*.py"),
            SOURCES / "pipelines" / "check.py",
        ]
        for severity, rule in re.findall(
            r'found\.(?:add|each)\(\s*"(error|warning)",\s*"(\w+)"', file.read_text()
        )
    }
    named |= {leak.rule for leak in LEAK_RULES if leak.severity != "note"}
    assert len(named) > 15
    calls = (
        SOURCES / "data" / "layouts" / "tool_arguments.py"
    ).read_text()  # whose rules are handed on
    named |= set(re.findall(r'ArgumentFault\(\s*"(\w+)"', calls))
    assert named - {"ceiling"} == set(RULES)


@pytest.mark.parametrize("rule", ["empty", "no_answer", "no_question", "not_JSON", "some_new_kind"])
def test_rows_that_cannot_be_read_have_a_heading_and_something_to_do(rule: str) -> None:
    found = advice_for(rule)
    assert found.title
    assert "--fix OUT" in found.remedy
    assert "below" not in found.remedy


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in fromstring(svg).iter("text")]


def test_the_histogram_draws_the_context_and_counts_every_row() -> None:
    values = np.array([10] * 50 + [90] * 30 + [140] * 5)
    svg = histogram(values, unit="tokens", context=100, width=900)
    assert "context 100" in texts(svg)
    assert svg.count('class="mark other"') == 2
    assert svg.count('class="mark incumbent"') == 1
    assert "context 5,000" not in texts(histogram(values, unit="tokens", context=5000, width=900))


def test_a_few_giants_share_the_last_bar() -> None:
    values = np.array([10] * 5000 + [100_000] * 3)
    assert any("3 longer in the last bar" in text for text in texts(
        histogram(values, unit="tokens", context=None, width=344)
    ))  # fmt: skip


def test_bars_name_their_rows_and_escape_them() -> None:
    rows = [
        BarRow(label="a <b> & " + "long " * 20, value=3, text="3"),
        BarRow(label="c", value=0, text="0"),
    ]
    for width in (900, 344):
        shown_texts = texts(bars(rows, title="Rows", width=width))
        assert shown_texts[0].startswith("a <b> & long")
        assert shown_texts[0].endswith("…")


@pytest.mark.slow
def test_a_browser_asks_no_server_for_anything(tmp_path: Path) -> None:
    page = write_check_page(checked(HOSTILE), tmp_path / "check.html")
    assert requests_made_by(page, tmp_path / "profile") == []
