"""One input to several models: what each is asked, and that only a page of this server asks."""

import json
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from desk_pages import ORIGIN, desk_client
from example_run import write_run
from html_pages import HOSTILE
from http_serving import until
from served_models import write_versions
from tunewise.desk.places import Places, id_of
from tunewise.desk.playground import MAX_TEXT
from tunewise.desk.token_prices import TokenPrice, price_of
from tunewise.runs.registry import Registry
from tunewise.serving.http.access import access_for
from tunewise.serving.http.sessions import ASK, COOKIE
from tunewise.serving.keys import KeyFile

PROMPT = "/ui/playground/prompt"


@pytest.fixture
def client(tmp_path: Path) -> TestClient:
    return desk_client(tmp_path)


def ask(client: TestClient, **headers: str) -> int:
    body = {"model": "triage@3", "messages": [{"role": "user", "content": "hello"}]}
    with client:
        until(lambda: client.get("/ready").status_code == 200)
        return client.post(ASK, json=body, headers=headers).status_code


def test_models_are_offered_and_the_address_fills_the_form(client: TestClient) -> None:
    text = client.get("/ui/playground?text=Where+is+it&model=help@1&model=gone").text
    assert 'value="help@1" checked' in text
    assert 'value="triage@3">' in text
    assert "all-minilm" not in text
    assert ">Where is it</textarea>" in text


def test_the_prompt_that_a_model_makes_is_shown(client: TestClient) -> None:
    shown = client.get(PROMPT, params={"model": "triage@production", "text": "hello"}).text
    assert "Sort the mail." in shown
    assert "hello" in shown
    assert "refunds.md#2" in client.get(PROMPT, params={"model": "help@1", "text": "a"}).text
    assert "no language model" in client.get(PROMPT, params={"model": "sorter@1", "text": "a"}).text


def test_a_model_brings_the_prices_of_the_project_that_it_came_from(tmp_path: Path) -> None:
    registry = Registry()
    write_versions(registry)  # triage@1 of run-1, triage@2 of run-2
    for name, prices in (("run-1", "prompt_tokens = 2\ncompletion_tokens = 8\n"), ("run-2", "")):
        run = write_run(tmp_path / "shop" / "runs" / name, draws=2)
        (run / "splits.json").write_text(json.dumps({"run": f"t{name[-1]}"}))
        (run / "project.toml").write_text(f'[prices]\ncurrency = "EUR"\n{prices}')
    places = Places([tmp_path])
    priced, plain = registry.content().versions
    assert price_of(priced, places) == TokenPrice(prompt=2, cached=2, completion=8, currency="EUR")
    assert price_of(plain, places) is None
    assert price_of(priced, Places([tmp_path / "shop" / "runs" / "run-2"])) is None


def test_finished_runs_lead_to_where_their_answers_are_rated(tmp_path: Path) -> None:
    run = write_run(tmp_path / "shop" / "runs" / "first", draws=2)
    (run / "splits.json").write_text("{}")
    text = desk_client(tmp_path).get("/ui/playground").text
    assert f'href="/ui/runs/{id_of(run)}/rate"' in text


def test_what_is_typed_is_text(client: TestClient) -> None:
    for path in ("/ui/playground", PROMPT):
        shown = client.get(path, params={"model": "triage@3", "text": HOSTILE}).text
        assert "<img" not in shown
        assert "<iframe" not in shown


def test_what_is_too_long_or_not_there_is_told(client: TestClient) -> None:
    long = client.get("/ui/playground", params={"text": "a" * (MAX_TEXT + 1)})
    assert long.status_code == 400
    assert client.get(PROMPT, params={"model": "gone", "text": "a"}).status_code == 404


def test_a_model_answers_piece_by_piece(client: TestClient) -> None:
    body = {
        "model": "triage@3",
        "messages": [{"role": "user", "content": "where is it"}],
        "stream": True,
    }
    with client:
        until(lambda: client.get("/ready").status_code == 200)
        answer = client.post(ASK, json=body, headers=ORIGIN)
    events = [line.removeprefix("data: ") for line in answer.text.splitlines() if line]
    assert events[-1] == "[DONE]"
    pieces = [json.loads(event)["choices"][0]["delta"].get("content") for event in events[:-1]]
    assert "".join(piece or "" for piece in pieces) == "where is it"


def test_only_a_page_of_this_server_asks(client: TestClient) -> None:
    assert ask(client, **ORIGIN) == 200
    assert ask(client) == 403
    assert ask(client, origin="http://other.test") == 403


def test_it_needs_a_session_where_a_key_is_needed(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / "keys.json")
    made = keys.new("me", ["admin"])
    access = access_for("127.0.0.1", keys=keys, require_key=True)
    client = desk_client(tmp_path, access=access)
    assert client.post(ASK, json={}, headers=ORIGIN).status_code == 401
    client.post("/ui/enter", data={"key": made.secret}, headers=ORIGIN)
    assert COOKIE in client.cookies
    assert client.post(ASK, json={}, headers=ORIGIN).status_code in (400, 503)
