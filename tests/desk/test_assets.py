"""Scripts and styles are as their makers published them, and no page needs another server."""

import hashlib
from pathlib import Path

import pytest

from desk_pages import desk_client
from html_pages import Page
from tunewise.desk.assets import FILES, VENDORED, address, asset

FIRST_SCREEN = 150_000
"""Bytes of the first page with all that it loads, uncompressed."""


@pytest.mark.parametrize("name", VENDORED)
def test_files_of_others_are_as_they_were_published(name: str) -> None:
    assert hashlib.sha256(FILES[name].read_bytes()).hexdigest() == VENDORED[name].sha256


def test_each_lies_beside_its_licence() -> None:
    folder = FILES["htmx.min.js"].parent
    named = set(VENDORED) | {"htmx.LICENSE", "uPlot.LICENSE"}
    assert {file.name for file in folder.iterdir()} == named


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_served_under_an_address_that_changes_with_it(
    tmp_path: Path, name: str
) -> None:
    answer = desk_client(tmp_path).get(address(name))
    found = asset(name)
    assert found is not None
    assert answer.content == found.content
    assert "immutable" in answer.headers["cache-control"]


@pytest.mark.parametrize("name", ["../assets.py", "%2e%2e/assets.py", "desk.css/..", "none.js"])
def test_nothing_else_is(tmp_path: Path, name: str) -> None:
    assert desk_client(tmp_path).get(f"/ui/static/{name}").status_code == 404


def test_the_first_screen_is_small_and_from_here_alone(tmp_path: Path) -> None:
    client = desk_client(tmp_path)
    answer = client.get("/ui")
    loaded = [
        link
        for tag, attributes in Page(answer.text).elements
        for link in (attributes.get("src"), attributes.get("href") if tag == "link" else None)
        if link and not link.startswith("data:")
    ]
    assert loaded
    assert all(link.startswith("/ui/static/") for link in loaded)
    sizes = [len(client.get(link).content) for link in loaded]
    assert sum(sizes) + len(answer.content) < FIRST_SCREEN


def test_no_page_holds_a_script_or_style_of_its_own(tmp_path: Path) -> None:
    for _, attributes in Page(desk_client(tmp_path).get("/ui").text).elements:
        assert not {name for name in attributes if name.startswith("on") or name == "style"}
