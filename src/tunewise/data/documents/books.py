"""Turns e-books (.epub) into blocks: web pages in a ZIP archive, in the order of their spine."""

import posixpath
import warnings
import zipfile
from pathlib import Path
from urllib.parse import unquote

from bs4 import BeautifulSoup

from tunewise.data.documents.archives import check_archive, unreadable
from tunewise.data.documents.blocks import Block, Content, UnreadableError
from tunewise.data.documents.text_files import cleaned, page_text
from tunewise.data.documents.web_pages import html_content


def read_book(path: Path) -> Content:
    """An .epub file; each chapter's title is the outermost heading of its blocks.

    Raises:
        UnreadableError: it is damaged, or its pages are protected.
    """
    check_archive(path, "e-book", "META-INF/")
    try:
        with zipfile.ZipFile(path) as packed:
            if "META-INF/encryption.xml" in packed.namelist() and "META-INF/rights.xml" in (
                packed.namelist()
            ):
                raise UnreadableError("is protected against copying. It cannot be read.")
            return _read(packed)
    except UnreadableError:
        raise
    except Exception as error:  # boundary around one file
        raise unreadable("an e-book", error) from error


def _read(packed: zipfile.ZipFile) -> Content:
    container = _parsed(packed, "META-INF/container.xml")
    root = container.find("rootfile")
    package_name = str(root["full-path"]) if root else ""
    package = _parsed(packed, package_name)
    folder = posixpath.dirname(package_name)
    named = package.find("dc:title")
    title = " ".join(named.get_text().split()) if named else ""
    files = {str(item.get("id")): item for item in package.find_all("item")}
    blocks: list[Block] = []
    for entry in package.find_all("itemref"):
        item = files.get(str(entry.get("idref")))
        if item is None or "html" not in str(item.get("media-type")):
            continue
        if "nav" in str(item.get("properties", "")).split():
            continue
        name = posixpath.normpath(posixpath.join(folder, unquote(str(item["href"]))))
        page = html_content(cleaned(page_text(packed.read(name))))
        above = (page.title,) if page.title and page.title != title else ()
        blocks += [
            Block(headings=(*above, *block.headings), kind=block.kind, text=block.text)
            for block in page.blocks
        ]
    return Content(title=title, blocks=blocks)


def _parsed(packed: zipfile.ZipFile, name: str) -> BeautifulSoup:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # html.parser reads these small XML files well enough
        return BeautifulSoup(page_text(packed.read(name)), "html.parser")
