from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from example_run import write_run
from tunewise.runs.read import read_run
from tunewise.runs.schema import Run


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Run]:
    """Writes a run folder and reads it back; arguments are those of `write_run`."""

    def make(**arguments: Any) -> Run:
        return read_run(write_run(tmp_path / "runs" / "shop", **arguments))

    return make
