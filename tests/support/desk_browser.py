"""Chromium on the pages: it notes what should not be."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import ConsoleMessage, Page, Request, sync_playwright

from desk_pages import desk_server
from html_pages import chromium

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
AXE_SHA256 = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
"""axe-core 4.14.1, MPL-2.0, as on npm."""
GRAVE = {"serious", "critical"}
SHAPES = {
    "wide": {"viewport": {"width": 1200, "height": 900}},
    "phone": {"viewport": {"width": 390, "height": 800}, "has_touch": True},
    "dark": {"viewport": {"width": 1200, "height": 900}, "color_scheme": "dark"},
}


@dataclass
class Browser:
    """One window."""

    page: Page
    url: str
    faults: list[str] = field(default_factory=list)
    """Violations of the policy, errors on the console, requests to elsewhere."""

    def said(self, message: ConsoleMessage) -> None:
        """Hears the console."""
        if message.type == "error":
            self.faults.append(message.text)

    def asked(self, request: Request) -> None:
        """Hears what is asked for."""
        if not request.url.startswith((self.url, "data:")):
            self.faults.append(f"asked {request.url}")

    def open(self, path: str) -> None:
        self.page.goto(self.url + path)

    def grave(self) -> list[str]:
        """What axe-core finds serious on the page that is open."""
        self.page.evaluate(AXE.read_text() + ";0")
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{one['id']}: {[node['target'] for node in one['nodes']]}"
            for one in found["violations"]
            if one["impact"] in GRAVE
        ]

    def keep(self, file: Path) -> None:
        """A picture of what is seen, for people to look at."""
        file.parent.mkdir(exist_ok=True)
        self.page.screenshot(path=file)

    def too_wide(self) -> bool:
        """Whether the page scrolls sideways."""
        width = "document.documentElement.scrollWidth > window.innerWidth"
        return bool(self.page.evaluate(width))


@contextmanager
def browsing(folder: Path) -> Iterator[Callable[[str], Browser]]:
    """Opens windows of a shape on the pages over a folder."""
    with desk_server(folder) as url, browsing_at(url) as window:
        yield window


@contextmanager
def browsing_at(url: str) -> Iterator[Callable[[str], Browser]]:
    """Opens windows of a shape on the pages at an address."""
    program = chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])

        def window(shape: str = "wide") -> Browser:
            found = Browser(browser.new_context(**SHAPES[shape]).new_page(), url)  # type: ignore[arg-type]
            found.page.on("console", found.said)
            found.page.on("pageerror", lambda error: found.faults.append(str(error)))
            found.page.on("request", found.asked)
            return found

        try:
            yield window
        finally:
            browser.close()
