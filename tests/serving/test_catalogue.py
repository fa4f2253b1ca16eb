"""What is served follows the registry, without a restart."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from every_kind import EveryKind
from served_models import user
from tunewise.pipelines.publish import publish, publish_adapter
from tunewise.progress import Silent
from tunewise.runs.model_file import BaseUsed, Origin
from tunewise.runs.model_names import base_id
from tunewise.runs.registry import Registry
from tunewise.serving.catalogue import RegistryCatalogue
from tunewise.serving.protocol import Answered, Catalogue, Prompted
from tunewise.serving.served import VersionServed


@pytest.fixture
def registry(every_kind: EveryKind) -> Registry:
    """triage@1 is zero_shot, triage@2 the constant."""
    registry = Registry()
    for contender in ("zero_shot", "constant"):
        publish(every_kind.run, contender=contender, registry=registry, progress=Silent())
    return registry


@pytest.fixture
def note() -> list[str]:
    return []


@pytest.fixture
def catalogue(registry: Registry, note: list[str]) -> RegistryCatalogue:
    return RegistryCatalogue(registry, note=note.append)


def resolved(catalogue: Catalogue, name: str) -> str | None:
    found = catalogue.find(name)
    return found.resolved if found else None


def kinds(catalogue: Catalogue) -> Mapping[str, str]:
    return {one.id: one.kind for one in catalogue.models() if one.kind != "embedding"}


def test_bases_versions_and_aliases_are_listed(
    catalogue: RegistryCatalogue, registry: Registry
) -> None:
    registry.point("triage@production", "1")
    assert kinds(catalogue) == {
        "small-llama": "base",
        "triage": "alias",
        "triage@1": "version",
        "triage@2": "version",
        "triage@production": "alias",
    }
    listed = {one.id: one for one in catalogue.models()}
    assert listed["triage"].resolved == listed["triage@production"].resolved == "triage@1"
    assert listed["triage@1"].created > 1_700_000_000
    assert "/" not in "".join(listed)


def test_everything_listed_is_found_and_nothing_else(
    catalogue: RegistryCatalogue, registry: Registry
) -> None:
    registry.point("triage@production", "1")
    for name in kinds(catalogue):
        assert catalogue.find(name) is not None
    for name in ("triage@3", "spam", "triage@canary", "", "../triage", "all-minilm-l6-v2"):
        assert catalogue.find(name) is None


def test_an_alias_moved_by_another_process_is_followed(
    catalogue: RegistryCatalogue, registry: Registry
) -> None:
    other = Registry()
    for number in ("1", "2", "1", "2"):
        other.point("triage@production", number)
        assert resolved(catalogue, "triage@production") == f"triage@{number}"
        assert resolved(catalogue, "triage") == f"triage@{number}"
    other.roll_back("triage@production")
    model = catalogue.find("triage@production")
    assert isinstance(model, VersionServed)
    assert (model.name, model.resolved) == ("triage@production", "triage@1")
    assert isinstance(model.prepare(user("message 3")), Prompted)
    assert isinstance(catalogue.find("triage@2").prepare(user("message 3")), Answered)  # type: ignore[union-attr]


def test_a_registry_that_is_made_again_is_followed(
    catalogue: RegistryCatalogue, registry: Registry
) -> None:
    registry.point("triage@production", "1")
    assert resolved(catalogue, "triage") == "triage@1"
    registry.database.write_bytes(b"garbage" * 1000)
    registry.point("triage@production", "2")
    assert resolved(catalogue, "triage") == "triage@2"


def test_a_version_that_is_published_and_one_that_is_removed_are_seen(
    catalogue: RegistryCatalogue, registry: Registry, every_kind: EveryKind
) -> None:
    assert resolved(catalogue, "triage") == "triage@2"
    publish(every_kind.run, contender="prompt", registry=registry, progress=Silent())
    assert resolved(catalogue, "triage") == "triage@3"
    registry.remove("triage", 3)
    assert resolved(catalogue, "triage@3") is None


def test_what_a_version_has_read_is_shared_by_its_names_and_kept_while_others_change(
    catalogue: RegistryCatalogue, registry: Registry
) -> None:
    before = catalogue.find("triage@1")
    registry.point("triage@production", "1")
    after = catalogue.find("triage@production")
    assert isinstance(before, VersionServed)
    assert isinstance(after, VersionServed)
    assert before.loaded is after.loaded


def test_held_aliases_mean_the_old_version_until_the_new_one_is_ready(registry: Registry) -> None:
    registry.point("triage@production", "1")
    held = RegistryCatalogue(registry, held=True)
    assert resolved(held, "triage@production") == "triage@1"
    assert held.waiting() == ()
    registry.point("triage@production", "2")
    assert resolved(held, "triage@production") == "triage@1"
    assert resolved(held, "triage@2") == "triage@2"
    waiting = {one.name: one for one in held.waiting()}
    assert {name: one.resolved for name, one in waiting.items()} == {
        "triage": "triage@2",
        "triage@production": "triage@2",
    }
    assert held.flip(waiting["triage@production"])
    assert resolved(held, "triage@production") == "triage@2"
    assert [one.name for one in held.waiting()] == ["triage"]


def test_a_flip_that_comes_too_late_is_none(registry: Registry) -> None:
    registry.point("triage@production", "1")
    held = RegistryCatalogue(registry, held=True)
    held.models()
    registry.point("triage@production", "2")
    (late, *_) = (one for one in held.waiting() if one.name == "triage@production")
    registry.roll_back("triage@production")
    assert not held.flip(late)
    assert resolved(held, "triage@production") == "triage@1"
    assert held.waiting() == ()


def test_a_held_alias_whose_old_version_is_removed_means_the_new_one(registry: Registry) -> None:
    registry.point("triage@production", "1")
    held = RegistryCatalogue(registry, held=True)
    held.models()
    registry.point("triage@production", "2")
    registry.remove("triage", 1)
    assert resolved(held, "triage@production") == "triage@2"


def test_only_the_names_asked_for_are_served(registry: Registry, every_kind: EveryKind) -> None:
    publish(every_kind.run, name="spam", contender="constant", registry=registry, progress=Silent())
    only = RegistryCatalogue(registry, names=["spam"], bases=["org/some-model"])
    assert kinds(only) == {"org/some-model": "base", "spam": "alias", "spam@1": "version"}
    assert only.find("triage@1") is None


def test_a_damaged_version_is_told_once_and_the_others_are_served(
    catalogue: RegistryCatalogue, registry: Registry, note: list[str]
) -> None:
    (registry.resolve("triage@2").folder / "model.json").write_text("{")
    assert resolved(catalogue, "triage@2") is None
    assert resolved(catalogue, "triage@1") == "triage@1"
    assert "triage@2" not in kinds(catalogue)
    assert len(note) == 1
    assert "triage@2 is not served" in note[0]


def test_the_model_of_a_job_is_found_by_the_name_that_it_was_given(
    catalogue: RegistryCatalogue, registry: Registry, every_kind: EveryKind
) -> None:
    name = "ft:org/base:tunewise::a1"
    publish_adapter(
        every_kind.run / "models" / "fine_tune",
        name="mine",
        base=BaseUsed(name=every_kind.model.name),
        origin=Origin(project="", run="job", token="job"),
        known_as=name,
        registry=registry,
    )
    assert resolved(catalogue, name) == "mine@1"
    assert kinds(catalogue)[name] == "alias"
    model = catalogue.find(name)
    assert model is not None
    assert model.prepare(user("Hi")) == Prompted(messages=user("Hi"), max_tokens=None)
    assert model.weights is not None
    assert model.weights.adapter is not None


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("smollm2-135m-instruct", "smollm2-135m-instruct"),
        ("organisation/some-model", "organisation/some-model"),
        ("/models/some-model", "some-model"),
        ("/models/some-model.gguf", "some-model"),
    ],
)
def test_no_path_of_the_server_is_shown(name: str, shown: str) -> None:
    assert base_id(name) == shown


def test_without_a_registry_the_bases_are_served(tmp_path: Path) -> None:
    empty = RegistryCatalogue(Registry(tmp_path / "none"), bases=["org/some-model"])
    assert kinds(empty) == {"org/some-model": "base"}
    assert not (tmp_path / "none").exists()


def test_looking_up_asks_the_data_base_only_when_it_changed(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    content = registry.content

    def counted() -> object:
        read.append(1)
        return content()

    monkeypatch.setattr(registry, "content", counted)
    catalogue = RegistryCatalogue(registry)
    for _ in range(50):
        catalogue.find("triage@1")
    assert len(read) == 1
    Registry().point("triage@production", "1")
    catalogue.find("triage@1")
    assert len(read) == 2
