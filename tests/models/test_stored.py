from pathlib import Path

from tunewise.models.catalog import LocalModel
from tunewise.models.loading import load_model
from tunewise.models.stored import parameters, stored_tensors


def test_weights_are_counted_from_headers_shared_ones_once(small_llama: LocalModel) -> None:
    model = load_model(small_llama.folder)
    assert parameters(small_llama.folder) == sum(p.numel() for p in model.parameters())


def test_each_tensor_tells_how_it_is_stored(small_llama: LocalModel) -> None:
    found = stored_tensors(small_llama.folder)
    assert {facts["dtype"] for facts in found.values()} == {"F32"}
    assert "__metadata__" not in found


def test_a_folder_without_weights_has_none(tmp_path: Path) -> None:
    assert parameters(tmp_path) == 0
