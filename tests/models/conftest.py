import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from chat_endpoint import Endpoint


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    running = Endpoint()
    yield running
    running.server.shutdown()
    running.server.server_close()


@pytest.fixture
def source(small_folder: Path, tmp_path: Path) -> Path:
    """A copy of the small model that a test may change."""
    return shutil.copytree(small_folder, tmp_path / "my model")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"
