"""Which files the engine `llamacpp` opens."""

from dataclasses import replace
from pathlib import Path

import pytest

from small_models import adapter, tensors, write_small_gguf
from tunewise.errors import UserError
from tunewise.models.adapters import merge_into_gguf
from tunewise.models.catalog import LocalModel
from tunewise.serving.engine import llamacpp
from tunewise.serving.engine.llamacpp import CONVERTED, LlamaCppBackend


@pytest.fixture
def unread(small_llama: LocalModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalModel:
    """The small model, as if OpenVINO's reader did not know its family."""
    monkeypatch.setattr(llamacpp, "convert_to_gguf", write_small_gguf)
    folder = tmp_path / "prepared"
    folder.mkdir()
    for file in small_llama.folder.glob("[!m]*.json"):
        (folder / file.name).write_bytes(file.read_bytes())
    for file in small_llama.folder.glob("*.safetensors"):
        (folder / file.name).symlink_to(file)
    return replace(small_llama, folder=folder, gguf=None, no_gguf="the family is unknown")


def test_a_gguf_file_is_opened_as_it_is(small_llama: LocalModel) -> None:
    assert small_llama.gguf is not None
    assert LlamaCppBackend().base_file(str(small_llama.gguf), small_llama) == small_llama.gguf


def test_what_openvino_reads_is_opened_from_the_same_file(small_llama: LocalModel) -> None:
    assert LlamaCppBackend().base_file(small_llama.name, small_llama) == small_llama.gguf


def test_another_family_is_converted_once(unread: LocalModel, small_llama: LocalModel) -> None:
    backend = LlamaCppBackend()
    made = backend.base_file(unread.name, unread)
    assert made == unread.folder / CONVERTED
    assert small_llama.gguf is not None
    assert tensors(made) == tensors(small_llama.gguf)
    before = made.stat().st_mtime_ns
    assert backend.base_file(unread.name, unread).stat().st_mtime_ns == before


def test_an_adapter_of_another_family_is_merged_as_one_of_a_known_family_is(
    unread: LocalModel, small_llama: LocalModel, tmp_path: Path
) -> None:
    tuned = adapter(small_llama, tmp_path / "tuned", rank=4, alpha=6, use_rslora=True)
    merged, known = tmp_path / "merged.gguf", tmp_path / "known.gguf"
    LlamaCppBackend().merge(unread, tuned, merged)
    merge_into_gguf(small_llama, tuned, known)
    assert tensors(merged) == tensors(known)
    assert not list(tmp_path.glob(".merged*"))


def test_what_cannot_be_converted_says_what_to_do(
    unread: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llamacpp, "convert_to_gguf", lambda folder, out: "it is a mystery")
    with pytest.raises(UserError, match=r"it is a mystery.*--engine transformers"):
        LlamaCppBackend().base_file(unread.name, unread)
    assert not list(unread.folder.glob("*.gguf"))
