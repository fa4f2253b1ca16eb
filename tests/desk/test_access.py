"""Who may see the pages, and from where something may be changed."""

import re
from pathlib import Path
from typing import cast

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.testclient import TestClient

from desk_pages import ORIGIN, desk_client
from tunewise.serving.http.access import Access, access_for
from tunewise.serving.http.sessions import ASK, COOKIE, SECONDS, Sessions
from tunewise.serving.keys import KeyFile

ENTER = "/ui/enter"


@pytest.fixture
def keys(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "keys.json")


def closed(keys: KeyFile, folder: Path) -> TestClient:
    return desk_client(
        folder, access=access_for("127.0.0.1", keys=keys, require_key=True, names=["localhost"])
    )


def test_on_loopback_nobody_needs_a_key(tmp_path: Path) -> None:
    client = desk_client(tmp_path)
    assert client.get("/ui").status_code == 200
    assert client.get(ENTER).headers["location"] == "/ui"


def test_every_page_closes_what_it_does_not_need(tmp_path: Path) -> None:
    client = desk_client(tmp_path)
    for path in ("/ui", "/ui/models", "/ui/nothing", "/ui/static/desk.css"):
        policy = client.get(path).headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert "unsafe" not in policy


def test_another_host_or_origin_is_refused(tmp_path: Path) -> None:
    client = desk_client(tmp_path, access=Access())
    assert client.get("/ui", headers={"host": "rebound.test"}).status_code == 403
    assert client.get("/ui", headers={"origin": "http://other.test"}).status_code == 403


@pytest.mark.parametrize("path", ["/ui/aliases", "/ui/rollback", ENTER, "/ui/leave"])
@pytest.mark.parametrize("headers", [{}, {"origin": "null"}, {"origin": "http://other.test"}])
def test_nothing_changes_unless_a_page_of_this_server_asks(
    tmp_path: Path, path: str, headers: dict[str, str]
) -> None:
    assert desk_client(tmp_path).post(path, headers=headers).status_code == 403


def every_route(client: TestClient) -> list[tuple[str, str]]:
    """Method and path of all that pages consist of."""
    app = cast("FastAPI", client.app)
    found = [
        (method, re.sub(r"\{[^}]*\}", "x", str(route.path)))
        for route in iter_route_contexts(app.routes)
        for method in sorted(route.methods or ())
        if str(route.path).startswith("/ui")
    ]
    assert len(found) > 30
    return found


def test_no_route_is_open_without_a_key_or_changes_something_for_another_page(
    tmp_path: Path, keys: KeyFile
) -> None:
    keys.new("me", ["admin"])
    locked, free = closed(keys, tmp_path), desk_client(tmp_path)
    for method, path in every_route(locked):
        if path == ENTER or path.startswith("/ui/static/"):
            continue
        answer = locked.request(method, path, headers=ORIGIN)
        assert answer.status_code in ((303,) if method == "GET" else (401,)), path
        if method == "POST" and path != ASK:  # test_playground: it says first that it is warming
            assert free.request(method, path).status_code == 403, path


def test_without_a_key_every_page_leads_to_the_entrance(tmp_path: Path, keys: KeyFile) -> None:
    keys.new("me", ["admin"])
    client = closed(keys, tmp_path)
    for path in ("/ui", "/ui/models", "/ui/runs/abc/verdict", "/ui/nothing"):
        answer = client.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, ENTER)
    assert client.post("/ui/aliases", headers=ORIGIN).status_code == 401
    assert client.get("/v1/models").status_code == 401
    assert client.get("/ui/static/desk.css").status_code == 200


def test_a_key_opens_a_session_that_ends_with_it(tmp_path: Path, keys: KeyFile) -> None:
    made = keys.new("me", ["admin"])
    client = closed(keys, tmp_path)
    wrong = client.post(ENTER, data={"key": "tw-wrong"}, headers=ORIGIN)
    assert (wrong.status_code, "not known here" in wrong.text) == (401, True)
    entered = client.post(ENTER, data={"key": made.secret}, headers=ORIGIN)
    cookie = entered.headers["set-cookie"]
    assert {"HttpOnly", "Path=/ui", "SameSite=strict"} <= set(cookie.split("; "))
    assert made.secret not in cookie
    assert client.get("/ui").status_code == 200
    keys.remove("me")
    keys.new("other", ["admin"])
    assert client.get("/ui").status_code == 303


def test_leaving_ends_the_session_of_whoever_kept_its_token(tmp_path: Path, keys: KeyFile) -> None:
    made = keys.new("me", ["admin"])
    client = closed(keys, tmp_path)
    client.post(ENTER, data={"key": made.secret}, headers=ORIGIN)
    kept = {"cookie": f"{COOKIE}={client.cookies[COOKIE]}"}
    assert client.get("/ui", headers=kept).status_code == 200
    client.post("/ui/leave", headers=ORIGIN)
    client.cookies.clear()
    assert client.get("/ui", headers=kept).status_code == 303


def test_a_key_that_may_only_chat_sees_no_page(tmp_path: Path, keys: KeyFile) -> None:
    made = keys.new("app", ["chat"])
    client = closed(keys, tmp_path)
    client.post(ENTER, data={"key": made.secret}, headers=ORIGIN)
    answer = client.get("/ui")
    assert answer.status_code == 403
    assert "needs the scope" in answer.text


def test_a_session_is_worth_nothing_for_the_api(tmp_path: Path, keys: KeyFile) -> None:
    made = keys.new("me", ["admin"])
    client = closed(keys, tmp_path)
    client.post(ENTER, data={"key": made.secret}, headers=ORIGIN)
    token = {"cookie": f"{COOKIE}={client.cookies[COOKIE]}"}
    assert client.get("/v1/models", headers=token).status_code == 401


def test_a_session_ends_after_its_time(keys: KeyFile) -> None:
    now = 0.0
    sessions = Sessions(keys, clock=lambda: now)
    token = sessions.enter(keys.new("me", ["admin"]).secret)
    assert sessions.key_of(f"{COOKIE}={token}") is not None
    now = SECONDS + 1.0
    assert sessions.key_of(f"{COOKIE}={token}") is None


@pytest.mark.parametrize("cookies", [None, "", "tunewise_session=wrong", "=;;=", "\xff=a"])
def test_cookies_that_are_no_session_are_nobody(keys: KeyFile, cookies: str | None) -> None:
    keys.new("me", ["admin"])
    assert Sessions(keys).key_of(cookies) is None


def test_a_page_that_is_not_there_says_so_in_words(tmp_path: Path) -> None:
    client = desk_client(tmp_path)
    for path in ("/ui/nothing", "/ui/runs/0123456789abcdef/verdict", "/ui/models/none"):
        answer = client.get(path)
        assert (answer.status_code, "<h1>Not found</h1>" in answer.text) == (404, True)
