"""Word, PowerPoint, Excel and e-books: what is read, what is left out, and what is refused."""

import sys
import zipfile
from pathlib import Path

import docx
import openpyxl
import pytest

from office_files import book, picture, sheets, slides, word
from tunewise.data.documents.read import look_at_documents, read_documents
from tunewise.errors import UserError


def blocks(path: Path) -> list[tuple[tuple[str, ...], str]]:
    (document,) = read_documents(path)
    return [(block.headings, block.text) for block in document.blocks]


def fault(path: Path) -> str:
    ((where, why),) = look_at_documents(path).faults
    assert where == str(path)
    return why


def test_word_keeps_title_headings_lists_and_tables(tmp_path: Path) -> None:
    path = word(tmp_path / "a.docx", "Hold the knob.", "Burns e\ufb03ciently.")
    assert read_documents(path)[0].title == "Stove Ember"
    assert blocks(path) == [
        (("Lighting",), "Hold the knob."),
        (("Lighting",), "Burns efficiently."),
        (("Lighting",), "1. Open the valve\n2. Strike a match"),
        (("Lighting",), "| Gas | Minutes |\n|---|---|\n| butane | 4 |"),
    ]
    assert read_documents(word(tmp_path / "b.docx", "Text.", title=""))[0].title == "b"


def test_slides_keep_tables_and_notes_and_hidden_ones_are_named(tmp_path: Path) -> None:
    path = slides(tmp_path / "a.pptx", hidden=True)
    found = look_at_documents(path)
    assert found.documents[0].title == "Returns"
    assert blocks(path) == [
        (
            ("slide 1: Returns",),
            "Parcels come back within thirty days.\n\nWithout a label they wait.",
        ),
        (("slide 1: Returns",), "| Country | Days |\n|---|---|\n| Norway | 45 |"),
        (("slide 1: Returns",), "Notes: Say that postage is free."),
    ]
    assert found.left_out == {"hidden slides": ("a.pptx",)}
    assert [what for _, what in found.missing] == [
        "slide 2 of it has a picture and no text. Write on it what it shows."
    ]


def test_each_sheet_is_a_table_with_values_as_shown_and_hidden_ones_are_named(
    tmp_path: Path,
) -> None:
    path = sheets(tmp_path / "a.xlsx")
    assert blocks(path) == [
        (
            ("Stock",),
            "| Article | Pieces | Share |\n|---|---|---|\n| Kestrel tent | 12 | 25% |",
        ),
        (("Hours",), "| Day | Opens |\n|---|---|\n| Saturday | ten o'clock |"),
    ]
    assert look_at_documents(path).left_out == {"hidden sheets": ("a.xlsx",)}


def test_formulas_that_were_never_computed_are_named(tmp_path: Path) -> None:
    made = openpyxl.Workbook()
    sheet = made.active
    assert sheet is not None
    sheet.append(["Total", "=1+1"])
    made.save(tmp_path / "a.xlsx")
    ((_, what),) = look_at_documents(tmp_path).missing
    assert what == "formulas of it have no value (Sheet!B1). Open and save it in Excel."


def test_a_book_is_read_in_the_order_of_its_spine(tmp_path: Path) -> None:
    path = book(tmp_path / "a.epub")
    assert read_documents(path)[0].title == "The Long Trail"
    assert blocks(path) == [
        (("Packing",), "Roll the sleeping bag last."),
        (("Walking",), "Rest every fifty minutes."),
    ]


def test_what_cannot_be_used_is_named_for_what_it_is(tmp_path: Path) -> None:
    whole = word(tmp_path / "whole.docx", "Text.").read_bytes()
    (tmp_path / "cut.docx").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.docx").write_bytes(b"")
    (tmp_path / "text.docx").write_text("only text")
    old = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 100
    (tmp_path / "old.docx").write_bytes(old)
    (tmp_path / "locked.xlsx").write_bytes(old + "EncryptedPackage".encode("utf-16-le"))
    (tmp_path / "slides.pptx").write_bytes(whole)
    made = docx.Document()
    made.add_picture(picture())
    made.save(str(tmp_path / "scan.docx"))
    docx.Document().save(str(tmp_path / "blank.docx"))
    said = {Path(where).name: why for where, why in look_at_documents(tmp_path).faults}
    assert said == {
        "cut.docx": "is a damaged Word file. Open and save it again, or copy it anew.",
        "empty.docx": "is empty. Fill it or move it away.",
        "text.docx": "is something else, no Word file. Give it its true ending.",
        "old.docx": "is an old Word file with a new ending. Save it anew as such.",
        "locked.xlsx": "is protected by a password. Save it without one.",
        "slides.pptx": "is a Word file (.docx), no PowerPoint file. Give it its true ending.",
        "scan.docx": "holds pictures and no text: a scan? Run text recognition over it first.",
        "blank.docx": "holds no text. Fill it or move it away.",
    }


def test_an_archive_that_would_unpack_beyond_reason_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.docx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for n in range(3):
            packed.writestr(f"word/part{n}.xml", b" " * 80_000_000)
    assert fault(path) == "unpacks to 240 MB of text, more than is read (200 MB). Split it."


@pytest.mark.parametrize(
    ("library", "make", "name"),
    [("mammoth", word, "a.docx"), ("pptx", slides, "a.pptx"), ("openpyxl", sheets, "a.xlsx")],
)
def test_without_the_extra_the_message_names_it(
    library: str, make, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(tmp_path / name)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(UserError, match=r"Run: pip install 'tunewise\[office\]'"):
        read_documents(path)


def test_text_is_read_without_loading_the_extras(tmp_path: Path) -> None:
    import subprocess

    (tmp_path / "a.md").write_text("Words.")
    code = (
        "import sys; from pathlib import Path; from tunewise.data.documents.read import "
        f"read_documents; read_documents(Path({str(tmp_path)!r})); "
        "print(sorted({'mammoth', 'pptx', 'openpyxl', 'pypdf'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
