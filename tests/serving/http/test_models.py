"""The official client lists what is served."""

from collections.abc import Iterator
from urllib.parse import quote

import openai
import pytest
from openai.types import Model

from http_serving import EMBEDDING, TRAINED, Served, serving


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
