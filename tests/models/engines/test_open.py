import importlib.util
from pathlib import Path

import pytest
import torch

import small_models
from small_models import build, user
from tunewise.errors import UserError
from tunewise.models import catalog
from tunewise.models.engines.open import open_endpoint, open_engine
from tunewise.models.engines.protocol import Request, Sampling
from tunewise.progress import Silent
from tunewise.project.settings import Model
from tunewise.types import Generation

WRITE_GGUF = catalog.write_gguf


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNEWISE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(catalog, "write_gguf", small_models.write_small_gguf)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def no_gguf(folder: Path, out: Path) -> str:
    return "nobody converts it"


def test_without_a_gpu_a_model_with_a_gguf_file_runs_on_openvino(small_folder: Path) -> None:
    opened = open_engine(Model(base=str(small_folder)), progress=Silent())
    assert opened.engine.name == "openvino"
    assert opened.why == "no GPU, and its GGUF reader knows the family llama"
    assert opened.model
    assert opened.model.family == "llama"


def test_what_has_no_gguf_file_falls_back_to_transformers_and_says_why(
    small_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog, "write_gguf", no_gguf)
    opened = open_engine(Model(base=str(small_folder)), progress=Silent())
    assert (opened.engine.name, opened.why) == ("transformers", "nobody converts it")


@pytest.mark.parametrize("engine", ["openvino", "transformers"])
def test_an_engine_that_is_named_is_taken(engine: str, small_folder: Path) -> None:
    opened = open_engine(Model(base=str(small_folder), engine=engine), progress=Silent())
    assert (opened.engine.name, opened.why) == (engine, "set in [model]")


def test_openvino_without_a_gguf_file_is_one_clear_error(
    small_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog, "write_gguf", no_gguf)
    with pytest.raises(UserError, match=r"openvino cannot run .*: nobody converts it\. Use engine"):
        open_engine(Model(base=str(small_folder), engine="openvino"), progress=Silent())


def test_another_family_than_openvino_knows_still_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = build(tmp_path / "model", family="gpt_neox", num_key_value_heads=4)
    monkeypatch.setattr(catalog, "write_gguf", WRITE_GGUF)
    opened = open_engine(Model(base=str(folder)), progress=Silent())
    assert opened.engine.name == "transformers"
    assert opened.why == "OpenVINO's GGUF reader does not know the family gpt_neox"
    (made,) = opened.engine.generate(
        [Request(messages=user("zip"), sampling=Sampling(max_tokens=4))]
    )
    assert isinstance(made, Generation)


def test_the_scripted_engine_says_the_last_turn_again() -> None:
    opened = open_engine(Model(engine="scripted"), progress=Silent())
    (made,) = opened.engine.generate([Request(messages=user("zip"))])
    assert isinstance(made, Generation)
    assert (made.text, opened.model) == ("zip", None)


def test_without_the_extra_an_endpoint_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'tunewise\[openai\]'"):
        open_endpoint(model="m", base_url="http://127.0.0.1:9", api_key_env="X", concurrency=1)
