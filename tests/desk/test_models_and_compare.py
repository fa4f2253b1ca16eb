"""Models with a name, and two runs beside each other."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from desk_pages import ORIGIN, desk_client
from example_run import write_run
from served_models import write_versions
from tunewise.desk.places import id_of
from tunewise.runs.registry import Registry


@pytest.fixture
def registry() -> Registry:
    found = Registry()
    write_versions(found, ["Sort.", "Sort it.", "Sort <b>it</b>."])
    found.point("triage@production", "1")
    return found


@pytest.fixture
def client(tmp_path: Path, registry: Registry) -> TestClient:
    return desk_client(tmp_path, registry=registry)


def move(client: TestClient, path: str, **form: str) -> int:
    return client.post(path, data={"name": "triage", **form}, headers=ORIGIN).status_code


def pointed(registry: Registry) -> dict[str, int]:
    return {one.alias: one.number for one in registry.content().aliases}


def test_an_alias_is_moved_and_rolled_back(client: TestClient, registry: Registry) -> None:
    assert move(client, "/ui/aliases", alias="production", number="3") == 303
    assert pointed(registry) == {"production": 3}
    assert "triage@production -&gt; triage@3" in client.get("/ui/models/triage?moved=true").text
    assert move(client, "/ui/rollback", alias="production") == 303
    assert pointed(registry) == {"production": 1}


def test_a_new_alias_is_made(client: TestClient, registry: Registry) -> None:
    assert move(client, "/ui/aliases", alias="staging", number="2") == 303
    assert pointed(registry) == {"production": 1, "staging": 2}


@pytest.mark.parametrize(
    "form",
    [
        {"alias": "production", "number": "9"},
        {"alias": "production", "number": "0"},
        {"alias": "../etc", "number": "1"},
        {"alias": "<script>", "number": "1"},
        {"alias": "production", "number": "one"},
        {"alias": "production"},
        {"alias": "x" * 5000, "number": "1"},
    ],
)
def test_what_cannot_be_is_told_and_changes_nothing(
    client: TestClient, registry: Registry, form: dict[str, str]
) -> None:
    answer = client.post("/ui/aliases", data={"name": "triage", **form}, headers=ORIGIN)
    assert answer.status_code == 400
    assert "<script>" not in answer.text
    assert pointed(registry) == {"production": 1}


def test_nothing_to_roll_back_to_is_told(client: TestClient) -> None:
    answer = client.post(
        "/ui/rollback", data={"name": "triage", "alias": "production"}, headers=ORIGIN
    )
    assert answer.status_code == 400
    assert "has pointed to nothing but" in answer.text


def test_versions_show_where_they_come_from_and_what_differs(client: TestClient) -> None:
    text = client.get("/ui/models/triage?a=1&b=3").text
    assert "zero_shot on base" in text
    assert "run-3" in text
    assert "Sort &lt;b&gt;it&lt;/b&gt;." in text


def test_a_damaged_version_is_said_to_be(client: TestClient, registry: Registry) -> None:
    version = registry.content().versions[0]
    (version.folder / "model.json").write_text("{}")
    assert "damaged" in client.get("/ui/models/triage").text


def test_two_runs_stand_beside_each_other(tmp_path: Path) -> None:
    project = tmp_path / "shop"
    for name, ends in (("a", "do_not"), ("b", "fine_tune")):
        run = write_run(project / "runs" / name, ends=ends, draws=2)
        (run / "splits.json").write_text("{}")
    client = desk_client(tmp_path)
    text = client.get(f"/ui/projects/{id_of(project)}/compare").text
    assert "Do not fine-tune" in text
    assert "judged on the same rows" in text
    assert client.get(f"/ui/projects/{id_of(project)}/compare?a=x&b=y").status_code == 200


def test_rows_that_are_not_the_same_are_said_to_be_so(tmp_path: Path) -> None:
    project = tmp_path / "shop"
    for name, rows in (("a", 40), ("b", 50)):
        run = write_run(project / "runs" / name, n_test=rows, draws=2)
        (run / "splits.json").write_text("{}")
    text = desk_client(tmp_path).get(f"/ui/projects/{id_of(project)}/compare").text
    assert "judged on different rows" in text


def test_one_run_is_compared_with_nothing(tmp_path: Path) -> None:
    run = write_run(tmp_path / "shop" / "runs" / "a", draws=2)
    (run / "splits.json").write_text("{}")
    answer = desk_client(tmp_path).get(f"/ui/projects/{id_of(tmp_path / 'shop')}/compare")
    assert answer.status_code == 404
