import json
import shutil
from pathlib import Path

import pytest

from small_models import build
from tunewise.models import sources
from tunewise.models.catalog import open_model
from tunewise.models.tokenizers import find_tokenizer
from tunewise.progress import Silent
from tunewise.project.settings import STARTER_MODEL, Model


@pytest.fixture(autouse=True)
def nothing_is_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


def test_a_folder_brings_its_tokenizer_and_its_window(small_folder: Path, tmp_path: Path) -> None:
    found = find_tokenizer(Model(base=str(small_folder)), cache=tmp_path)
    assert found.tokenizer is not None
    assert found.tokenizer.encode("Where is my order?", add_special_tokens=False)
    assert found.context_tokens == 256
    assert not (tmp_path / "models").exists()


def test_the_window_of_a_family_with_other_names_is_found(tmp_path: Path) -> None:
    gpt2 = build(tmp_path / "gpt2", family="gpt2", max_position_embeddings=96)
    assert find_tokenizer(Model(base=str(gpt2)), cache=tmp_path / "cache").context_tokens == 96
    model = open_model(str(gpt2), progress=Silent(), cache=tmp_path / "cache")
    assert model.context_tokens == 96


def test_a_model_that_was_prepared_once_is_found_by_its_name(
    small_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_gguf: None
) -> None:
    monkeypatch.setattr(sources, "_starter", lambda: small_folder)
    assert find_tokenizer(Model(base=STARTER_MODEL), cache=tmp_path).tokenizer is None
    open_model(STARTER_MODEL, progress=Silent(), cache=tmp_path)
    found = find_tokenizer(Model(base=STARTER_MODEL), cache=tmp_path)
    assert found.tokenizer is not None
    assert found.context_tokens == 256


@pytest.mark.parametrize("base", [STARTER_MODEL, "organisation/model", "/no/such/folder", "x.gguf"])
def test_a_model_that_is_not_here_is_said_and_not_fetched(base: str, tmp_path: Path) -> None:
    found = find_tokenizer(Model(base=base), cache=tmp_path)
    assert found.tokenizer is None
    assert found.why_not == f"the model {base} is not on this machine yet"


def test_a_damaged_tokenizer_is_said(small_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(small_folder, folder)
    (folder / "tokenizer.json").write_text(json.dumps({"model": 3}))
    found = find_tokenizer(Model(base=str(folder)), cache=tmp_path)
    assert found.tokenizer is None
    assert "cannot be read" in found.why_not


@pytest.mark.parametrize("engine", ["openai", "scripted"])
def test_a_model_behind_another_engine_has_no_tokenizer_here(engine: str, tmp_path: Path) -> None:
    found = find_tokenizer(Model(base="gpt", engine=engine), cache=tmp_path)
    assert (found.tokenizer, found.why_not) == (None, f"gpt runs behind the engine {engine}")
