"""Office files and e-books as companies have them, made with the formats' own libraries."""

import io
import zipfile
from pathlib import Path

import docx
import openpyxl
import pptx
import pypdf
from PIL import Image
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject


def picture() -> io.BytesIO:
    """A small PNG."""
    file = io.BytesIO()
    Image.new("RGB", (40, 40), "red").save(file, "PNG")
    file.seek(0)
    return file


def word(path: Path, *paragraphs: str, title: str = "Stove Ember") -> Path:
    """A .docx with a title, the paragraphs below a heading, a list and a table."""
    made = docx.Document()
    if title:
        made.add_heading(title, level=0)
    made.add_heading("Lighting", level=1)
    for paragraph in paragraphs:
        made.add_paragraph(paragraph)
    made.add_paragraph("Open the valve", style="List Number")
    made.add_paragraph("Strike a match", style="List Number")
    table = made.add_table(rows=2, cols=2)
    for at, text in enumerate(("Gas", "Minutes", "butane", "4")):
        table.cell(at // 2, at % 2).text = text
    made.save(str(path))
    return path


def slides(path: Path, *, hidden: bool = False) -> Path:
    """A .pptx with a title, a text, a table and notes; and a slide with a picture alone."""
    made = pptx.Presentation()
    first = made.slides.add_slide(made.slide_layouts[1])
    first.shapes.title.text = "Returns"
    first.placeholders[1].text = "Parcels come back within thirty days.\nWithout a label they wait."
    first.notes_slide.notes_text_frame.text = "Say that postage is free."
    table = first.shapes.add_table(2, 2, 0, 0, 100, 100).table
    for at, text in enumerate(("Country", "Days", "Norway", "45")):
        table.cell(at // 2, at % 2).text = text
    second = made.slides.add_slide(made.slide_layouts[6])
    second.shapes.add_picture(picture(), 0, 0)
    if hidden:
        third = made.slides.add_slide(made.slide_layouts[1])
        third.shapes.title.text = "Draft prices"
        third._element.set("show", "0")
    made.save(str(path))
    return path


def sheets(path: Path) -> Path:
    """An .xlsx with two sheets of data, an empty and a hidden one."""
    book = openpyxl.Workbook()
    stock = book.active
    assert stock is not None
    stock.title = "Stock"
    for row in (["Article", None, "Pieces", "Share"], ["Kestrel tent", None, 12, 0.25], [None] * 4):
        stock.append(row)
    stock["D2"].number_format = "0%"
    hours = book.create_sheet("Hours")
    hours.append(["Day", "Opens"])
    hours.append(["Saturday", "ten o'clock"])
    book.create_sheet("Empty")
    secret = book.create_sheet("Margins")
    secret.append(["secret margin"])
    secret.sheet_state = "hidden"
    book.save(path)
    return path


def book(path: Path) -> Path:
    """An .epub of two chapters, its pages in XHTML."""
    page = (
        '<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml"><head>'
        "<title>{0}</title></head><body><h1>{0}</h1><p>{1}</p></body></html>"
    )
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("mimetype", "application/epub+zip")
        packed.writestr(
            "META-INF/container.xml",
            '<container><rootfiles><rootfile full-path="OEBPS/content.opf"/></rootfiles>'
            "</container>",
        )
        packed.writestr(
            "OEBPS/content.opf",
            '<package xmlns:dc="d"><metadata><dc:title>The Long Trail</dc:title></metadata>'
            "<manifest>"
            '<item id="b" href="ch%202.xhtml" media-type="application/xhtml+xml"/>'
            '<item id="a" href="ch1.xhtml" media-type="application/xhtml+xml"/>'
            '<item id="n" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>'
            '</manifest><spine><itemref idref="n"/><itemref idref="a"/><itemref idref="b"/></spine>'
            "</package>",
        )
        packed.writestr("OEBPS/nav.xhtml", page.format("Contents", "Chapter list"))
        packed.writestr("OEBPS/ch1.xhtml", page.format("Packing", "Roll the sleeping bag last."))
        packed.writestr("OEBPS/ch 2.xhtml", page.format("Walking", "Rest every fifty minutes."))
    return path


def pdf(path: Path, *pages: str, password: str | None = None) -> Path:
    """A PDF whose pages say these lines; one without is as a scanner leaves it."""
    writer = pypdf.PdfWriter()
    for text in pages:
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
        lines = "".join(f"({line}) Tj 0 -14 Td " for line in text.split("\n"))
        stream = DecodedStreamObject()
        stream.set_data(f"BT /F1 12 Tf 20 260 Td {lines}ET".encode() if text else b"")
        page[NameObject("/Contents")] = writer._add_object(stream)
    if password is not None:
        writer.encrypt(password, "owner", algorithm="AES-256")
    writer.write(path)
    return path
