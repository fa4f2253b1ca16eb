"""A search that was decided gets a name, and its embedding model is served by it."""

import json
from pathlib import Path

import numpy as np
import pytest

import small_sentence_model
from decide_projects import decide, opened, scripted
from http_serving import serving
from search_rows import TOPICS, write_search_project
from served_models import user
from tunewise.errors import UserError
from tunewise.pipelines.publish import publish
from tunewise.progress import Silent
from tunewise.retrieval.embed import load_embedder
from tunewise.runs.registry import Registry
from tunewise.serving.catalogue import RegistryCatalogue
from tunewise.serving.protocol import RefusedError

SETTINGS = """
[contenders]
embedding_model = "{model}"
[training]
learning_rate = 3e-3
epochs = 4
seeds = 1
[decision]
measure = []
"""
TEXTS = ["stove stove warranty", "gas", "a tent in the rain"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("search")
    model = small_sentence_model.build(folder / "sentences")
    project = write_search_project(folder / "desk", rows=240, more=SETTINGS.format(model=model))
    return decide(project, opener=opened(scripted(lambda request: "")))


@pytest.fixture
def registry(run: Path) -> Registry:
    registry = Registry()
    publish(run, name="find", registry=registry, progress=Silent())
    registry.set_alias("find", "production", 1)
    return registry


def test_a_client_gets_the_vectors_of_the_model_that_was_tuned(
    registry: Registry, run: Path
) -> None:
    tuned = load_embedder(run / "models" / "fine_tune_embedding").encode(TEXTS)
    with serving(catalogue=RegistryCatalogue(registry)) as running:
        for name in ("find@1", "find@production"):
            got = running.client().embeddings.create(model=name, input=TEXTS)
            assert np.allclose([one.embedding for one in got.data], tuned, atol=1e-6)
            assert got.model == name
        with running.http() as http:
            told = http.post("/v1/embeddings", json={"model": "find@production", "input": "gas"})
    assert told.headers["x-tunewise-model"] == "find@1"


def test_it_finds_what_belongs_to_a_question(registry: Registry) -> None:
    model = RegistryCatalogue(registry).find("find@1")
    assert model is not None
    embedder = model.embedder()
    assert embedder is not None
    names = [name.removesuffix(".md") for name in TOPICS]
    documents = embedder.encode([f"{name} {name} {name} warranty" for name in names])
    for place, words in enumerate(TOPICS.values()):
        likeness = embedder.encode([f"{words[0]} new 1"]) @ documents.T
        assert int(likeness.argmax()) == place


def test_asked_to_chat_it_says_what_it_is_for(registry: Registry) -> None:
    model = RegistryCatalogue(registry).find("find@1")
    assert model is not None
    with pytest.raises(RefusedError, match="makes embeddings and answers nothing"):
        model.prepare(user("hello"))


def test_its_card_names_the_library_that_reads_it(registry: Registry) -> None:
    version = registry.resolve("find@1")
    card = (version.folder / "README.md").read_text("utf-8")
    assert "library_name: sentence-transformers" in card
    assert "pipeline_tag: sentence-similarity" in card
    listed = json.loads((version.folder / "model.json").read_text("utf-8"))
    assert listed["kind"] == "fine_tune_embedding"


def test_a_search_that_learned_nothing_is_no_model(run: Path) -> None:
    with pytest.raises(UserError, match="a search over the project's documents"):
        publish(run, contender="bm25", registry=Registry(), progress=Silent())
