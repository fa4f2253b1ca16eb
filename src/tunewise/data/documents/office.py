"""Turns Word, PowerPoint and Excel files into blocks. Needs the extra `office`.

Word: headings, lists, tables, text boxes, footnotes at the end; no comments and deleted text.
PowerPoint: a slide a heading, with tables and notes. Excel: a sheet a heading, its rows a table
with the values that were last shown. Hidden slides and sheets are left out, and named.
"""

import datetime
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from tunewise.data.documents.archives import check_archive, unreadable
from tunewise.data.documents.blocks import (
    Block,
    BlockKind,
    Content,
    Outline,
    UnreadableError,
    table_text,
)
from tunewise.data.documents.text_files import cleaned
from tunewise.data.documents.web_pages import html_content

_STYLES = """
p[style-name='Title'] => h1:fresh
p[style-name='Heading 1'] => h2:fresh
p[style-name='Heading 2'] => h3:fresh
p[style-name='Heading 3'] => h4:fresh
p[style-name='Heading 4'] => h5:fresh
p[style-name='Heading 5'] => h6:fresh
p[style-name='Heading 6'] => h6:fresh
comment-reference => !
"""
"""The paragraph of style Title is the document's title, which headings never are."""


def _missing_extra(what: str) -> UnreadableError:
    return UnreadableError(f"{what} needs the extra `office`. Run: pip install 'tunewise[office]'")


# --- Word -----------------------------------------------------------------------------------------


def read_word(path: Path) -> Content:
    """A .docx file.

    Raises:
        UnreadableError: it is damaged, has a password, holds no text, or the extra is missing.
    """
    check_archive(path, "Word", "word/")
    try:
        import mammoth  # noqa: PLC0415 - extra `office`  # pyright: ignore[reportMissingTypeStubs]
    except ImportError as missing:
        raise _missing_extra("Word") from missing
    pictures = 0

    def no_picture(image: Any) -> dict[str, str]:
        nonlocal pictures
        pictures += 1
        return {}

    try:
        with path.open("rb") as file:
            made = cast(Any, mammoth).convert_to_html(
                file,
                style_map=_STYLES,
                convert_image=cast(Any, mammoth).images.img_element(no_picture),
            )
        markup = str(made.value)
        content = html_content(f"<main>{cleaned(markup)}</main>", ruled=True)
    except UnreadableError:
        raise
    except Exception as error:  # boundary around one file
        raise unreadable("Word", error) from error
    return _or_only_pictures(content, pictures)


def _or_only_pictures(content: Content, pictures: int) -> Content:
    if content.blocks or not pictures:
        return content
    raise UnreadableError("holds pictures and no text: a scan? Run text recognition over it first.")


# --- PowerPoint -----------------------------------------------------------------------------------


def read_slides(path: Path) -> Content:
    """A .pptx file.

    Raises:
        UnreadableError: as `read_word`.
    """
    check_archive(path, "PowerPoint", "ppt/")
    try:
        import pptx  # noqa: PLC0415 - extra `office`
    except ImportError as missing:
        raise _missing_extra("PowerPoint") from missing
    try:
        slides = list(cast(Any, pptx).Presentation(str(path)).slides)
        outline, hidden, pictures, silent = Outline(), 0, 0, list[int]()
        for number, slide in enumerate(slides, start=1):
            if slide.element.get("show") == "0":
                hidden += 1
                continue
            shapes = list(_shapes(slide.shapes))
            shown = sum(shape.shape_type == 13 for shape in shapes)  # MSO_SHAPE_TYPE.PICTURE
            pictures += shown
            before = len(outline.blocks)
            _add_slide(outline, slide, number, shapes)
            if shown and len(outline.blocks) == before:
                silent.append(number)
        outline.keep_bare_heading()
    except Exception as error:  # boundary around one file
        raise unreadable("PowerPoint", error) from error
    content = Content(
        title=outline.title,
        blocks=outline.blocks,
        left_out=["hidden slides"] if hidden else [],
        missing=[
            f"slide {number} of it has a picture and no text. Write on it what it shows."
            for number in silent
        ],
    )
    return _or_only_pictures(content, pictures)


def _add_slide(outline: Outline, slide: Any, number: int, shapes: list[Any]) -> None:
    heading = slide.shapes.title
    title = _line(heading.text_frame.text) if heading is not None else ""
    if number == 1 and title:
        outline.title = title
    found: list[tuple[BlockKind, str]] = []
    for shape in shapes:
        if heading is not None and shape.shape_id == heading.shape_id:
            continue
        if getattr(shape, "has_table", False):
            rows = [[cleaned(cell.text) for cell in row.cells] for row in shape.table.rows]
            found.append(("table", table_text(rows)))
        elif getattr(shape, "has_chart", False):
            found.append(("table", table_text(_chart(shape.chart))))
        elif shape.has_text_frame:
            lines = [cleaned(p.text).strip() for p in shape.text_frame.paragraphs]
            found.append(("prose", "\n\n".join(line for line in lines if line)))
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        notes = cleaned(slide.notes_slide.notes_text_frame.text).strip()
        found.append(("prose", f"Notes: {notes}" if notes else ""))
    if title or any(text for _, text in found):
        outline.heading(2, f"slide {number}" + (f": {title}" if title else ""))
    for kind, text in found:
        outline.add(kind, text)


def _shapes(shapes: Any) -> Iterator[Any]:
    """All shapes, those in groups too."""
    for shape in shapes:
        if hasattr(shape, "shapes"):
            yield from _shapes(shape.shapes)
        else:
            yield shape


def _chart(chart: Any) -> list[list[str]]:
    """The numbers behind a chart, a row a category."""
    plot = chart.plots[0]
    series = list(plot.series)
    rows = [["", *(str(one.name) for one in series)]]
    for at, category in enumerate(plot.categories):
        rows.append([str(category), *(_shown(list(one.values)[at], "") for one in series)])
    return rows


def _line(text: str) -> str:
    return " ".join(cleaned(text).split())


# --- Excel ----------------------------------------------------------------------------------------

_MAX_CELLS = 2_000_000
"""Of a sheet: above it, a table is no document."""


class Sheets(NamedTuple):
    """An .xlsx file as rows of texts."""

    rows: Mapping[str, Sequence[Sequence[str]]]
    """Title of a visible sheet -> its rows."""
    hidden: int
    """Sheets that are hidden, and left out."""
    not_computed: Sequence[str]
    """Cells whose formula has no value yet."""


def rows_of_sheets(path: Path) -> Sheets:
    """The cells of an .xlsx file, as a person sees them.

    Raises:
        UnreadableError: as `read_word`.
    """
    check_archive(path, "Excel", "xl/")
    try:
        import openpyxl  # noqa: PLC0415 - extra `office`
    except ImportError as missing:
        raise _missing_extra("Excel") from missing
    found: dict[str, list[list[str]]] = {}
    hidden = 0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles it does not know
            book = cast(Any, openpyxl).load_workbook(path, read_only=True, data_only=True)
        for sheet in book.worksheets:
            if sheet.sheet_state != "visible":
                hidden += 1
                continue
            sheet.reset_dimensions()  # what the file says of its size may be wrong
            found[str(sheet.title)] = list(_rows(sheet))
        book.close()
        return Sheets(rows=found, hidden=hidden, not_computed=_not_computed(path, openpyxl))
    except UnreadableError:
        raise
    except Exception as error:  # boundary around one file
        raise unreadable("Excel", error) from error


def read_sheets(path: Path) -> Content:
    """An .xlsx file.

    Raises:
        UnreadableError: as `read_word`.
    """
    sheets = rows_of_sheets(path)
    blocks = [
        Block(headings=(title,), kind="table", text=text)
        for title, rows in sheets.rows.items()
        if (text := table_text(rows))
    ]
    missing = []
    if sheets.not_computed:
        named = ", ".join(sheets.not_computed[:3])
        missing = [f"formulas of it have no value ({named}). Open and save it in Excel."]
    return Content(
        title="",
        blocks=blocks,
        left_out=["hidden sheets"] if sheets.hidden else [],
        missing=missing,
    )


def _rows(sheet: Any) -> Iterator[list[str]]:
    cells = 0
    for row in sheet.iter_rows():
        cells += len(row)
        if cells > _MAX_CELLS:
            raise UnreadableError(
                f"sheet {sheet.title!r} has more than {_MAX_CELLS:,} cells. Keep the rows that "
                "are to be found."
            )
        yield [_shown(cell.value, cell.number_format or "") for cell in row]


def _not_computed(path: Path, openpyxl: Any) -> list[str]:
    """Cells with a formula that no program has computed yet, as libraries write them."""
    found: list[str] = []
    formulas = openpyxl.load_workbook(path, read_only=True)
    values = openpyxl.load_workbook(path, read_only=True, data_only=True)
    for sheet in formulas.worksheets:
        if sheet.sheet_state != "visible":
            continue
        pairs = zip(sheet.iter_rows(), values[sheet.title].iter_rows(), strict=False)
        for row, shown in pairs:
            found += [
                f"{sheet.title}!{cell.coordinate}"
                for cell, value in zip(row, shown, strict=False)
                if cell.data_type == "f" and value.value is None
            ]
    formulas.close()
    values.close()
    return found


def _shown(value: object, number_format: str) -> str:
    """A cell as a person sees it, but for the digits that a format hides."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, datetime.datetime):
        midnight = value.time() == datetime.time(0)
        return value.date().isoformat() if midnight else value.isoformat(" ", "minutes")
    if isinstance(value, (int, float)):
        if "%" in number_format:
            return f"{float(f'{100 * value:.10g}'):g}%"
        return (
            str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else f"{value:.12g}"
        )
    return cleaned(str(value))
