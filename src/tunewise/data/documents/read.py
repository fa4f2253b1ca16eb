"""Opens folders of documents, whatever their formats, and says what cannot be used of them.

A document is titled and made of blocks. PDF needs the extra `pdf`, Word, Excel and PowerPoint the
extra `office`.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from tunewise.data.documents.blocks import Block, BlockKind, Content, UnreadableError, paragraphs
from tunewise.data.documents.books import read_book
from tunewise.data.documents.document import Document, DocumentsFound, whole_text
from tunewise.data.documents.line_ends import join_cut_words
from tunewise.data.documents.markdown import markdown_blocks, markdown_content
from tunewise.data.documents.office import read_sheets, read_slides, read_word
from tunewise.data.documents.pdf import read_pdf
from tunewise.data.documents.text_files import read_page, read_text
from tunewise.data.documents.web_pages import html_blocks, html_content

__all__ = [
    "ASSETS", "DOCUMENT_ENDINGS", "Block", "BlockKind", "Document", "DocumentsFound",
    "html_blocks", "look_at_documents", "markdown_blocks", "read_documents", "whole_text",
]  # fmt: skip

ASSETS = frozenset(
    {".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ".ico", ".css", ".js", ".woff", ".woff2",
     ".bmp", ".tif", ".tiff", ".heic", ".avif", ".ttf", ".otf", ".eot", ".map", ".mp3", ".mp4",
     ".wav", ".mov", ".webm"}
)  # fmt: skip
"""What lies beside pages without being one; passed over in silence."""
_SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini", "ehthumbs.db"})
"""What Windows leaves in folders; hidden there."""


def read_documents(*places: Path) -> list[Document]:
    """Reads files, and every document under folders, in the order of their paths.

    Args:
        places: see `look_at_documents`.

    Raises:
        UserError: a place does not exist or holds no document; or files cannot be used: all of
            them in one message, a line each.
    """
    return list(look_at_documents(*places).all_usable())


def look_at_documents(*places: Path) -> DocumentsFound:
    """Reads files, and every document under folders, in the order of their paths.

    Hidden files and folders are passed over, and so are pictures, styles and scripts. Links that
    lead out of a folder are faults, and links to folders are not followed. Of files that say the
    same the first is kept.

    Args:
        places: at least one. A document's name is its path from the folder they all lie in.
    """
    faults: list[tuple[str, str]] = []
    paths: dict[Path, None] = {}
    for place in places:
        if not place.exists():
            what = "there is no such file or folder. Set data.documents to one."
            faults.append((str(place), what))
        elif place.is_dir():
            found = dict.fromkeys(_files(place, faults))
            if not found and not faults:
                what = "no documents. Put .md, .txt, .html, .pdf or .docx files there."
                faults.append((str(place), what))
            paths |= found
        else:
            paths[place] = None
    root = Path(os.path.commonpath([p if p.is_dir() else p.parent for p in places]))
    documents: list[Document] = []
    missing: list[tuple[str, str]] = []
    left_out: dict[str, list[str]] = {}
    for path in sorted(paths, key=lambda path: path.relative_to(root).as_posix()):
        name = path.relative_to(root).as_posix()
        try:
            content = _read(path)
        except UnreadableError as fault:
            faults.append((str(path), str(fault)))
            continue
        missing += [(str(path), what) for what in content.missing]
        for what in content.left_out:
            left_out.setdefault(what, []).append(name)
        documents.append(
            Document(name=name, title=content.title or path.stem, blocks=tuple(content.blocks))
        )
    return DocumentsFound(
        documents=tuple(_without_copies(documents)),
        faults=tuple(faults),
        missing=tuple(missing),
        left_out={what: tuple(names) for what, names in left_out.items()},
    )


def _without_copies(documents: Sequence[Document]) -> list[Document]:
    """One of those that say the same, whatever their titles and formats: the shortest name."""
    alike: dict[tuple[str, ...], list[Document]] = {}
    for document in documents:
        parts = (part for b in document.blocks for part in (*b.headings, b.text))
        alike.setdefault(tuple(" ".join(part.split()) for part in parts), []).append(document)
    kept: list[Document] = []
    for same in alike.values():
        first = min(same, key=lambda document: (len(document.name), document.name))
        copies = tuple(document.name for document in same if document is not first)
        kept.append(replace(first, copies=copies))
    return sorted(kept, key=lambda document: document.name)


def _files(folder: Path, faults: list[tuple[str, str]]) -> Iterator[Path]:
    root = folder.resolve()
    found: list[Path] = []
    for place, folders, names in os.walk(folder, followlinks=False):
        folders[:] = [name for name in folders if not name.startswith((".", "__MACOSX"))]
        linked = [Path(place, name) for name in folders if Path(place, name).is_symlink()]
        what = "a link to a folder is not followed. Copy it in."
        faults += [(str(path), what) for path in linked]
        found += [Path(place, name) for name in names if not _is_hidden(name)]
    for path in sorted(found, key=lambda path: path.relative_to(folder).as_posix()):
        if path.suffix.lower() in ASSETS:
            continue
        if not path.resolve().is_relative_to(root):
            faults.append((str(path), "links out of the folder. Copy the file in."))
        else:
            yield path


def _is_hidden(name: str) -> bool:
    """Hidden files, what systems leave in folders, and locks of documents open in Office."""
    return name.startswith((".", "~$")) or name.lower() in _SYSTEM_FILES


def _read(path: Path) -> Content:
    ending = path.suffix.lower()
    reader = _READERS.get(ending)
    if reader is None:
        if remedy := _REMEDIES.get(ending):
            raise UnreadableError(remedy)
        raise UnreadableError(
            f"unknown type {path.suffix or 'without an ending'!r}. Save it as .md, .txt, .html or "
            ".pdf, or move it away."
        )
    content = reader(path)
    if not content.blocks:
        raise UnreadableError("holds no text. Fill it or move it away.")
    return content


def _read_markdown(path: Path) -> Content:
    return markdown_content(read_text(path))


def _read_text(path: Path) -> Content:
    return Content(title="", blocks=paragraphs(join_cut_words(read_text(path))))


def _read_html(path: Path) -> Content:
    return html_content(read_page(path))


_READERS: dict[str, Callable[[Path], Content]] = {
    ".md": _read_markdown,
    ".markdown": _read_markdown,
    ".txt": _read_text,
    ".html": _read_html,
    ".htm": _read_html,
    ".xhtml": _read_html,
    ".pdf": read_pdf,
    ".docx": read_word,
    ".docm": read_word,
    ".pptx": read_slides,
    ".pptm": read_slides,
    ".ppsx": read_slides,
    ".xlsx": read_sheets,
    ".xlsm": read_sheets,
    ".epub": read_book,
}
_OLD = "is an old {} file. Save it as {} and name that."
_REMEDIES = {
    ".doc": _OLD.format("Word", ".docx"),
    ".dot": _OLD.format("Word", ".docx"),
    ".xls": _OLD.format("Excel", ".xlsx"),
    ".ppt": _OLD.format("PowerPoint", ".pptx"),
    ".pps": _OLD.format("PowerPoint", ".pptx"),
    ".rtf": "is a rich text file. Save it as .docx.",
    ".odt": "is an OpenDocument text. Save it as .docx.",
    ".ods": "is an OpenDocument table. Save it as .xlsx.",
    ".odp": "is an OpenDocument presentation. Save it as .pptx.",
    ".pages": "is a Pages document. Export it as .docx.",
    ".numbers": "is a Numbers table. Export it as .xlsx.",
    ".key": "is a Keynote presentation. Export it as .pptx.",
    ".xlsb": "is a binary Excel file. Save it as .xlsx.",
    ".msg": "is a mail of Outlook. Save it as .txt or .html.",
    ".eml": "is a mail. Save it as .txt or .html.",
    ".mht": "is a web archive. Save the page as a single .html file.",
    ".mhtml": "is a web archive. Save the page as a single .html file.",
    ".json": "is JSON, no document. Save its texts as .md or .txt, or move it away.",
    ".jsonl": "is JSON, no document. Save its texts as .md or .txt, or move it away.",
    ".csv": "is a table, no document. Save it as .xlsx or .md, or move it away.",
    ".tsv": "is a table, no document. Save it as .xlsx or .md, or move it away.",
    ".zip": "is an archive. Unpack it, or move it away.",
}
"""Ending -> why such a file is not read, and what to do."""

DOCUMENT_ENDINGS = frozenset(_READERS)
"""Of files that can be read as documents."""
