"""The pages in Chromium: nothing is blocked, nothing is asked of others, everybody can use them."""

import hashlib
import re
from pathlib import Path

import pytest
from filelock import FileLock
from playwright.sync_api import expect

from decide_projects import labelled, write_project
from desk_browser import AXE, AXE_SHA256, SHAPES, browsing
from example_run import write_run
from growing_run import Growing
from served_models import write_versions
from tunewise.desk.places import id_of
from tunewise.models.catalog import LocalModel
from tunewise.runs.registry import Registry

PATIENCE = 240_000
"""Milliseconds for a run of the small model."""
SETTINGS = {
    "model-engine": "openvino",
    "training-epochs": "2",
    "training-rank": "2",
    "training-batch_tokens": "128",
    "training-seeds": "1",
}
USED = {"constant", "zero_shot", "few_shot", "fine_tune"}


def test_axe_is_as_it_was_published() -> None:
    assert hashlib.sha256(AXE.read_bytes()).hexdigest() == AXE_SHA256


@pytest.fixture
def everything(tmp_path: Path) -> list[str]:
    """A page of each kind."""
    runs = tmp_path / "shop" / "runs"
    for name, ends in (("a", "do_not"), ("b", "fine_tune")):
        (write_run(runs / name, ends=ends, draws=2) / "splits.json").write_text("{}")
    write_project(tmp_path / "shop", labelled(20))
    growing = Growing(runs / "c")
    growing.event("fitted", contender="few_shot", dev=0.75)
    growing.event("fitted", contender="fine_tune", dev=0.1, out="out after 8 of 20 dev rows")
    for number in range(1, 40):
        growing.step(number, loss=3.0 / number)
    registry = Registry()
    write_versions(registry)
    registry.point("triage@production", "1")
    done, live = id_of(runs / "b"), id_of(growing.folder)
    project = f"/ui/projects/{id_of(tmp_path / 'shop')}"
    return [
        "/ui",
        "/ui/start",
        f"{project}/data",
        f"{project}/findings",
        f"{project}/settings",
        f"/ui/runs/{done}/rate",
        f"/ui/runs/{done}/verdict",
        f"/ui/runs/{done}/answers?show=ahead",
        f"/ui/runs/{live}/course",
        f"{project}/compare",
        "/ui/models",
        "/ui/playground?text=hello",
        "/ui/jobs",
        "/ui/models/triage?a=1&b=2",
    ]


@pytest.mark.slow
def test_every_page_is_whole_in_every_shape(everything: list[str], tmp_path: Path) -> None:
    with browsing(tmp_path) as window, FileLock(tmp_path / "shop" / "runs" / "c" / ".lock"):
        for shape in SHAPES:
            browser = window(shape)
            for number, path in enumerate(everything):
                browser.open(path)
                if path.endswith("/course"):
                    expect(browser.page.locator("#loss canvas")).to_be_visible()
                browser.keep(tmp_path / "pictures" / f"{number}-{shape}.png")
                assert browser.grave() == [], (shape, path)
                assert not browser.too_wide(), (shape, path)
            assert browser.faults == [], shape


@pytest.mark.slow
def test_with_the_keyboard_alone_one_gets_to_the_content(
    everything: list[str], tmp_path: Path
) -> None:
    with browsing(tmp_path) as window:
        browser = window()
        browser.open(everything[0])
        browser.page.keyboard.press("Tab")
        expect(browser.page.get_by_text("Skip to the content")).to_be_focused()
        browser.page.keyboard.press("Enter")
        expect(browser.page.locator("main")).to_be_focused()


@pytest.mark.slow
def test_from_a_dropped_file_to_a_verdict_and_its_answers(
    small_llama: LocalModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNEWISE_CACHE", str(small_llama.folder.parents[1]))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    rows = [*labelled(60), labelled(60)[3], labelled(60)[4], {"text": "one more", "label": "refnd"}]
    table = tmp_path / "mail.csv"
    table.write_text("text,label\n" + "".join(f"{r['text']},{r['label']}\n" for r in rows))
    (tmp_path / "desk").mkdir()
    with browsing(tmp_path / "desk") as window:
        browser = window()
        page = browser.page
        browser.open("/ui")
        page.get_by_role("link", name="New project").click()
        page.locator("#files").set_input_files(table)
        page.get_by_role("button", name="Look at them").click()
        expect(page.get_by_role("heading", name="What was found")).to_be_visible()
        assert browser.grave() == []

        page.get_by_role("button", name="Check the data").click()
        repairs = page.get_by_role("button", name="Write a repaired copy")
        expect(repairs).to_be_visible(timeout=PATIENCE)
        browser.keep(tmp_path / "pictures" / "findings.png")
        assert browser.grave() == []
        page.get_by_label("Repair mail.csv:62").uncheck()
        repairs.click()
        page.get_by_role("button", name="Use the copy").click(timeout=PATIENCE)
        expect(page.get_by_text("62 rows can be used")).to_be_visible(timeout=PATIENCE)

        page.get_by_role("link", name="3. Settings").click()
        page.locator("summary", has_text="training").click()
        page.locator("#f-model-base").fill(small_llama.name)
        for name, value in SETTINGS.items():
            field = page.locator(f"#f-{name}")
            if field.evaluate("field => field.tagName") == "SELECT":
                field.select_option(value)
            else:
                field.fill(value)
        for box in page.locator('input[type=checkbox][name="contenders.use"]').all():
            box.set_checked(box.get_attribute("value") in USED)
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text("Saved.")).to_be_visible()
        page.get_by_role("button", name="Decide").click()
        expect(page.get_by_text("in the race").first).to_be_visible(timeout=PATIENCE)
        course = page.url
        page.close()

        browser = window()  # what was closed in the middle is opened again
        page = browser.page
        page.goto(course)
        page.get_by_role("button", name="Stop").click()
        page.get_by_role("button", name="Go on").click(timeout=PATIENCE)
        page.get_by_role("link", name="See the verdict").click(timeout=PATIENCE)
        expect(page.get_by_role("heading", name="The contenders")).to_be_visible()

        page.get_by_role("link", name="Answers", exact=True).click()
        page.get_by_label("Rows", exact=True).select_option("wrong")
        expect(page).to_have_url(re.compile("show=wrong"))
        expect(page.locator(".counts .here")).to_contain_text("is wrong")
        page.get_by_role("link", name="Rate", exact=True).click()
        page.get_by_role("button", name="Left is better").click()
        expect(page.get_by_text("1 of the")).to_be_visible()
        assert browser.grave() == []
        assert browser.faults == []


@pytest.mark.slow
def test_three_models_answer_one_input(tmp_path: Path) -> None:
    with browsing(tmp_path) as window:
        browser = window()
        page = browser.page
        browser.open("/ui/playground?text=Where+is+my+tent&model=base&model=help@1&model=triage@3")
        page.get_by_role("button", name="Ask").click()
        answers = page.locator("#replies .said")
        expect(answers).to_have_text(["Where is my tent"] * 3)
        expect(page.locator(".figures-line").first).to_contain_text("first token")
        sorter = page.locator("#replies > *", has=page.get_by_role("heading", name="triage@3"))
        sorter.locator("summary").click()
        expect(sorter.locator(".prompt")).to_contain_text("Sort the mail.")
        expect(page).to_have_url(re.compile("text=Where"))
        assert browser.grave() == []
        assert browser.faults == []


@pytest.mark.slow
def test_an_alias_is_moved_and_rolled_back(everything: list[str], tmp_path: Path) -> None:
    with browsing(tmp_path) as window:
        browser = window()
        browser.open(everything[-1])
        page = browser.page
        page.get_by_label("Version that production points to").select_option("2")
        page.get_by_role("button", name="Move production").click()
        expect(page.get_by_role("status")).to_have_text("triage@production -> triage@2")
        page.get_by_role("button", name="Roll back production").click()
        expect(page.get_by_role("status")).to_have_text("triage@production rolled back to triage@1")
        assert browser.faults == []
