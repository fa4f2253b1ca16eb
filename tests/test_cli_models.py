"""`tunewise models`: what a person types, and what they read."""

import json
from pathlib import Path

import pytest

from command_line import tunewise
from decide_projects import labelled, read_json, write_project
from served_models import write_versions
from tunewise.runs.registry import Registry

SCRIPTED = (
    '[model]\nengine = "scripted"\n[contenders]\nuse = ["constant", "zero_shot"]\nfinish = true\n'
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a project in a folder `Mail Triage`."""
    project = write_project(tmp_path_factory.mktemp("p") / "Mail Triage", labelled(60), SCRIPTED)
    folder = project / "runs" / "first"
    assert tunewise("decide", project, "--out", folder).code == 0
    return folder


def test_a_run_becomes_a_model_that_is_shown_moved_and_removed(run: Path) -> None:
    added = tunewise("models", "add", run, "--contender", "zero_shot")
    assert added.code == 0, added.err
    assert added.out.startswith("mail-triage@1: ")
    assert tunewise("models", "add", run, "--contender", "zero_shot").out == added.out
    document = json.loads(
        tunewise("models", "add", run, "--name", "mail", "--contender", "constant", "--json").out
    )
    assert document["name"] == "mail@1"
    assert Path(document["path"]).is_dir()

    moved = tunewise("models", "alias", "mail-triage@production", "1")
    assert moved.out == "mail-triage@production points to mail-triage@1.\n"
    lines = tunewise("models", "list").out.splitlines()
    assert lines[-1].startswith("mail-triage@1  zero_shot on ")
    assert lines[-1].endswith("<- mail-triage@production")
    shown = tunewise("models", "show", "mail-triage").out
    verdict = read_json(run / "verdict.json")
    assert verdict["reason"] in shown
    assert f"of {run.parents[1].name}, run first" in shown

    refused = tunewise("models", "rm", "mail-triage@1")
    assert refused.code == 1
    assert "mail-triage@production points to it" in refused.err
    assert tunewise("models", "rm", "mail-triage@production").code == 0
    assert tunewise("models", "rm", "mail-triage@1").out == "Deleted mail-triage@1.\n"
    *_, left = json.loads(tunewise("models", "list", "--json").out)
    assert (left["name"], left["kind"], left["aliases"]) == ("mail@1", "version", [])
    assert left["lineage"]["contender"] == "constant"


def test_an_alias_is_rolled_back() -> None:
    write_versions(Registry())
    for number in "12":
        tunewise("models", "alias", "triage@production", number)
    back = tunewise("models", "rollback", "triage@production")
    assert back.out == "triage@production points to triage@1; before, to triage@2.\n"
    again = tunewise("models", "rollback", "triage@production")
    assert again.code == 1
    assert "has pointed to nothing but triage@1" in again.err


def test_two_versions_are_compared_in_words_and_as_json() -> None:
    write_versions(Registry())
    shown = tunewise("models", "diff", "triage@1", "triage").out
    assert shown.startswith("triage@1 -> triage@2\n  settings.instruction: Sort. -> Sort it.\n")
    diff = json.loads(tunewise("models", "diff", "triage@1", "triage@2", "--json").out)
    assert diff["differences"] == [{"what": "settings.instruction", "a": "Sort.", "b": "Sort it."}]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show", "triage@9"], "There are triage@1, triage@2"),
        (["show", "spam@1"], r"there is no such model"),
        (["rm", "triage"], "has triage@1, triage@2. Name the version to delete."),
        (["alias", "triage@production", "spam@1"], "which has another name"),
        (["rollback", "triage"], "is no alias"),
        (["diff", "triage@1", "spam"], "there is no such model"),
        (["add", "nowhere"], "holds no verdict.json"),
    ],
)
def test_what_is_wrong_is_said_without_a_traceback(words: list[str], said: str) -> None:
    write_versions(Registry())
    done = tunewise("models", *words)
    assert done.code == 1
    assert said in done.err


def test_a_damaged_version_is_told_in_the_list_and_when_it_is_shown() -> None:
    write_versions(Registry())
    (Registry().resolve("triage@2").folder / "model.json").write_text("{")
    assert "triage@2  damaged" in tunewise("models", "list").out
    shown = tunewise("models", "show", "triage@2")
    assert shown.code == 1
    assert "model.json: not JSON" in shown.err


def test_a_registry_that_is_made_again_is_said_on_stderr() -> None:
    write_versions(Registry())
    Registry().database.write_bytes(b"garbage" * 1000)
    listed = tunewise("models", "list", "--json")
    assert [one["name"] for one in json.loads(listed.out)][-2:] == ["triage@1", "triage@2"]
    assert "was damaged, and was made again" in listed.err
