"""Folders of documents that people met trouble with, as they lie in ../shared/cases."""

from pathlib import Path

import pytest

from places import ROOT
from tunewise.data.documents.read import look_at_documents
from tunewise.retrieval.chunk import chunk

CASES = ROOT.parent / "shared" / "cases"


def case(name: str) -> Path:
    folder = CASES / name / "docs"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not on this machine")
    return folder


def test_front_matter_and_template_tags_reach_no_passage() -> None:
    found = look_at_documents(case("17-front-matter"))
    assert found.faults == ()
    passages = {one.document: one.text for one in chunk(found.documents, words=120)}
    assert passages["install.md"] == (
        "Pitching the tent Alto\nUnfold the inner tent first.\n\nPoles\nThe red pole goes across."
    )
    assert passages["toml.md"] == "Cleaning the stove Mini\nBrush the burner when it is cold."
    assert passages["tags.md"] == "Loading the lamp\nHold the button for ten seconds."
    for line in ("Opening hours changed in May.", "We open at nine.", "On Sundays we are closed."):
        assert line in passages["rules.md"]


def test_of_a_mixed_folder_each_file_is_read_or_named() -> None:
    found = look_at_documents(case("18-mixed-folder"))
    assert {Path(where).name for where, _ in found.faults} == {
        "guide.docx", "table.xlsx", "empty.md", "data.json",
    }  # fmt: skip
    assert found.copies == (("page-copy.html", "page.html"),)
    old, page = found.documents
    assert old.blocks[0].text == "Größe 42 entspricht 26,5 cm Fußlänge."
    assert [block.text for block in page.blocks] == [
        "Wax the leather once a month.",
        "| Leather | Wax |\n|---|---|\n| smooth | hard |",
    ]
