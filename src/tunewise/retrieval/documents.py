"""Turns Markdown, text, HTML and PDF files into titled documents made of blocks.

It knows nothing of passage sizes or of search. PDF needs the extra `pdf`.
"""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bs4 import BeautifulSoup, Tag

from tunewise.errors import UserError
from tunewise.types import Text

BlockKind = Literal["prose", "list", "table", "code"]

ASSETS = frozenset(
    {".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ".ico", ".css", ".js", ".woff", ".woff2"}
)
"""What lies beside pages without being one; passed over in silence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """A stretch of a document that belongs together."""

    headings: tuple[str, ...]
    """The headings above it, outermost first, the document's title left out."""
    kind: BlockKind
    text: str
    """Lines of Markdown or plain text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """One file, read."""

    name: str
    """Path inside the folder of documents, with forward slashes."""
    title: str
    """The file's own title, or its name without the ending."""
    blocks: tuple[Block, ...]


class _UnreadableError(Exception):
    """Why one file cannot be used, as half a sentence and what to do."""


def read_documents(*places: Path) -> list[Document]:
    """Reads files, and every document under folders, in the order of their paths.

    Hidden files and folders are passed over, and so are pictures, styles and scripts. Links that
    lead out of a folder are faults, and links to folders are not followed.

    Args:
        places: at least one. A document's name is its path from the folder they all lie in.

    Raises:
        UserError: a place does not exist or holds no document; or files are of an unknown type,
            not readable or empty: all of them in one message, a line each.
    """
    documents: list[Document] = []
    faults: list[str] = []
    paths: dict[Path, None] = {}
    for place in places:
        if not place.exists():
            what = "there is no such file or folder. Set data.documents to one."
            faults.append(f"{place}: {what}")
        elif place.is_dir():
            found = dict.fromkeys(_files(place, faults))
            if not found and not faults:
                faults.append(f"{place}: no documents. Put .md, .txt, .html or .pdf files there.")
            paths |= found
        else:
            paths[place] = None
    root = Path(os.path.commonpath([p if p.is_dir() else p.parent for p in places]))
    for path in sorted(paths, key=lambda path: path.relative_to(root).as_posix()):
        try:
            documents.append(_read(path, path.relative_to(root).as_posix()))
        except _UnreadableError as fault:
            faults.append(f"{path}: {fault}")
    if faults:
        raise UserError.together(faults)
    return documents


def whole_text(document: Document) -> Text:
    """A document as one text, headings included: what continued pre-training reads."""
    lines = [f"# {document.title}"]
    shown: tuple[str, ...] = ()
    for block in document.blocks:
        for depth, heading in enumerate(block.headings):
            if block.headings[: depth + 1] != shown[: depth + 1]:
                lines.append(f"{'#' * (depth + 2)} {heading}")
        shown = block.headings
        lines.append(block.text)
    return Text(id=document.name, text="\n\n".join(lines))


def _files(folder: Path, faults: list[str]) -> Iterator[Path]:
    root = folder.resolve()
    found: list[Path] = []
    for place, folders, names in os.walk(folder, followlinks=False):
        folders[:] = [name for name in folders if not name.startswith(".")]
        linked = [Path(place, name) for name in folders if Path(place, name).is_symlink()]
        faults += [f"{path}: a link to a folder is not followed. Copy it in." for path in linked]
        found += [Path(place, name) for name in names if not name.startswith(".")]
    for path in sorted(found, key=lambda path: path.relative_to(folder).as_posix()):
        if path.suffix.lower() in ASSETS:
            continue
        if not path.resolve().is_relative_to(root):
            faults.append(f"{path}: links out of the folder. Copy the file in.")
        else:
            yield path


def _read(path: Path, name: str) -> Document:
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise _UnreadableError(
            f"unknown type {path.suffix or 'without an ending'!r}. Save it as .md, .txt, .html or "
            ".pdf, or move it away."
        )
    title, blocks = reader(path)
    if not blocks:
        raise _UnreadableError("holds no text. Fill it or move it away.")
    return Document(name=name, title=title or path.stem, blocks=tuple(blocks))


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise _UnreadableError(
            f"cannot be read ({error.strerror}). Check its permissions."
        ) from error
    if b"\0" in raw:
        raise _UnreadableError("is no text file. Move it away, or give it its true ending.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _UnreadableError(f"line {line} is not UTF-8. Save the file as UTF-8.") from error


# --- Markdown and text ----------------------------------------------------------------------------

_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(.*?)[ \t]*#*[ \t]*")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*")
_ITEM = re.compile(r"[ \t]*(?:[-*+•]|\d{1,3}[.)])[ \t]+\S")
_FENCE = re.compile(r" {0,3}(```+|~~~+)")
_FRONT_MATTER = re.compile(r"---[ \t]*\n.*?\n---[ \t]*(?:\n|$)", re.DOTALL)


def markdown_blocks(text: str) -> tuple[str, list[Block]]:
    """The title (the first heading of level 1) and the blocks of a Markdown text.

    Understands ATX and underlined headings, fenced code, pipe tables and lists; a paragraph that
    ends in a colon belongs to the list or table below it. Front matter is dropped.
    """
    text = text.replace("\r\n", "\n")
    parser = _MarkdownParser()
    front = _FRONT_MATTER.match(text)
    for line in (text[front.end() :] if front else text).split("\n"):
        parser.feed(line)
    parser.end_block()
    return parser.title, parser.blocks


class _MarkdownParser:
    """Reads line by line; what is open is `kind` and `lines`."""

    def __init__(self) -> None:
        self.title = ""
        self.blocks: list[Block] = []
        self.headings: dict[int, str] = {}
        self.kind: BlockKind = "prose"
        self.lines: list[str] = []
        self.fence = ""

    def feed(self, line: str) -> None:
        if self.fence:
            self.lines.append(line)
            if line.strip().startswith(self.fence):
                self.fence = ""
                self.end_block()
            return
        if fence := _FENCE.match(line):
            self.end_block()
            self.kind, self.fence = "code", fence.group(1)
            self.lines.append(line)
        elif heading := _HEADING.fullmatch(line):
            self.end_block()
            self.start_section(len(heading.group(1)), heading.group(2))
        elif self.is_underline(line):
            heading_line = self.lines.pop().strip()
            self.end_block()
            self.start_section(1 if "=" in line else 2, heading_line)
        elif not line.strip():
            self.lines.append("")
            if self.kind != "list":  # items may be separated by blank lines
                self.end_block()
        else:
            self.add_line(line)

    def add_line(self, line: str) -> None:
        inside: BlockKind = "prose"
        if _ITEM.match(line):
            inside = "list"
        elif line.lstrip().startswith("|"):
            inside = "table"
        elif self.kind == "list" and (
            line.startswith((" ", "\t")) or (self.lines and self.lines[-1])
        ):
            inside = "list"  # an item goes on
        if inside != self.kind:
            introduces = self.kind == "prose" and self.lines and self.lines[-1].rstrip()[-1:] == ":"
            if not introduces:
                self.end_block()
            self.kind = inside
        self.lines.append(line)

    def is_underline(self, line: str) -> bool:
        return bool(self.kind == "prose" and self.lines and _UNDERLINE.fullmatch(line))

    def start_section(self, level: int, heading: str) -> None:
        plain = re.sub(r"[*_`]{1,3}(\S.*?\S|\S)[*_`]{1,3}", r"\1", heading).strip()
        if level == 1 and not self.title:
            self.title = plain
            self.headings = {}
        else:
            self.headings = {at: kept for at, kept in self.headings.items() if at < level}
            self.headings[level] = plain

    def end_block(self) -> None:
        text = "\n".join(self.lines).strip("\n")
        introduced = self.blocks and self.blocks[-1].headings == tuple(self.headings.values())
        if text.strip():
            last = self.blocks[-1] if introduced else None
            if self.kind in ("list", "table") and last and last.text.endswith(":"):
                self.blocks.pop()
                text = f"{last.text}\n{text}"
            self.blocks.append(
                Block(headings=tuple(self.headings.values()), kind=self.kind, text=text)
            )
        self.kind, self.lines = "prose", []


def _read_markdown(path: Path) -> tuple[str, list[Block]]:
    return markdown_blocks(_text(path))


def _read_text(path: Path) -> tuple[str, list[Block]]:
    return "", _paragraphs(_text(path), ())


def _paragraphs(text: str, headings: tuple[str, ...]) -> list[Block]:
    return [
        Block(headings=headings, kind="prose", text=paragraph.strip("\n"))
        for paragraph in re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n"))
        if paragraph.strip()
    ]


# --- HTML -----------------------------------------------------------------------------------------

_NOT_CONTENT = ["script", "style", "noscript", "template", "nav", "svg", "head"]
_STRUCTURE = ["h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "table", "pre"]
_BREAKS = ["p", "div", "section", "article", "main", "header", "footer", "br", "blockquote", "dd"]


def html_blocks(markup: str) -> tuple[str, list[Block]]:
    """The title and the blocks of an HTML page, by way of Markdown.

    Scripts, styles and navigation are dropped; headings, lists, tables and preformatted text keep
    their structure, everything else is prose.
    """
    page = BeautifulSoup(markup, "html.parser")
    title = page.title.get_text(" ", strip=True) if page.title else ""
    for tag in page.find_all(_NOT_CONTENT):
        tag.decompose()
    for tag in page.find_all(_STRUCTURE):
        if not tag.decomposed and tag.find_parent(["ul", "ol", "table", "pre"]) is None:
            tag.replace_with(f"\n\n{_as_markdown(tag)}\n\n")
    for tag in page.find_all(_BREAKS):
        tag.insert_before("\n" if tag.name == "br" else "\n\n")
        tag.append("\n" if tag.name == "br" else "\n\n")
    own_title, blocks = markdown_blocks(page.get_text())
    return own_title or title, blocks


def _as_markdown(tag: Tag) -> str:
    if tag.name.startswith("h"):
        return f"{'#' * int(tag.name[1])} {_line(tag)}"
    if tag.name == "pre":
        return f"```\n{tag.get_text().strip()}\n```"
    if tag.name == "table":
        rows = [[_line(cell) for cell in row.find_all(["th", "td"])] for row in tag.find_all("tr")]
        return "\n".join(f"| {' | '.join(row)} |" for row in rows if row)
    return "\n".join(f"- {_line(item)}" for item in tag.find_all("li", recursive=False))


def _line(tag: Tag) -> str:
    return " ".join(tag.get_text(" ").split())


def _read_html(path: Path) -> tuple[str, list[Block]]:
    return html_blocks(_text(path))


# --- PDF ------------------------------------------------------------------------------------------


def _read_pdf(path: Path) -> tuple[str, list[Block]]:
    try:
        import pypdf  # noqa: PLC0415 - extra `pdf`
    except ImportError as missing:
        raise _UnreadableError(
            "PDF needs the extra `pdf`. Run: pip install 'tunewise[pdf]'"
        ) from missing
    try:
        reader = pypdf.PdfReader(path)
        title = str(reader.metadata.title or "") if reader.metadata else ""
        pages = [page.extract_text() for page in reader.pages]
    except Exception as error:  # boundary around one file: broken PDFs fail in every way
        raise _UnreadableError(
            f"cannot be read as PDF ({type(error).__name__}: {error}). Save it again without a "
            "password, or as text."
        ) from error
    blocks = [
        block
        for number, text in enumerate(pages, start=1)
        for block in _paragraphs(text, (f"page {number}",))
    ]
    if not blocks:
        raise _UnreadableError("holds no text: a scan? Run text recognition over it first.")
    return title, blocks


_READERS: dict[str, Callable[[Path], tuple[str, list[Block]]]] = {
    ".md": _read_markdown,
    ".markdown": _read_markdown,
    ".txt": _read_text,
    ".html": _read_html,
    ".htm": _read_html,
    ".pdf": _read_pdf,
}

DOCUMENT_ENDINGS = frozenset(_READERS)
"""Of files that can be read as documents."""
