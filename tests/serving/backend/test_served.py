"""What won a run is asked of a back end in the words in which it was judged."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from backends import SEEN_AS, served_by
from every_kind import NAMES, EveryKind
from http_serving import Served
from stand_in_vllm import VllmStandIn
from tunewise.models.stored import adapter_hash
from tunewise.pipelines.publish import publish
from tunewise.progress import Silent
from tunewise.runs.registry import Registry
from tunewise.serving.backend.vllm import turns_of
from tunewise.serving.catalogue import RegistryCatalogue, base_id
from tunewise.serving.protocol import Weights

WITHOUT_A_MODEL = ("constant", "classifier")


@dataclass
class Shop:
    """A server of every kind of model, and its back end."""

    served: Served
    vllm: VllmStandIn
    versions: dict[str, str]
    """Contender -> version."""


@pytest.fixture(scope="module")
def shop(every_kind: EveryKind, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    registry = Registry(tmp_path_factory.mktemp("home"))
    versions = {
        name: publish(every_kind.run, contender=name, registry=registry, progress=Silent()).id
        for name in NAMES
    }
    base = every_kind.model.name
    vllm = VllmStandIn(base_id(base), folder=registry.models, seen_as=SEEN_AS)
    catalogue = RegistryCatalogue(registry)
    with served_by(vllm, (Weights(base=base),), catalogue=catalogue) as served:
        yield Shop(served, vllm, versions)
    catalogue.close()
    vllm.stop()


@pytest.mark.parametrize("contender", NAMES)
def test_the_back_end_is_asked_what_decide_asked(
    shop: Shop, every_kind: EveryKind, contender: str
) -> None:
    messages: Any = turns_of(every_kind.inputs[0].messages)
    shop.vllm.asked.clear()
    shop.vllm.script = lambda asked: "Answer: refund"
    version = shop.versions[contender]
    got = shop.served.client().chat.completions.create(model=version, messages=messages)
    assert got.model == version
    if contender in WITHOUT_A_MODEL:
        assert got.choices[0].message.content
        assert shop.vllm.asked == []
        return
    (asked,) = shop.vllm.asked
    judged = every_kind.asked[contender][0]
    assert asked["messages"] == turns_of(judged.messages)
    assert asked["max_completion_tokens"] == judged.sampling.max_tokens
    if judged.adapter is None:
        assert asked["model"] == shop.vllm.served
    else:
        assert asked["model"] == f"tunewise-{adapter_hash(judged.adapter)[:16]}"
        # Versions with the same adapter share what the first of them loaded.
        assert shop.vllm.adapters[asked["model"]] in {
            f"{SEEN_AS}/{one.replace('@', '/')}/adapter" for one in shop.versions.values()
        }
