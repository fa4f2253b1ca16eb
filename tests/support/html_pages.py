"""Pages as a browser sees them: their elements, and what they ask servers for."""

import json
import os
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

HOSTILE = (
    "<script>document.title='owned'</script><img src=http://tracker.test/a.png onerror=alert(1)>"
    "</style><style>@import url(http://tracker.test/b.css)</style>"
    '<iframe src="//tracker.test"></iframe>{{ 7 * 7 }}'
)


class Page(HTMLParser):
    """The page's elements with their attributes, its styles, and its visible text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.styles = ""
        self.text = ""
        self._in_style = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._in_style = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.styles += data
        else:
            self.text += data


def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    found = found or shutil.which("google-chrome")
    if not found:
        pytest.skip("no chromium on this machine")
    return found


def requests_made_by(page: Path, profile: Path) -> list[str]:
    """Opens the page in headless Chromium; the addresses that the page itself asked for.

    The browser's own calls home have no origin as their initiator and are left out. The proxy is a
    closed port, so that nothing leaves the machine.
    """
    log = profile.with_suffix(".json")
    command = [
        chromium(),
        "--headless",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={profile}",
        f"--log-net-log={log}",
        "--proxy-server=127.0.0.1:9",
        "--virtual-time-budget=3000",
        "--dump-dom",
        page.as_uri(),
    ]
    if os.geteuid() == 0:
        command.insert(1, "--no-sandbox")
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "<body" in done.stdout
    written = json.loads(log.read_text())
    start = written["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    started = [event.get("params", {}) for event in written["events"] if event["type"] == start]
    return [e["url"] for e in started if "url" in e and e["initiator"] != "not an origin"]
