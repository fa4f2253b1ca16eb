from pathlib import Path

import pytest

from chat_engines import cache_of
from small_models import adapter
from tunewise.errors import UserError
from tunewise.models.catalog import LocalModel
from tunewise.serving.engine.openvino import OpenVinoBackend
from tunewise.serving.engine.prepared import Preparer
from tunewise.serving.protocol import Weights


@pytest.fixture(autouse=True)
def prepared_before(small_llama: LocalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """The small model is found as the catalog prepared it."""
    monkeypatch.setenv("TUNEWISE_CACHE", str(cache_of(small_llama)))


def test_an_adapter_becomes_a_file_of_its_own_and_the_last_few_are_kept(
    small_llama: LocalModel, tmp_path: Path
) -> None:
    merged = tmp_path / "merged"
    merged.mkdir()
    preparer = Preparer(OpenVinoBackend(), merged, kept=2)
    tuned = [adapter(small_llama, tmp_path / str(n), seed=n) for n in range(3)]

    def prepared(number: int) -> Path:
        weights = Weights(base=small_llama.name, adapter=tuned[number])
        return preparer.submit(weights).result().file

    first, second = prepared(0), prepared(1)
    assert first.read_bytes() != second.read_bytes()
    assert prepared(0) == first
    third = prepared(2)
    assert set(merged.iterdir()) == {first, third}
    assert prepared(1) == second
    assert set(merged.iterdir()) == {second, third}


def test_the_base_is_opened_from_its_own_file(small_llama: LocalModel, tmp_path: Path) -> None:
    prepared = Preparer(OpenVinoBackend(), tmp_path).submit(Weights(base=small_llama.name)).result()
    assert prepared.file == prepared.base.file == small_llama.gguf
    assert list(tmp_path.iterdir()) == []


def test_an_adapter_of_another_base_is_refused(
    small_llama: LocalModel, small_qwen: LocalModel, tmp_path: Path
) -> None:
    other = adapter(small_qwen, tmp_path / "other")
    submitted = Preparer(OpenVinoBackend(), tmp_path).submit(
        Weights(base=small_llama.name, adapter=other)
    )
    with pytest.raises(UserError, match="trained for another base"):
        submitted.result()
