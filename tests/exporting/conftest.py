import pytest

import small_models
from tunewise.exporting import gguf


@pytest.fixture(autouse=True)
def small_converter(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exports convert in this process, for tokenizers that the real converter refuses."""
    if request.node.get_closest_marker("slow") is None:
        monkeypatch.setattr(gguf, "convert_to_gguf", small_models.write_small_gguf)
