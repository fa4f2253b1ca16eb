"""Every example project is whole: what it is, its rows, how far its readers agree."""

import json
from pathlib import Path

import pytest

from places import ROOT
from tunewise.project.examples import examples
from tunewise.project.load import load_project

EXAMPLES = {one.name: one for one in examples()}
OF_THE_DESK = [file.parent for file in sorted(ROOT.glob("examples/eshop/projects/*/tunewise.toml"))]
OLD = {"product_manuals": 164}
"""Projects with fewer rows than the 240 of the others."""


@pytest.mark.parametrize("name", EXAMPLES)
def test_it_is_a_project_with_a_page_and_rows(name: str) -> None:
    example = EXAMPLES[name]
    project = load_project(example.folder)
    assert project.task.instruction
    assert example.rows >= OLD.get(name, 240)
    readme = (example.folder / "README.md").read_text("utf-8")
    assert f"tunewise decide examples/{name}" in readme
    assert f"{example.rows}" in readme, "the page counts other rows than there are"


@pytest.mark.parametrize(
    "folder", [*(one.folder for one in EXAMPLES.values()), *OF_THE_DESK], ids=lambda f: f.name
)
def test_a_second_reader_was_asked(folder: Path) -> None:
    reading = json.loads((folder / "reading.json").read_text("utf-8"))
    assert reading["readers"]
    assert reading["rows"] >= len((folder / "examples.jsonl").read_text("utf-8").splitlines())
    assert reading["agreement"]
    for part, said in reading["agreement"].items():
        assert 0.5 <= said["share"] <= 1.0, part
        assert said.get("kappa", 1.0) <= 1.0
    assert 0 <= reading["disputed"] <= reading["rows"]
    assert sum(reading["settled"].values()) >= reading["disputed"]


def test_each_stands_in_the_list_of_examples() -> None:
    folders = {file.parent.name for file in (ROOT / "examples").glob("*/tunewise.toml")}
    assert folders == EXAMPLES.keys()
