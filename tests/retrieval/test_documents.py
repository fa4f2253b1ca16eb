import sys
from pathlib import Path

import pypdf
import pytest
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

from tunewise.errors import UserError
from tunewise.retrieval.documents import html_blocks, markdown_blocks, read_documents


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
    assert lines[4].startswith(f"{tmp_path / 'letter.docx'}: unknown type '.docx'. Save it as")
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


# --- Markdown

MANUAL = """---
author: someone
---
# Kestrel 2 *tent*

Two people.

Care
----
Wash by hand.

### Drying ###
Hang it up.

## Parts

In the bag:

- 2 poles
- 12 pegs
  of aluminium

| Part | g |
|---|---|
| Pole | 90 |

```sh
# not a heading
```
"""


def test_markdown_becomes_blocks_under_their_headings() -> None:
    title, blocks = markdown_blocks(MANUAL)
    assert title == "Kestrel 2 tent"
    assert [(block.headings, block.kind, block.text) for block in blocks] == [
        ((), "prose", "Two people."),
        (("Care",), "prose", "Wash by hand."),
        (("Care", "Drying"), "prose", "Hang it up."),
        (("Parts",), "list", "In the bag:\n- 2 poles\n- 12 pegs\n  of aluminium"),
        (("Parts",), "table", "| Part | g |\n|---|---|\n| Pole | 90 |"),
        (("Parts",), "code", "```sh\n# not a heading\n```"),
    ]


def test_markdown_without_headings_is_prose_without_a_title() -> None:
    title, blocks = markdown_blocks("One.\n\nTwo.\r\n")
    assert title == ""
    assert [block.text for block in blocks] == ["One.", "Two."]


def test_a_fence_that_is_never_closed_loses_nothing() -> None:
    _, blocks = markdown_blocks("```\nthe end")
    assert [block.text for block in blocks] == ["```\nthe end"]


# --- HTML


def test_html_keeps_headings_lists_and_tables_and_drops_scripts_and_navigation() -> None:
    title, blocks = html_blocks(
        "<html><head><title>Shop | Stove</title><style>p {}</style></head><body>"
        "<nav>Home</nav><h1>Ember stove</h1><p>Burns <b>gas</b>.</p><script>alert(1)</script>"
        "<h2>Specs</h2><ul><li>90 g</li><li>2 kW</li></ul>"
        "<table><tr><th>Part</th><th>g</th></tr><tr><td>Knob</td><td>4</td></tr></table>"
        "</body></html>"
    )
    assert title == "Ember stove"
    assert [(block.headings, block.kind, block.text.strip()) for block in blocks] == [
        ((), "prose", "Burns gas."),
        (("Specs",), "list", "- 90 g\n- 2 kW"),
        (("Specs",), "table", "| Part | g |\n| Knob | 4 |"),
    ]
