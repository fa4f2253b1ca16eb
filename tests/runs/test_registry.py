"""Versions never change, aliases move in one piece, and the data base can be lost."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import registry_process
from registry_process import add
from tunewise.errors import UserError
from tunewise.runs.model_names import safe_model_name
from tunewise.runs.registry import Registry, Version
from tunewise.runs.registry_file import Event, Lineage

PROCESS = Path(registry_process.__file__)


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def models(home: Path, notes: list[str]) -> Registry:
    return Registry(home, note=notes.append, clock=iter(range(10**9, 2 * 10**9)).__next__)


def three(models: Registry) -> list[Version]:
    return [add(models, token) for token in ("one", "two", "three")]


def state(models: Registry) -> tuple[list[str], dict[str, str]]:
    content = models.content()
    return [one.id for one in content.versions], {one.id: one.version for one in content.aliases}


def process(*words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(PROCESS), *map(str, words)], stdout=subprocess.PIPE, text=True
    )


def test_a_registry_that_is_not_there_holds_nothing_and_is_not_made_by_looking(
    models: Registry, home: Path
) -> None:
    assert state(models) == ([], {})
    assert not home.exists()


def test_versions_are_numbered_by_name_and_keep_what_they_were_made_from(models: Registry) -> None:
    first, second, _ = three(models)
    other = add(models, "one", name="spam")
    assert [one.id for one in (first, second, other)] == ["triage@1", "triage@2", "spam@1"]
    assert models.resolve("triage@2") == second
    assert second.lineage == Lineage(token="two", contender="prompt")
    assert (second.folder / "README.md").read_text() == "triage@2"
    assert json.loads((second.folder / "version.json").read_text())["number"] == 2


def test_the_same_runs_contender_becomes_one_version(models: Registry) -> None:
    assert add(models, "one") == add(models, "one")
    assert state(models)[0] == ["triage@1"]
    assert len(list((models.database.parent / "models").glob("*"))) == 1


def test_a_name_alone_is_the_newest_version_until_production_points_somewhere(
    models: Registry,
) -> None:
    three(models)
    assert models.resolve("triage").id == "triage@3"
    models.point("triage@production", "triage@2")
    assert models.resolve("triage").id == "triage@2"
    assert models.resolve("triage@production").id == "triage@2"


def test_a_further_name_means_its_version_for_good(models: Registry) -> None:
    name = "ft:org/base:tunewise:my-suffix:a1"
    with models.staging() as folder:
        lineage = Lineage(token="job", contender="fine_tune", known_as=name)
        made = models.add("my-suffix", folder, lineage=lineage, card=str)
    add(models, "later", name="my-suffix")
    assert models.resolve(name) == made
    assert models.remove_named(name) == f"Deleted {name}."
    assert state(models)[0] == ["my-suffix@2"]


def test_an_alias_is_moved_and_rolled_back_step_by_step(models: Registry) -> None:
    three(models)
    assert models.point("triage@production", "1").sentence == (
        "triage@production points to triage@1."
    )
    models.point("triage@production", "triage@3")
    moved = models.point("triage@production", "2")
    assert moved.sentence == "triage@production points to triage@2; before, to triage@3."
    assert models.point("triage@production", "2").sentence == (
        "triage@production points to triage@2, as it did."
    )
    assert models.roll_back("triage@production").now == "triage@3"
    assert models.roll_back("triage@production").now == "triage@1"
    with pytest.raises(UserError, match="has pointed to nothing but triage@1"):
        models.roll_back("triage@production")
    models.point("triage@production", "2")
    assert models.roll_back("triage@production").now == "triage@1"
    kinds = [event.kind for event in models.history("triage")]
    assert kinds == ["set", "set", "set", "rollback", "rollback", "set", "rollback"]


def test_a_rollback_passes_over_versions_that_were_removed(models: Registry) -> None:
    three(models)
    for number in (1, 2, 3):
        models.set_alias("triage", "production", number)
    models.remove("triage", 2)
    assert models.roll_back("triage@production").now == "triage@1"


def test_a_version_that_an_alias_points_to_is_not_removed(models: Registry) -> None:
    version = three(models)[0]
    models.point("triage@production", "1")
    models.point("triage@canary", "1")
    with pytest.raises(UserError, match="triage@canary, triage@production points to it"):
        models.remove_named("triage@1")
    for alias in ("canary", "production"):
        models.remove_named(f"triage@{alias}")
    assert models.remove_named("triage@1") == "Deleted triage@1."
    assert not version.folder.exists()
    with pytest.raises(UserError, match=r"no such version\. There are triage@2, triage@3"):
        models.resolve("triage@1")


def test_a_number_is_never_given_again(models: Registry, home: Path) -> None:
    three(models)
    models.remove("triage", 3)
    assert add(models, "four").id == "triage@4"
    models.remove("triage", 4)
    models.database.unlink()
    assert add(models, "five").id == "triage@5"


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (lambda m: m.resolve("spam"), r"no such model\. There are triage"),
        (lambda m: m.resolve("triage@9"), "There are triage@1"),
        (lambda m: m.resolve("../triage"), "is no name of a model"),
        (lambda m: m.resolve("triage@../x"), "is no alias"),
        (lambda m: m.point("triage", "1"), "is no alias"),
        (lambda m: m.point("triage@1", "1"), "is no alias"),
        (lambda m: m.point("triage@production", "spam@1"), "which has another name"),
        (lambda m: m.point("triage@production", "triage@canary"), "is no version"),
        (lambda m: m.point("triage@production", "9"), "no such version"),
        (lambda m: m.roll_back("triage@production"), "no such alias"),
        (lambda m: m.remove_named("triage"), "Name the version to delete"),
        (lambda m: add(m, "x", name="Triage"), "is no name of a model"),
        (lambda m: add(m, "x", name="smollm2-135m-instruct"), "always there"),
        (lambda m: add(m, "x", name="all-minilm-l6-v2"), "always there"),
    ],
)
def test_what_a_person_gets_wrong_is_told(
    models: Registry, act: Callable[[Registry], object], said: str
) -> None:
    add(models, "one")
    with pytest.raises(UserError, match=said):
        act(models)
    assert state(models) == (["triage@1"], {})


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("Süd Triage 2", "sud-triage-2"),
        ("support_triage", "support_triage"),
        ("分類", "model"),
        ("..", "model"),
        ("a" * 90, "a" * 64),
        ("smollm2-135m-instruct", "smollm2-135m-instruct-tuned"),
    ],
)
def test_a_folders_name_becomes_that_of_a_model(folder: str, name: str) -> None:
    assert safe_model_name(folder) == name


# --- the data base is lost -----------------------------------------------------------------------


def gone(file: Path) -> None:
    file.unlink()


def garbage(file: Path) -> None:
    file.write_bytes(b"no data base at all\n" * 500)


def half(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def empty(file: Path) -> None:
    os.truncate(file, 0)


def page_of_noise(file: Path) -> None:
    raw = bytearray(file.read_bytes())
    for start in range(4096, len(raw), 4096):
        raw[start : start + 64] = os.urandom(64)
    file.write_bytes(raw)


def no_table(file: Path) -> None:
    with sqlite3.connect(file) as db:
        db.execute("DROP TABLE aliases")
    db.close()


@pytest.mark.parametrize("damage", [gone, garbage, half, empty, page_of_noise, no_table])
def test_a_damaged_data_base_is_made_again_from_the_disk(
    models: Registry, damage: Callable[[Path], None], notes: list[str]
) -> None:
    three(models)
    for number in (1, 2, 3):
        models.set_alias("triage", "production", number)
    models.rollback("triage", "production")
    models.set_alias("triage", "old", 1)
    models.remove_alias("triage", "old")
    models.remove("triage", 3)
    models.note_export(models.resolve("triage@2"), to="gguf", place=Path("/x"), sha256="ab")
    before, history = models.content(), models.history("triage")
    damage(models.database)
    assert models.content() == before
    assert models.history("triage") == history
    assert models.roll_back("triage@production").now == "triage@1"
    assert add(models, "four").id == "triage@4"
    kept = list(models.database.parent.glob("registry.damaged-*"))
    assert bool(kept) == bool(notes) == (damage not in (gone, empty))


def test_without_data_base_and_journal_versions_are_there_and_aliases_are_not(
    models: Registry,
) -> None:
    three(models)
    models.set_alias("triage", "production", 1)
    for name in ("registry.sqlite3", "journal.jsonl"):
        (models.database.parent / name).unlink()
    assert state(models) == (["triage@1", "triage@2", "triage@3"], {})


def test_lines_of_the_journal_that_cannot_be_read_are_told_and_left_out(
    models: Registry, notes: list[str]
) -> None:
    three(models)
    models.set_alias("triage", "production", 1)
    models.set_alias("triage", "canary", 2)
    journal = models.database.parent / "journal.jsonl"
    first, second, _ = journal.read_text().split("\n")
    journal.write_text(f"{first}\nno json\n{second}\n" + '{"half": ')
    models.database.unlink()
    assert state(models)[1] == {"triage@production": "triage@1", "triage@canary": "triage@2"}
    assert "1 line cannot be read" in notes[0]


def test_an_alias_whose_version_is_lost_goes_back_to_the_one_before(
    models: Registry, notes: list[str]
) -> None:
    versions = three(models)
    models.set_alias("triage", "production", 1)
    models.set_alias("triage", "production", 3)
    shutil.rmtree(versions[2].folder)
    models.database.unlink()
    assert state(models) == (["triage@1", "triage@2"], {"triage@production": "triage@1"})
    assert "pointed to triage@3, which is not on the disk any more" in notes[0]


def test_a_version_whose_card_is_damaged_is_left_out_and_told(
    models: Registry, notes: list[str]
) -> None:
    versions = three(models)
    (versions[1].folder / "version.json").write_text("{")
    models.database.unlink()
    assert state(models)[0] == ["triage@1", "triage@3"]
    assert "triage/2/version.json: cannot be read" in notes[0]


def test_a_newer_data_base_is_refused_and_left_alone(models: Registry) -> None:
    add(models, "one")
    with sqlite3.connect(models.database) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    before = models.database.read_bytes()
    with pytest.raises(UserError, match="written by a newer version of Tunewise"):
        models.content()
    assert models.database.read_bytes() == before


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    models = Registry(tmp_path / "home")
    with pytest.raises(UserError, match="TUNEWISE_HOME"), models.staging():
        pass
    with pytest.raises(UserError, match="TUNEWISE_HOME"):
        models.set_alias("triage", "production", 1)


# --- several processes ---------------------------------------------------------------------------


def test_four_processes_move_aliases_at_once_and_no_move_is_lost(
    models: Registry, home: Path
) -> None:
    three(models)
    aliases = ["production", "production", "canary", "canary"]
    running = [process(home, "move", alias, 3, 25) for alias in aliases]
    assert [one.wait(120) for one in running] == [0, 0, 0, 0]
    events = models.history("triage")
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    lines = (home / "journal.jsonl").read_text().splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [event.seq for event in events]
    _, now = state(models)
    assert now == {f"triage@{name}": last_of(events, name) for name in ("canary", "production")}
    before = models.content()
    models.database.unlink()
    assert models.content() == before


def last_of(events: tuple[Event, ...], alias: str) -> str:
    return [f"triage@{event.number}" for event in events if event.alias == alias][-1]


def test_two_who_publish_the_same_run_get_the_same_version(models: Registry, home: Path) -> None:
    found: list[Version] = []
    threads = [
        threading.Thread(target=lambda: found.append(add(Registry(home), "run"))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {one.id for one in found} == {"triage@1"}
    assert state(models)[0] == ["triage@1"]


def test_killed_at_any_step_of_adding_a_version_is_there_whole_or_not_at_all(
    models: Registry, home: Path, tmp_path: Path
) -> None:
    add(models, "old")
    models.set_alias("triage", "production", 1)
    shutil.copytree(home, tmp_path / "before")
    seen: set[tuple[str, ...]] = set()
    for step in range(1, 60):
        shutil.rmtree(home)
        shutil.copytree(tmp_path / "before", home)
        said, _ = process(home, "kill_at", step).communicate(timeout=60)
        after, aliases = state(models)
        seen.add(tuple(after))
        assert after in (["triage@1"], ["triage@1", "triage@2"])
        assert aliases == {"triage@production": "triage@1"}
        again = add(models, "new")
        assert again.id == "triage@2"
        assert sorted(file.name for file in again.folder.iterdir()) == [
            "README.md", "model.json", "version.json",
        ]  # fmt: skip
        assert [one.name for one in (home / "models").iterdir()] == ["triage"]
        if said:
            break
    assert step > 8
    assert "survived" in said
    assert len(seen) == 2


def test_killed_at_any_step_of_a_move_the_alias_points_to_the_old_or_the_new(
    models: Registry, home: Path, tmp_path: Path
) -> None:
    three(models)
    models.set_alias("triage", "production", 1)
    shutil.copytree(home, tmp_path / "before")
    for step in range(1, 30):
        shutil.rmtree(home)
        shutil.copytree(tmp_path / "before", home)
        said, _ = process(home, "kill_moving", step).communicate(timeout=60)
        before = state(models)[1]["triage@production"]
        assert before in ("triage@1", "triage@2")
        models.set_alias("triage", "production", 3)
        models.database.unlink()
        assert state(models)[1] == {"triage@production": "triage@3"}
        assert models.roll_back("triage@production").now == before
        if said:
            break
    assert step > 2
    assert "survived" in said
