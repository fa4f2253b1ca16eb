"""The desk of examples/eshop over a scripted model server on this machine."""

import hashlib
import json
import math
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path

import uvicorn
from eshop.desk import Desk
from eshop.settings import Function, Functions, Settings
from eshop.shop import build
from eshop.web import create_app
from starlette.testclient import TestClient

from chat_endpoint import Endpoint, Reply, completion, refusal
from example_projects import EXAMPLES

ESHOP = EXAMPLES / "eshop"
LABELS = {
    "category": "defect",
    "urgency": "high",
    "sentiment": "negative",
    "product": "Ember stove",
}
BASE = "http://127.0.0.1:8700"
TAGS = set(
    re.findall(
        r"\w+",
        """
    a article bdi body button caption code dd details div dl dt footer form h1 h2 h3 head header
    html input label li link main meta nav option p section select span strong summary table
    tbody td textarea th thead title tr ul
""",
    )
)
"""What the templates are made of."""


class ModelServer(Endpoint):
    """Answers by the model's name; embeds by words, so that texts with common words are alike."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[str, str | Reply | Callable[[dict], Reply]] = {
            "triage": json.dumps(LABELS),
            "summary": "Stove leaks. Open: call.",
            "reply": "Please leave it off. Next, keep your phone near.",
            "analyst": "SELECT COUNT(*) FROM orders",
        }
        self.max_characters = 10_000
        """Of a text that is embedded; beyond it the request is refused."""
        self.reply = self._answer

    def asked(self, model: str) -> list[dict]:
        """Requests to a model so far."""
        return [body for body in self.bodies if body["model"] == model]

    def _answer(self, asked: dict) -> Reply:
        scripted = self.answers.get(asked["model"])
        if "input" in asked and scripted is None:
            return self._vectors(asked["input"])
        if scripted is None:
            return refusal(404, "no such model")
        if isinstance(scripted, str):
            return completion(scripted, model=f"{asked['model']}@3")
        return scripted(asked) if callable(scripted) else scripted

    def _vectors(self, texts: list[str]) -> Reply:
        if max(map(len, texts)) > self.max_characters:
            return refusal(400, "input[0]: has 300 tokens; the model reads 256.")
        data = [
            {"object": "embedding", "index": place, "embedding": word_vector(text)}
            for place, text in enumerate(texts)
        ]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        body = {"object": "list", "model": "search", "data": data, "usage": usage}
        return 200, {"Content-Type": "application/json"}, json.dumps(body)


def word_vector(text: str) -> list[float]:
    """A unit vector of 128 counts, each word at the place of its hash."""
    counts = [0.0] * 128
    for word in re.findall(r"\w{4,}", text.lower()):
        counts[hashlib.sha256(word.encode()).digest()[0] % 128] += 1
    length = math.sqrt(sum(count * count for count in counts)) or 1.0
    return [count / length for count in counts]


def orders_file(folder: Path) -> Path:
    """The shop's orders, built once for a folder."""
    file = folder / "shop.sqlite"
    if not file.exists():
        build(file)
    return file


def settings_for(folder: Path, orders: Path, server: str, **changes: object) -> Settings:
    """Settings in which each function's model has the function's name."""
    models = {name: Function(model=name) for name in Functions.model_fields}
    given = {
        "folder": folder,
        "server": server,
        "orders": orders,
        "timeout_s": 5,
        "functions": Functions(**models),
    }
    return Settings(**given | changes)


@contextmanager
def browser(settings: Settings) -> Iterator[tuple[TestClient, Desk]]:
    """A client of the desk's pages, and the desk behind them."""
    app = create_app(settings)
    with TestClient(app, base_url=BASE) as client:
        yield client, app.state.desk


@contextmanager
def address_of(settings: Settings) -> Iterator[str]:
    """The desk behind a socket of loopback, for a browser; its address."""
    server = uvicorn.Server(uvicorn.Config(create_app(settings), log_level="warning"))
    listening = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=lambda: server.run(sockets=[listening]))
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)
    assert not thread.is_alive()


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.strange: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in TAGS:
            self.strange.append(tag)
        for name, value in attrs:
            if name.startswith("on") or name == "style" or _leads_away(name, value or ""):
                self.strange.append(f"{tag} {name}={value}")

    def handle_comment(self, data: str) -> None:
        self.strange.append(f"<!--{data}")


def _leads_away(name: str, value: str) -> bool:
    return name in ("href", "action", "src") and not re.match(r"/(?!/)|#", value)


def foreign_markup(page: str) -> list[str]:
    """Tags and attributes of a page that no template of the desk writes."""
    reader = _Page()
    reader.feed(page)
    reader.close()
    return reader.strange
