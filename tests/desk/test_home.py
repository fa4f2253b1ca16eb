"""The first page: what lies where it was started."""

from pathlib import Path

import pytest

from desk_pages import ORIGIN, desk_client
from example_run import write_run
from html_pages import HOSTILE
from served_models import write_versions
from tunewise.desk.places import MAX_DEPTH, Places, id_of
from tunewise.errors import UserError
from tunewise.project.examples import demo_folder
from tunewise.runs.registry import Registry


def project(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "tunewise.toml").write_text('[data]\nexamples = "rows.jsonl"\n')
    return folder


def finished(folder: Path, *, ends: str = "fine_tune") -> Path:
    run = write_run(folder, ends=ends, draws=2)
    (run / "splits.json").write_text("{}")
    return run


def test_projects_are_found_with_their_runs(tmp_path: Path) -> None:
    run = finished(project(tmp_path / "shop") / "runs" / "first", ends="do_not")
    text = desk_client(tmp_path).get("/ui").text
    assert f'<a href="/ui/runs/{id_of(run)}">first</a>' in text
    assert "Do not fine-tune" in text


def test_a_run_leads_to_its_verdict_or_to_how_it_goes(tmp_path: Path) -> None:
    run = finished(project(tmp_path / "shop") / "runs" / "first")
    client = desk_client(tmp_path)
    there = f"/ui/runs/{id_of(run)}"
    assert client.get(there).headers["location"] == f"{there}/verdict"
    (run / "verdict.json").unlink()
    assert desk_client(tmp_path).get(there).headers["location"] == f"{there}/course"


def test_a_verdict_that_cannot_be_read_hides_no_other_run(tmp_path: Path) -> None:
    runs = project(tmp_path / "shop") / "runs"
    finished(runs / "first")
    (finished(runs / "second") / "verdict.json").write_text("{cut off")
    text = desk_client(tmp_path).get("/ui").text
    assert "verdict.json cannot be read." in text
    assert ">first</a>" in text


def test_what_lies_deep_hidden_or_behind_a_link_is_not_looked_into(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*"abcdef"[: MAX_DEPTH + 1])
    project(deep)
    project(tmp_path / ".hidden")
    project(tmp_path / "elsewhere" / "project")
    inside = tmp_path / "inside"
    project(inside / "shop")
    (inside / "link").symlink_to(tmp_path / "elsewhere")
    assert [one.name for one in Places([inside]).found().projects] == ["shop"]
    assert [one.name for one in Places([tmp_path / "a"]).found().projects] == [deep.name]
    assert {one.name for one in Places([tmp_path]).found().projects} == {"shop", "project"}


def test_a_run_outside_the_named_folders_is_not_shown(tmp_path: Path) -> None:
    run = finished(project(tmp_path / "other" / "shop") / "runs" / "first")
    (tmp_path / "mine").mkdir()
    client = desk_client(tmp_path / "mine")
    assert client.get(f"/ui/runs/{id_of(run)}/verdict").status_code == 404


def test_a_named_folder_has_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no folder"):
        Places([tmp_path / "nowhere"])


def test_names_of_folders_are_text(tmp_path: Path) -> None:
    project(tmp_path / HOSTILE.replace("/", "_")[:120])
    text = desk_client(tmp_path).get("/ui").text
    assert "<img" not in text
    assert "&lt;script&gt;" in text


def test_without_a_project_the_page_says_how_to_begin(tmp_path: Path) -> None:
    assert "tunewise init" in desk_client(tmp_path).get("/ui").text


def test_examples_stand_apart_with_what_they_are_about_and_their_finished_runs(
    tmp_path: Path,
) -> None:
    done, fresh = (project(tmp_path / "kept" / name) for name in ("shop_mail", "manuals"))
    text = (done / "tunewise.toml").read_text()
    (done / "tunewise.toml").write_text(f"# What customers of a shop write.\n{text}")
    run = finished(done / "finished", ends="do_not")
    (tmp_path / "mine").mkdir()
    text = desk_client(tmp_path / "mine", examples=[done, fresh]).get("/ui").text
    assert "Try it before you have data" in text
    assert "What customers of a shop write." in text
    assert f'<a href="/ui/runs/{id_of(run)}">finished</a>' in text
    assert "No finished run of it is here." in text
    assert "None of them was run" not in text
    alone = desk_client(tmp_path / "mine", examples=[fresh]).get("/ui").text
    assert "None of them was run on this machine yet" in alone


def test_a_project_begins_as_a_copy_of_an_example(tmp_path: Path) -> None:
    client = desk_client(tmp_path, examples=[demo_folder()])
    body = {"example": "support_triage"}
    begun = client.post("/ui/start/example", data=body, headers=ORIGIN)
    copy = tmp_path / "support_triage"
    assert begun.headers["location"] == f"/ui/projects/{id_of(copy)}/data"
    assert (copy / "examples.jsonl").is_file()
    again = client.post("/ui/start/example", data=body, headers=ORIGIN)
    assert (again.status_code, "is there already" in again.text) == (400, True)
    other = client.post("/ui/start/example", data={"example": "../x"}, headers=ORIGIN)
    assert other.status_code == 404


def test_an_example_is_looked_at_and_not_changed(tmp_path: Path) -> None:
    example = project(tmp_path / "kept" / "mail")
    (example / "rows.jsonl").write_text('{"input": "a", "output": "b"}\n')
    (tmp_path / "mine").mkdir()
    client = desk_client(tmp_path / "mine", examples=[example])
    there = f"/ui/projects/{id_of(example)}"
    assert client.get(f"{there}/settings").status_code == 200
    for path in ("settings", "repair", "repaired"):
        answer = client.post(f"{there}/{path}", headers=ORIGIN)
        assert (answer.status_code, "are not changed" in answer.text) == (400, True)


def test_models_with_a_name_are_listed(tmp_path: Path) -> None:
    registry = Registry()
    write_versions(registry)
    registry.point("triage@production", "2")
    text = desk_client(tmp_path, registry=registry).get("/ui").text
    assert "triage</a>" in text
    assert "production → 2" in text
