from pathlib import Path

import pytest

from tunewise.data.documents.document import Document
from tunewise.data.documents.read import read_documents
from tunewise.data.documents.units import units_of, unknown_names

STOVE = """# Ember stove

Read this first.

## Lighting

Turn the valve.

### In wind

Shield it.

## Care

Wipe it.
"""


@pytest.fixture
def documents(tmp_path: Path) -> tuple[Document, ...]:
    (tmp_path / "stove.md").write_text(STOVE, "utf-8")
    (tmp_path / "tent.md").write_text("# Tent\n\nPitch it.\n", "utf-8")
    return read_documents(tmp_path)


def test_documents_are_found_whole_where_no_row_names_a_section(
    documents: tuple[Document, ...],
) -> None:
    assert units_of(documents, ["stove.md", '["tent.md"]']) == tuple(documents)


def test_sections_end_at_outermost_headings_and_hold_what_stands_under_them(
    documents: tuple[Document, ...],
) -> None:
    units = units_of(documents, ["tent.md", "stove.md#Care"])
    assert [unit.name for unit in units] == [
        "stove.md",
        "stove.md#Lighting",
        "stove.md#Care",
        "tent.md",
    ]
    lighting = units[1]
    assert [block.text for block in lighting.blocks] == ["Turn the valve.", "Shield it."]
    assert lighting.title == "Ember stove"


@pytest.mark.parametrize("target", ["stove.md", "stove.md#Care", '["tent.md", "stove.md#Care"]'])
def test_what_is_there_is_known(documents: tuple[Document, ...], target: str) -> None:
    units = units_of(documents, ["stove.md#Care"])
    assert unknown_names(units, target) == ""


def test_what_is_not_there_is_told_with_what_may_be_meant(
    documents: tuple[Document, ...],
) -> None:
    units = units_of(documents, ["stove.md#Care"])
    said = unknown_names(units, "stove.md#Carre")
    assert 'hold no "stove.md#Carre". Did you mean "stove.md#Care"?' in said
    assert "Did you mean" not in unknown_names(units, "qqqqqqqqqqqqqqqq")
