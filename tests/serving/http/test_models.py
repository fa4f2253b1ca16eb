"""The official client lists what is served, and deletes what may be."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import openai
import pytest
from openai.types import Model

from http_serving import EMBEDDING, TRAINED, Served, serving
from served_models import write_versions
from tunewise.runs.registry import Registry, Version
from tunewise.serving.catalogue import RegistryCatalogue
from tunewise.serving.http.access import access_for
from tunewise.serving.keys import KeyFile


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving() as running:
        yield running


def test_everything_is_listed_on_one_page(served: Served) -> None:
    listed = list(served.client().models.list())
    names = [model.id for model in listed]
    assert names == [*served.catalogue.served, EMBEDDING]
    with served.http() as http:
        page = http.get("/v1/models").json()
    assert (page["object"], page["has_more"]) == ("list", False)
    assert (page["first_id"], page["last_id"]) == (names[0], names[-1])
    for one in page["data"]:
        Model.model_validate(one)


def test_an_alias_says_what_it_stands_for(served: Served) -> None:
    found = served.client().models.retrieve("triage@production")
    assert found.model_extra == {"kind": "alias", "resolved": "triage@3"}
    assert served.client().models.retrieve("triage@3").model_extra == {"kind": "version"}


def test_names_with_colons_slashes_and_at_signs_are_found(served: Served) -> None:
    assert served.client().models.retrieve(TRAINED).id == TRAINED
    with served.http() as http:
        for written in (TRAINED, quote(TRAINED), quote(TRAINED, safe="")):
            assert http.get(f"/v1/models/{written}").json()["id"] == TRAINED


@pytest.mark.parametrize("name", ["gpt-4", "triage@4", "triage", "base/", "a/../base", "%2e"])
def test_a_model_that_is_not_there_is_a_404(served: Served, name: str) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        served.client().models.retrieve(name)
    assert caught.value.param == "model"
    with pytest.raises(openai.NotFoundError):
        served.client().chat.completions.create(
            model=name, messages=[{"role": "user", "content": "x"}]
        )


@dataclass
class Shop:
    """A server of triage@1, which `production` means, and triage@2, and its registry."""

    served: Served
    registry: Registry
    needs: dict[str, str]
    """Version -> what needs it."""

    def delete(self, name: str, key: str = "any") -> None:
        gone = self.served.client(key).models.delete(name)
        assert (gone.id, gone.object, gone.deleted) == (name, "model", True)

    @property
    def names(self) -> set[str]:
        """Versions and aliases that are there."""
        content = self.registry.content()
        return {one.id for one in (*content.versions, *content.aliases)}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    registry = Registry(tmp_path / "home")
    write_versions(registry)
    registry.point("triage@production", "1")
    needs: dict[str, str] = {}

    def needed(version: Version) -> str | None:
        return needs.get(version.id)

    catalogue = RegistryCatalogue(registry, needed=needed)
    with serving(catalogue=catalogue) as running:
        yield Shop(running, registry, needs)
    catalogue.close()


def test_a_version_is_deleted_and_asked_no_more(shop: Shop) -> None:
    shop.delete("triage@2")
    assert shop.names == {"triage@1", "triage@production"}
    client = shop.served.client()
    assert "triage@2" not in [model.id for model in client.models.list()]
    for again in (client.models.delete, client.models.retrieve):
        with pytest.raises(openai.NotFoundError) as missing:
            again("triage@2")
        assert missing.value.code == "model_not_found"


def test_a_version_that_an_alias_means_is_a_409_until_that_is_deleted(shop: Shop) -> None:
    with pytest.raises(openai.ConflictError, match="triage@production points to it") as refused:
        shop.delete("triage@1")
    assert (refused.value.param, refused.value.code) == ("model", "model_in_use")
    assert refused.value.type == "invalid_request_error"
    assert "triage@1" in shop.names
    shop.delete("triage@production")
    assert shop.names == {"triage@1", "triage@2"}
    shop.delete("triage@1")
    assert shop.names == {"triage@2"}


def test_a_version_that_a_job_needs_is_a_409_and_its_alias_may_go(shop: Shop) -> None:
    shop.needs |= {"triage@1": "job 7 publishes it", "triage@2": "job 7 publishes it"}
    with pytest.raises(openai.ConflictError, match="job 7 publishes it"):
        shop.delete("triage@2")
    shop.delete("triage@production")
    assert shop.names == {"triage@1", "triage@2"}


@pytest.mark.parametrize("name", ["base", EMBEDDING])
def test_a_base_model_is_never_deleted(shop: Shop, name: str) -> None:
    with pytest.raises(openai.BadRequestError, match="is a base model") as refused:
        shop.delete(name)
    assert refused.value.code == "model_not_deletable"


def test_a_name_alone_means_several_versions_and_deletes_none(shop: Shop) -> None:
    with pytest.raises(openai.BadRequestError, match="Name the version to delete"):
        shop.delete("triage")
    assert {"triage@1", "triage@2"} < shop.names


@pytest.mark.parametrize("name", ["spam", "triage@9", "triage@canary", "../triage", "triage@"])
def test_what_is_not_there_is_a_404(shop: Shop, name: str) -> None:
    with pytest.raises(openai.NotFoundError):
        shop.delete(name)


def test_deleting_needs_an_admins_key(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / "keys.json")
    registry = Registry(tmp_path / "home")
    write_versions(registry)
    chat, jobs = (keys.new(scope, [scope]).secret for scope in ("chat", "jobs"))
    admin = keys.new("admin", ["admin"]).secret
    access = access_for("127.0.0.1", keys=keys, require_key=True)
    with serving(catalogue=RegistryCatalogue(registry), access=access) as running:
        for key in (chat, jobs):
            with pytest.raises(openai.PermissionDeniedError, match="scope `admin`"):
                running.client(key).models.delete("triage@2")
        assert running.client(admin).models.delete("triage@2").deleted
