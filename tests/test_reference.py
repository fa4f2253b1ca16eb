"""The reference pages are written from the code, and say so when they are not what it says."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from places import ROOT
from tunewise.project.schema import toml_schema


@pytest.fixture
def reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "tools" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "FOLDER", tmp_path / "reference")
    return module


def test_pages_in_docs_are_what_the_code_says(reference: ModuleType) -> None:
    for name, text in reference.pages().items():
        assert (ROOT / "docs" / "reference" / name).read_text("utf-8") == text


def test_every_setting_stands_in_its_page(reference: ModuleType) -> None:
    text = reference.pages()["tunewise-toml.md"]
    for name, table in toml_schema()["properties"].items():
        assert f"`[{name}]`" in text or f"`{name}`" in text
        for key in table.get("properties", {}):
            assert f"| `{key}` |" in text or f"`[{name}.{key}]`" in text


def test_a_page_that_is_out_of_date_is_named(
    reference: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["reference.py"])
    assert reference.main() == 0
    monkeypatch.setattr(sys, "argv", ["reference.py", "--check"])
    assert reference.main() == 0
    (reference.FOLDER / "command-line.md").write_text("old")
    assert reference.main() == 1
    assert "docs/reference/command-line.md. Run make reference." in capsys.readouterr().err
