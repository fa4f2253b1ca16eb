"""What nobody sends by mistake: nothing runs, nothing leaks, nothing is a failure of the server."""

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from decide_projects import labelled, write_project
from desk_pages import ORIGIN, desk_client
from example_run import write_run
from html_pages import HOSTILE
from served_models import write_versions
from tunewise.desk.places import id_of
from tunewise.runs.registry import Registry

OUTSIDE = "kept-outside"
"""What lies in a file beside the folder that the pages know."""
ESCAPES = "\x1b]8;;http://tracker.test\x07click\x1b]8;;\x07\x1b[2J"
WRITES = "'; DROP TABLE versions; --"
UP = "../" * 12
PATHS = [
    f"{UP}etc/passwd",
    "..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e/%2e%2e/secret.txt",
    "....//....//secret.txt",
    "%00",
    "con.txt%00.html",
    "%c0%ae%c0%ae/secret.txt",
    "a" * 3_000,
    "%F0%9F%92%A9",
    "-rf",
]
TEXTS = [HOSTILE, ESCAPES, WRITES, f"{UP}secret.txt", "{{ 7 * 7 }}", "${jndi:ldap://x}", "\ud7ff"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    above = tmp_path_factory.mktemp("hostile")
    (above / "secret.txt").write_text(OUTSIDE)
    shop = write_project(above / "desk" / "shop", labelled(20))
    (write_run(shop / "runs" / "first", n_test=12, draws=2) / "splits.json").write_text("{}")
    return above / "desk"


@pytest.fixture
def client(folder: Path) -> TestClient:
    registry = Registry()
    write_versions(registry)
    return desk_client(folder, registry=registry)


def harmless(folder: Path, answer: Any) -> None:
    """Nothing of the request runs, nothing from outside is shown, and nothing was written there."""
    assert answer.status_code < 500, answer.text
    for bad in ("<script>document", "<img src=http", "<iframe", "<svg", "\x1b", OUTSIDE, "root:x:"):
        assert bad not in answer.text
    assert "49" not in answer.text or "7 * 7" not in str(answer.request.content)
    assert sorted(path.name for path in folder.parent.iterdir()) == ["desk", "secret.txt"]
    assert sorted(path.name for path in folder.iterdir()) == ["shop"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("under", ["runs/{}/answers", "projects/{}/data", "models/{}", "static/{}"])
def test_addresses(client: TestClient, folder: Path, under: str, path: str) -> None:
    answer = client.get(f"/ui/{under.format(path)}")
    harmless(folder, answer)
    assert answer.status_code in (400, 404)


@pytest.mark.parametrize("text", TEXTS)
def test_texts_in_addresses(client: TestClient, folder: Path, text: str) -> None:
    run = f"/ui/runs/{id_of(folder / 'shop' / 'runs' / 'first')}"
    for path, names in (
        (f"{run}/answers", ("a", "b", "label", "segment")),
        (f"{run}/passage", ("contender", "passage")),
        (f"/ui/projects/{id_of(folder / 'shop')}/compare", ("a", "b")),
        ("/ui/playground", ("text", "model")),
        ("/ui/playground/prompt", ("text", "model")),
        ("/ui/jobs", ("after",)),
    ):
        harmless(folder, client.get(path, params=dict.fromkeys(names, text)))


@pytest.mark.parametrize("text", TEXTS)
def test_texts_in_forms(client: TestClient, folder: Path, text: str) -> None:
    run = f"/ui/runs/{id_of(folder / 'shop' / 'runs' / 'first')}"
    before = (folder / "shop" / "tunewise.toml").read_text()
    for path, names in (
        ("/ui/start/folder", ("folder",)),
        ("/ui/aliases", ("name", "alias")),
        ("/ui/rollback", ("name", "alias")),
        ("/ui/exports", ("name", "form")),
        (f"{run}/rate", ("example", "said")),
        (f"/ui/projects/{id_of(folder / 'shop')}/repair", ("row", "rule")),
        ("/ui/enter", ("key",)),
    ):
        body = dict.fromkeys(names, text) | {"number": "1"}
        answer = client.post(path, data=body, headers=ORIGIN)
        harmless(folder, answer)
        assert 300 <= answer.status_code < 500
    broken = {"model.base": text, "was:model.base": "x", "decision.minimum_gain": text}
    there = f"/ui/projects/{id_of(folder / 'shop')}/settings"
    harmless(folder, client.post(there, data=broken, headers=ORIGIN))
    assert (folder / "shop" / "tunewise.toml").read_text() == before


@pytest.mark.parametrize("text", TEXTS)
def test_names_of_dropped_files(client: TestClient, folder: Path, text: str) -> None:
    for name, file in ((text, "a.csv"), ("", text)):
        sent = [("files", (file.replace("\x00", ""), b"not,a\ntable"))]
        body = {"name": name, "place": "0"}
        answer = client.post("/ui/start/files", files=sent, data=body, headers=ORIGIN)
        harmless(folder, answer)
        assert answer.status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--x\r\nContent-Disposition: form-data; name=files",
        b"--x\r\n\r\n--x--",
        b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n\r\n--x--\r\n',
        b"\xff" * 2_000,
    ],
)
def test_bodies_that_are_no_form(client: TestClient, folder: Path, body: bytes) -> None:
    headers = {**ORIGIN, "content-type": "multipart/form-data; boundary=x"}
    answer = client.post("/ui/start/files", content=body, headers=headers)
    harmless(folder, answer)
    assert answer.status_code == 400


def test_a_form_of_too_many_fields(client: TestClient, folder: Path) -> None:
    there = f"/ui/projects/{id_of(folder / 'shop')}/settings"
    many = {f"field{n}": "x" for n in range(2_000)}
    answer = client.post(there, data=many, headers=ORIGIN)
    harmless(folder, answer)
    assert answer.status_code == 400
