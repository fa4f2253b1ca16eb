"""The desk in a real browser: every function by mouse and keyboard, under the strict policy."""

from pathlib import Path

import pytest
from eshop.seed import seed_tickets
from eshop.shop import Shop
from eshop.tables import open_database

from desk_browser import browsing_at
from eshop_desk import ModelServer, address_of, orders_file, settings_for


@pytest.mark.slow
def test_an_agent_walks_through_the_five_functions(tmp_path: Path) -> None:
    server, orders = ModelServer(), orders_file(tmp_path)
    settings = settings_for(tmp_path, orders, server.url)
    seed_tickets(open_database(settings.database_url), Shop(orders))
    server.answers["summary"] = "<img src=x onerror=alert(1)></textarea><script>alert(1)</script>"
    with address_of(settings) as url, browsing_at(url) as window:
        wide, phone = window("wide"), window("phone")
        page = wide.page
        wide.open("/")
        page.click("text=Sort the next 10")
        assert page.locator("td .tag.high").count() == 10
        wide.open("/tickets/2")
        for function in ("triage", "summary", "reply"):
            page.click(f"#{function} button.ask")
        assert page.input_value("#summary textarea") == server.answers["summary"]
        page.click("text=Find tickets and products like it")
        assert page.locator("#similar li").count() == 10
        page.select_option("select[name=category]", "delivery")
        page.click("text=These are right")
        page.fill("#reply textarea", "You'll be dry. Next, wait by the door.")
        page.click("#reply button:has-text('Send')")
        assert page.locator("article.desk").last.inner_text().endswith("wait by the door.")
        assert wide.grave() == []
        wide.open("/analyst")
        page.fill("input[name=question]", "how many orders?")
        page.press("input[name=question]", "Enter")
        assert page.locator("td").inner_text() == "2000"
        wide.open("/corrections")
        assert page.locator("td").all_inner_texts()[2] == "1"  # of the labels, corrected
        for path in ("/", "/tickets/2", "/search?q=tent", "/new"):
            phone.open(path)
            assert not phone.too_wide(), path
            assert phone.grave() == [], path
        assert wide.faults + phone.faults == []
