import sys
import zipfile
from pathlib import Path

import pypdf
import pytest
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

from tunewise.data.documents.read import look_at_documents, read_documents
from tunewise.errors import UserError


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def pdf(path: Path, text: str) -> None:
    """A PDF of one page that says `text`, written by pypdf."""
    writer = pypdf.PdfWriter()
    page = writer.add_blank_page(300, 300)
    font = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type1"),
            NameObject("/BaseFont"): NameObject("/Helvetica"),
        }
    )
    page[NameObject("/Resources")] = DictionaryObject(
        {NameObject("/Font"): DictionaryObject({NameObject("/F1"): font})}
    )
    stream = DecodedStreamObject()
    stream.set_data(f"BT /F1 12 Tf 20 200 Td ({text}) Tj ET".encode() if text else b"")
    page[NameObject("/Contents")] = writer._add_object(stream)
    writer.write(path)


# --- a folder


def test_documents_come_in_the_order_of_their_paths_with_their_titles(tmp_path: Path) -> None:
    write(tmp_path, "b.md", "# Ember stove\n\nTurn the knob.")
    write(tmp_path, "a/deep.txt", "Plain words.")
    write(tmp_path, "c.html", "<title>Shop</title><p>Open daily.</p>")
    documents = read_documents(tmp_path)
    assert [(one.name, one.title) for one in documents] == [
        ("a/deep.txt", "deep"),
        ("b.md", "Ember stove"),
        ("c.html", "Shop"),
    ]


def test_hidden_files_and_pictures_are_passed_over(tmp_path: Path) -> None:
    write(tmp_path, "a.md", "Words.")
    write(tmp_path, ".git/config.md", "Not a document.")
    write(tmp_path, ".draft.md", "Not a document.")
    write(tmp_path, "photo.png", b"\x89PNG\0")
    assert [one.name for one in read_documents(tmp_path)] == ["a.md"]


def test_all_faults_come_together_with_file_names_and_what_to_do(tmp_path: Path) -> None:
    write(tmp_path, "good.md", "Words.")
    write(tmp_path, "empty.md", " \n\n")
    write(tmp_path, "letter.docx", "PK")
    write(tmp_path, "latin.txt", "one\ntwo caf\xe9".encode("latin-1"))
    write(tmp_path, "binary.txt", b"a\0b")
    write(tmp_path, "broken.pdf", b"%PDF-1.4 nothing")
    with pytest.raises(UserError) as fault:
        read_documents(tmp_path)
    lines = str(fault.value).splitlines()
    assert lines[0].startswith(f"{tmp_path / 'binary.txt'}: is no text file.")
    assert lines[1].startswith(f"{tmp_path / 'broken.pdf'}: cannot be read as PDF")
    assert lines[2] == f"{tmp_path / 'empty.md'}: holds no text. Fill it or move it away."
    assert lines[3].startswith(f"{tmp_path / 'latin.txt'}: line 2 is not UTF-8.")
    assert lines[4].startswith(f"{tmp_path / 'letter.docx'}: is a damaged Word file.")
    assert len(lines) == 5


def test_links_out_of_the_folder_are_faults(tmp_path: Path) -> None:
    secret = write(tmp_path, "elsewhere/secret.md", "A secret.")
    folder = tmp_path / "docs"
    write(folder, "a.md", "Words.")
    (folder / "link.md").symlink_to(secret)
    (folder / "linked").symlink_to(secret.parent, target_is_directory=True)
    with pytest.raises(UserError) as fault:
        read_documents(folder)
    assert "link.md: links out of the folder" in str(fault.value)
    assert "linked: a link to a folder is not followed" in str(fault.value)


def test_a_missing_or_empty_folder_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no such file or folder"):
        read_documents(tmp_path / "docs")
    with pytest.raises(UserError, match="no documents"):
        read_documents(tmp_path)


def test_single_files_and_folders_are_read_together_and_named_from_where_they_all_lie(
    tmp_path: Path,
) -> None:
    faq = write(tmp_path, "faq.txt", "Ask away.")
    write(tmp_path, "manuals/tent.md", "Stands on rock.")
    write(tmp_path, "export.csv", "a,b\n")
    read = read_documents(faq, tmp_path / "manuals", tmp_path / "manuals" / "tent.md")
    assert [document.name for document in read] == ["faq.txt", "manuals/tent.md"]
    assert [document.name for document in read_documents(faq)] == ["faq.txt"]


def test_every_missing_place_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError) as fault:
        read_documents(tmp_path / "a.md", tmp_path / "b")
    assert len(str(fault.value).splitlines()) == 2


def test_a_pdf_is_read_page_by_page(tmp_path: Path) -> None:
    pdf(tmp_path / "guide.pdf", "Wash at 40 degrees.")
    (document,) = read_documents(tmp_path)
    assert [(block.headings, block.text) for block in document.blocks] == [
        (("page 1",), "Wash at 40 degrees.")
    ]


def test_a_pdf_without_text_is_a_fault(tmp_path: Path) -> None:
    pdf(tmp_path / "scan.pdf", "")
    with pytest.raises(UserError, match="holds no text: a scan"):
        read_documents(tmp_path)


def test_pdf_without_the_extra_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pdf(tmp_path / "guide.pdf", "Wash at 40 degrees.")
    monkeypatch.setitem(sys.modules, "pypdf", None)
    with pytest.raises(UserError, match=r"pip install 'tunewise\[pdf\]'"):
        read_documents(tmp_path)


# --- text files


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
def test_text_is_read_by_its_mark(codec: str, tmp_path: Path) -> None:
    mark = "\ufeff" if codec == "utf-16-be" else ""
    write(tmp_path, "a.txt", f"{mark}Größe 42.\r\n\r\nPaßt.".encode(codec))
    (document,) = read_documents(tmp_path)
    assert [block.text for block in document.blocks] == ["Größe 42.", "Paßt."]


def test_a_file_that_is_something_else_by_its_content_is_named_as_that(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "word.md", "w") as packed:
        packed.writestr("word/document.xml", "<w/>")
    with zipfile.ZipFile(tmp_path / "zip.txt", "w") as packed:
        packed.writestr("a.txt", "text")
    write(tmp_path, "guide.txt", b"%PDF-1.7 ...")
    write(tmp_path, "old.html", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
    write(tmp_path, "page.md", "<!DOCTYPE html><p>Text")
    write(tmp_path, "rich.txt", "{\\rtf1 text}")
    write(tmp_path, "wide.txt", "wide".encode("utf-16-le"))
    found = dict(look_at_documents(tmp_path).faults)
    other = "not text. Give it its true ending, or move it away."
    assert found == {
        str(tmp_path / "word.md"): f"is a Word file (.docx), {other}",
        str(tmp_path / "zip.txt"): f"is a ZIP archive, {other}",
        str(tmp_path / "guide.txt"): f"is a PDF file (.pdf), {other}",
        str(tmp_path / "old.html"): f"is an old Word, Excel or PowerPoint file, {other}",
        str(tmp_path / "page.md"): "is a web page, not plain text. Give it the ending .html.",
        str(tmp_path / "rich.txt"): f"is a rich text file (.rtf), {other}",
        str(tmp_path / "wide.txt"): "looks like UTF-16 without its mark. Save the file as UTF-8.",
    }


def test_formats_that_are_not_read_say_what_to_save_them_as(tmp_path: Path) -> None:
    for name in ("a.doc", "b.ppt", "c.xls", "d.rtf", "e.odt", "f.json", "g.zip", "h.rst", "i"):
        write(tmp_path, name, "anything")
    write(tmp_path, "Thumbs.db", "x")
    write(tmp_path, "~$a.docx", "x")
    found = {Path(where).name: why for where, why in look_at_documents(tmp_path).faults}
    assert found["a.doc"] == "is an old Word file. Save it as .docx and name that."
    assert found["b.ppt"].endswith("Save it as .pptx and name that.")
    assert found["c.xls"].endswith("Save it as .xlsx and name that.")
    assert found["d.rtf"] == "is a rich text file. Save it as .docx."
    assert found["e.odt"] == "is an OpenDocument text. Save it as .docx."
    assert found["f.json"].startswith("is JSON, no document.")
    assert found["g.zip"] == "is an archive. Unpack it, or move it away."
    assert found["h.rst"].startswith("unknown type '.rst'. Save it as .md")
    assert found["i"].startswith("unknown type 'without an ending'.")
    assert len(found) == 9


def test_of_files_that_say_the_same_one_is_kept(tmp_path: Path) -> None:
    write(tmp_path, "care.md", "# Care\n\nWax it.")
    write(tmp_path, "old/care (copy).md", "# Care\n\nWax   it.\n")
    write(tmp_path, "care.html", "<title>Shop</title><p>Wax it.</p>")
    write(tmp_path, "other.md", "# Care\n\nBrush it.")
    found = look_at_documents(tmp_path)
    assert [one.name for one in found.documents] == ["care.md", "other.md"]
    assert found.copies == (("care.html", "care.md"), ("old/care (copy).md", "care.md"))
    assert "care.html: repeats care.md, and is left out." in found.notes()


def test_cut_words_and_ligatures_of_printed_text_are_joined(tmp_path: Path) -> None:
    write(
        tmp_path,
        "a.txt",
        "It burns e\ufb03-\nciently with a well-\nknown \ufb02ame; soft\u00adhyphen. The well is\n"
        "known. Vor-\nund Nachteile in Baden-\nWürttemberg, 2020-\n2021.",
    )
    (document,) = read_documents(tmp_path)
    text = " ".join(document.blocks[0].text.split())
    assert text == (
        "It burns efficiently with a well-known flame; softhyphen. The well is known. "
        "Vor- und Nachteile in Baden-Württemberg, 2020- 2021."
    )
