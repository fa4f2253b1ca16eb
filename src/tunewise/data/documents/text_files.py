"""Turns the bytes of a text file or a web page into text, in the encoding that the file declares.

What is no text is refused by what it is, and what declares no encoding must be UTF-8.
"""

import codecs
import re
import zipfile
from pathlib import Path

from tunewise.data.documents.blocks import UnreadableError

_ZIP = b"PK\x03\x04"
OLD_OFFICE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""How .doc, .xls and .ppt begin, and office files with a password."""
_BEGINNINGS = {
    b"%PDF-": "a PDF file (.pdf)",
    OLD_OFFICE: "an old Word, Excel or PowerPoint file",
    b"{\\rtf": "a rich text file (.rtf)",
    b"\x1f\x8b": "packed with gzip",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture",
    b"SQLite format 3": "a database",
}
_INSIDE_ZIP = {
    "word/": "a Word file (.docx)",
    "xl/": "an Excel file (.xlsx)",
    "ppt/": "a PowerPoint file (.pptx)",
    "META-INF/container.xml": "an e-book (.epub)",
    "content.xml": "an OpenDocument file (.odt, .ods or .odp)",
}
_MARKS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_DECLARED = re.compile(
    rb"<meta\s[^>]*?charset\s*=\s*[\"']?\s*([\w.:-]+)|<\?xml\s[^>]*?encoding\s*=\s*[\"']([\w.:-]+)",
    re.IGNORECASE,
)
_DECLARATIONS_WITHIN = 4096
"""Bytes at the beginning of a page in which its encoding is looked for; browsers take 1,024."""
_AS_BROWSERS_DO = {
    "ascii": "cp1252", "iso8859-1": "cp1252", "iso8859-9": "cp1254", "iso8859-11": "cp874",
    "tis-620": "cp874", "shift_jis": "cp932", "euc_kr": "cp949", "gb2312": "gb18030",
    "gbk": "gb18030", "big5": "big5hkscs",
}  # fmt: skip
"""Declared encoding -> what pages that declare it are in fact written in (WHATWG Encoding)."""
_LIGATURES = {
    "ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st",
}  # fmt: skip
_SHOWN_AS_NOTHING = {"\u00ad": "", "\ufeff": "", "\u200b": "", "\u2060": ""}
_CLEAN = str.maketrans(
    {**_LIGATURES, **_SHOWN_AS_NOTHING, "\f": "\n\n", "\v": "\n", "\u2028": "\n", "\u2029": "\n\n"}
)


def bytes_of(path: Path) -> bytes:
    """The whole file.

    Raises:
        UnreadableError: it may not be read.
    """
    try:
        if not path.is_file():
            raise UnreadableError("is no ordinary file. Move it away.")
        return path.read_bytes()
    except OSError as error:
        raise UnreadableError(
            f"cannot be read ({error.strerror}). Check its permissions."
        ) from error


def read_text(path: Path) -> str:
    """A text file, its lines ended by LF, ligatures in letters and soft hyphens gone.

    Raises:
        UnreadableError: it is no text, or neither UTF-8 nor marked as UTF-16.
    """
    raw = bytes_of(path)
    _refuse_other_formats(raw, path)
    if raw.lstrip()[:200].lower().startswith((b"<!doctype html", b"<html")):
        raise UnreadableError("is a web page, not plain text. Give it the ending .html.")
    return cleaned(_decoded(raw))


def read_page(path: Path) -> str:
    """A web page, read in the encoding that it declares, as browsers do.

    Raises:
        UnreadableError: it is no text, or not in the encoding that it declares.
    """
    raw = bytes_of(path)
    _refuse_other_formats(raw, path)
    if b"multipart/related" in raw[:_DECLARATIONS_WITHIN] and b"MIME-Version" in raw[:2048]:
        raise UnreadableError("is a web archive (.mht). Save the page as a single .html file.")
    return cleaned(page_text(raw))


def page_text(raw: bytes) -> str:
    """A page of a web site or a book, decoded.

    Raises:
        UnreadableError: as `read_page`.
    """
    declared = _DECLARED.search(raw, 0, _DECLARATIONS_WITHIN)
    if declared is None or raw.startswith(tuple(mark for mark, _ in _MARKS)):
        return _decoded(raw)
    name = (declared[1] or declared[2]).decode("ascii", "replace")
    try:
        known = codecs.lookup(name).name
    except LookupError:
        raise UnreadableError(
            f"declares the unknown encoding {name!r}. Save the page as UTF-8."
        ) from None
    try:
        return raw.decode("utf-8")  # what is valid UTF-8 is, whatever it declares
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
    if not known.startswith(("utf", "utf_")):
        codec = _AS_BROWSERS_DO.get(known, known)
        for attempt in (codec, known):  # five bytes of ISO-8859-1 are none of Windows-1252
            try:
                return raw.decode(attempt)
            except (UnicodeError, LookupError, ValueError):
                continue
    raise UnreadableError(
        f"declares {name}, and line {line} is not {name}. Save the page as UTF-8."
    )


def cleaned(text: str) -> str:
    """Text without what only printing needs: CR, ligatures, soft hyphens, form feeds."""
    return text.replace("\r\n", "\n").replace("\r", "\n").translate(_CLEAN)


def what_it_is(path: Path, head: bytes) -> str | None:
    """The known binary format that a file is by its first bytes; None: none of them."""
    if head.startswith(_ZIP):
        try:
            with zipfile.ZipFile(path) as packed:
                names = packed.namelist()
        except (zipfile.BadZipFile, OSError, ValueError):
            return "a damaged ZIP archive"
        inside = (w for start, w in _INSIDE_ZIP.items() if any(n.startswith(start) for n in names))
        return next(inside, "a ZIP archive")
    return next((what for start, what in _BEGINNINGS.items() if head.startswith(start)), None)


def _refuse_other_formats(raw: bytes, path: Path) -> None:
    if what := what_it_is(path, raw[:64]):
        raise UnreadableError(f"is {what}, not text. Give it its true ending, or move it away.")


def _decoded(raw: bytes) -> str:
    for mark, codec in _MARKS:
        if raw.startswith(mark):
            try:
                return raw.decode("utf-8-sig" if codec == "utf-8" else codec)
            except UnicodeDecodeError as error:
                raise _not_in(codec.upper(), raw, error) from error
    if len(raw) > 3 and raw.count(b"\0") > len(raw) // 4:
        raise UnreadableError("looks like UTF-16 without its mark. Save the file as UTF-8.")
    if b"\0" in raw:
        raise UnreadableError("is no text file. Move it away, or give it its true ending.")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _not_in("UTF-8", raw, error) from error


def _not_in(encoding: str, raw: bytes, error: UnicodeDecodeError) -> UnreadableError:
    line = raw.count(b"\n", 0, error.start) + 1
    return UnreadableError(f"line {line} is not {encoding}. Save the file as UTF-8.")
