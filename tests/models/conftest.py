import shutil
from pathlib import Path

import pytest


@pytest.fixture
def source(small_folder: Path, tmp_path: Path) -> Path:
    """A copy of the small model that a test may change."""
    return shutil.copytree(small_folder, tmp_path / "my model")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"
