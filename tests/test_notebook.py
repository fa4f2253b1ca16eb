"""docs/notebook.ipynb, executed as a reader would: a real kernel, real contenders."""

import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from places import ROOT

NOTEBOOK = ROOT / "docs" / "notebook.ipynb"


def printed(cell: Any) -> str:
    """What a cell said while it worked, and what it ended with, as text."""
    said = [one.get("text", "") or one["data"]["text/plain"] for one in cell.outputs]
    return "".join(said)


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "examples" / "support_triage", folder / "examples" / "support_triage")
    (folder / "docs").mkdir()
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    where = {"metadata": {"path": str(folder / "docs")}}
    client = NotebookClient(notebook, timeout=600, resources=where, coalesce_streams=True)
    client.execute()
    return notebook


@pytest.mark.slow
def test_every_cell_runs_and_the_verdict_draws_itself(executed: Any) -> None:
    code = [cell for cell in executed.cells if cell.cell_type == "code"]
    (drawn,) = [one for cell in code for one in cell.outputs if "<strong>" in str(one)]
    assert "classifier" in drawn["data"]["text/html"]
    assert printed(code[-1]).strip() == "True"


@pytest.mark.slow
def test_progress_is_plain_lines_without_warnings(executed: Any) -> None:
    streams = [one for cell in executed.cells for one in cell.get("outputs", ()) if "name" in one]
    assert {one["name"] for one in streams} == {"stdout"}
    said = "".join(one["text"] for one in streams)
    assert "the whole run: done in" in said
    assert "\x1b" not in said


def test_the_outputs_kept_in_the_page_are_those_of_its_code() -> None:
    kept = nbformat.read(NOTEBOOK, as_version=4)
    code = [cell for cell in kept.cells if cell.cell_type == "code"]
    assert all(cell.outputs for cell in code)
    assert not any(one.output_type == "error" for cell in code for one in cell.outputs)
    assert not any(str(Path.home()) in str(cell.outputs) for cell in code)
