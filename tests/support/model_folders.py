"""Opens models, and reads the one error that a person would."""

from pathlib import Path

import pytest

from tunewise.errors import UserError
from tunewise.models.catalog import LocalModel, open_model
from tunewise.progress import Silent


def opened(name: Path | str, cache: Path) -> LocalModel:
    return open_model(str(name), progress=Silent(), cache=cache)


def fault(name: Path | str, cache: Path) -> str:
    with pytest.raises(UserError) as caught:
        opened(name, cache)
    text = str(caught.value)
    assert text.startswith("model.base: ")
    assert "\n" not in text
    return text


def visible(cache: Path) -> list[str]:
    """Names in the cache but for locks."""
    return sorted(p.name for p in (cache / "models").iterdir() if p.suffix != ".lock")
