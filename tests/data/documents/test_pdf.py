"""PDF files as printers, scanners and companies make them."""

from pathlib import Path

import pytest

from office_files import book, pdf, sheets, slides, word
from tunewise.contenders.rag import Library, Lookup
from tunewise.data.documents.read import look_at_documents, read_documents
from tunewise.errors import UserError
from tunewise.types import Input, Message


def test_a_scan_is_an_error_and_a_half_scanned_file_is_read_with_a_warning(tmp_path: Path) -> None:
    scan = pdf(tmp_path / "scan.pdf", "", "")
    half = pdf(tmp_path / "half.pdf", "Wash at 40 degrees.", "", "Dry it flat.", "", "")
    found = look_at_documents(tmp_path)
    assert found.faults == (
        (str(scan), "holds no text: a scan. OCR it first, for example with ocrmypdf."),
    )
    assert found.missing == (
        (
            str(half),
            "pages 2 and 4-5 of it have no text: a scan? "
            "OCR them first, for example with ocrmypdf.",
        ),
    )
    assert [(b.headings, b.text) for b in found.documents[0].blocks] == [
        (("page 1",), "Wash at 40 degrees."),
        (("page 3",), "Dry it flat."),
    ]


def test_words_cut_by_a_line_are_joined(tmp_path: Path) -> None:
    pdf(
        tmp_path / "a.pdf",
        "It burns effi-\nciently with a well-\nknown flame.",
        "The well is known.",
    )
    first, _ = read_documents(tmp_path)[0].blocks
    assert " ".join(first.text.split()) == "It burns efficiently with a well-known flame."


def test_running_heads_stand_once_and_page_numbers_nowhere(tmp_path: Path) -> None:
    pages = [
        f"Manual Ember 3 - Rev. 7\nStep {n} takes {n * n} minutes.\nBe careful.\nPage {n + 4} of 9"
        for n in range(1, 5)
    ]
    pdf(tmp_path / "a.pdf", *pages)
    texts = [block.text.split("\n") for block in read_documents(tmp_path)[0].blocks]
    assert texts[0] == ["Manual Ember 3 - Rev. 7", "Step 1 takes 1 minutes.", "Be careful."]
    assert texts[3][0] == "Step 4 takes 16 minutes."
    assert "Page" not in str(texts)


def test_a_password_is_asked_for_and_a_mere_restriction_is_not(tmp_path: Path) -> None:
    locked = pdf(tmp_path / "locked.pdf", "Secret.", password="x")
    with pytest.raises(
        UserError, match=r"locked\.pdf: is protected by a password. Save it without"
    ):
        read_documents(locked)
    restricted = pdf(tmp_path / "restricted.pdf", "For all to read.", password="")
    assert read_documents(restricted)[0].blocks[0].text == "For all to read."


def test_what_is_no_pdf_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(b"")
    (tmp_path / "b.pdf").write_text("only text")
    word(tmp_path / "c.docx", "Text.").rename(tmp_path / "c.pdf")
    assert [why for _, why in look_at_documents(tmp_path).faults] == [
        "is empty. Give it its true ending, or move it away.",
        "is something else, not PDF. Give it its true ending, or move it away.",
        "is a Word file (.docx), not PDF. Give it its true ending, or move it away.",
    ]


def test_retrieval_finds_a_sentence_of_each_format(tmp_path: Path) -> None:
    word(tmp_path / "a.docx", "Hold the ignition knob for five seconds.")
    slides(tmp_path / "b.pptx")
    sheets(tmp_path / "c.xlsx")
    book(tmp_path / "d.epub")
    pdf(tmp_path / "half.pdf", "Rinse the filter in cold water.", "")
    library = Library(read_documents(tmp_path), None)
    lookup = Lookup(words=60, k=1, mode=library.modes[0])
    questions = {
        "How long do I hold the ignition knob?": "a.docx",
        "When do parcels come back?": "b.pptx",
        "How many pieces of the Kestrel tent?": "c.xlsx",
        "When do I roll the sleeping bag?": "d.epub",
        "How do I rinse the filter?": "half.pdf",
    }
    inputs = [
        Input(id=str(n), messages=(Message(role="user", content=question),))
        for n, question in enumerate(questions)
    ]
    found = [prompt.passages[0].split("#")[0] for prompt in library.prompts(lookup, "", inputs)]
    assert found == list(questions.values())
