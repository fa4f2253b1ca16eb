"""Turns PDF files into blocks, a page a heading. Needs the extra `pdf`.

Pages without text (scans) are named. Lines that stand on every page are kept once.
"""

import logging
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tunewise.data.documents.blocks import Block, Content, UnreadableError, paragraphs
from tunewise.data.documents.line_ends import join_cut_words
from tunewise.data.documents.text_files import bytes_of, cleaned, what_it_is
from tunewise.errors import first_line

if TYPE_CHECKING:
    import pypdf

_MARGIN_LINES = 2
"""Lines at the top and bottom of a page that may be a running head."""
_MIN_PAGES = 3
"""Pages from which a repeated line is a running head."""
_SHARE = 0.6
"""Of the pages with text, on which a running head stands."""
_PAGE_NUMBER = re.compile(
    r"[-–—\s|]*(?:(?:page|seite|p\.|s\.|pagina|página)\s*)?\d{1,4}"
    r"(?:\s*(?:of|von|/|de|di)\s*\d{1,4})?[-–—\s|]*",
    re.IGNORECASE,
)
_NO_LETTERS = re.compile(r"[\ufffd\ue000-\uf8ff\x00-\x08]")
_MAX_NO_LETTERS = 0.3
"""Share of a page's characters that are none: above it, its fonts do not say what they show."""
_NO_TITLE = re.compile(
    r"(?:untitled|unbenannt|document\d*|dokument\d*|.*\.(?:docx?|indd|pdf|xlsx?|pptx?|tex|dvi))",
    re.IGNORECASE,
)
_OCR = "OCR them first, for example with ocrmypdf"


def read_pdf(path: Path) -> Content:
    """The text of a PDF file.

    Raises:
        UnreadableError: it is damaged or encrypted, none of its pages has text, or the extra is
            not installed.
    """
    raw = bytes_of(path)
    if b"%PDF-" not in raw[:1024]:
        what = what_it_is(path, raw[:64]) or ("is empty" if not raw.strip() else "")
        said = what if what.startswith("is ") else f"is {what or 'something else'}, not PDF"
        raise UnreadableError(f"{said}. Give it its true ending, or move it away.")
    try:
        import pypdf  # noqa: PLC0415 - extra `pdf`
    except ImportError as missing:
        raise UnreadableError(
            "PDF needs the extra `pdf`. Run: pip install 'tunewise[pdf]'"
        ) from missing
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # what matters is raised
    try:
        reader = pypdf.PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(""):
            raise UnreadableError("is protected by a password. Save it without one.")
        title = str(reader.metadata.title or "") if reader.metadata else ""
        count = len(reader.pages)
    except UnreadableError:
        raise
    except Exception as error:  # boundary around one file: broken PDFs fail in every way
        raise UnreadableError(
            f"cannot be read as PDF ({type(error).__name__}: {first_line(error)[:120]}). "
            "Save it again without a password, or as text."
        ) from error
    texts = [_page_text(reader, number) for number in range(count)]
    pages = _without_running_heads([text.split("\n") for text in texts])
    shown = {number: text for number, text in enumerate(pages, start=1) if text.strip()}
    without = [number for number in range(1, count + 1) if number not in shown]
    if not shown:
        raise UnreadableError(f"holds no text: a scan. {_OCR.replace('them', 'it')}.")
    return Content(
        title="" if _NO_TITLE.fullmatch(title.strip()) else _plain(title),
        blocks=_blocks(shown),
        missing=[_missing(without)] if without else [],
    )


def _page_text(reader: "pypdf.PdfReader", number: int) -> str:
    """The text of a page; empty where it has none that can be read."""
    try:
        text = cleaned(reader.pages[number].extract_text())
    except Exception:  # noqa: BLE001 - boundary around one page, then named as one without text
        return ""
    if len(_NO_LETTERS.findall(text)) > _MAX_NO_LETTERS * len(text):
        return ""
    return text.replace("\0", "")


def _missing(pages: Sequence[int]) -> str:
    said = f"{_ranges(pages)} of it have" if len(pages) > 1 else f"{_ranges(pages)} of it has"
    return f"{said} no text: a scan? {_OCR if len(pages) > 1 else _OCR.replace('them', 'it')}."


def _ranges(pages: Sequence[int]) -> str:
    """`page 3`, `pages 2, 5-9 and 12`."""
    runs: list[list[int]] = []
    for page in pages:
        if runs and runs[-1][-1] == page - 1:
            runs[-1].append(page)
        else:
            runs.append([page])
    shown = [f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs]
    words = f"{', '.join(shown[:-1])} and {shown[-1]}" if len(shown) > 1 else shown[0]
    return f"page{'s' if len(pages) > 1 else ''} {words}"


def _without_running_heads(pages: Sequence[list[str]]) -> list[str]:
    """Each page's text; lines that stand on most pages are left on the first, page numbers nowhere.

    Args:
        pages: the lines of each.
    """
    margins = [
        {at: _keys(lines[at], number) for at in _margin(lines)}
        for number, lines in enumerate(pages)
    ]
    counts = Counter(key for margin in margins for key in set[str]().union(*margin.values()))
    often = max(_MIN_PAGES, _SHARE * sum(1 for margin in margins if margin))
    running = {key for key, count in counts.items() if count >= often}
    seen: set[str] = set()
    kept: list[str] = []
    for lines, margin in zip(pages, margins, strict=True):
        out: set[int] = set()
        for at, keys in margin.items():
            if keys & running and (keys & seen or _PAGE_NUMBER.fullmatch(lines[at])):
                out.add(at)
            seen |= keys & running
        kept.append("\n".join(line for at, line in enumerate(lines) if at not in out))
    return kept


def _margin(lines: Sequence[str]) -> list[int]:
    """Where the first and last lines with text are."""
    filled = [n for n, line in enumerate(lines) if line.strip()]
    return sorted({*filled[:_MARGIN_LINES], *filled[-_MARGIN_LINES:]})


def _keys(line: str, page: int) -> set[str]:
    """What is the same of a running head on every page: its first or last number may count them."""
    words = " ".join(line.split()).casefold()
    numbers = list(re.finditer(r"\d{1,6}", words))
    counting = {
        f"{words[: n.start()]}{int(n[0]) - page:+}{words[n.end() :]}"
        for n in (*numbers[:1], *numbers[-1:])
    }
    return {words, *counting}


def _blocks(pages: dict[int, str]) -> list[Block]:
    """The paragraphs of each page; whether cut words are joined is judged by all pages."""
    border = "\f"
    whole = join_cut_words(f"{border}\n".join(text.strip() for text in pages.values()))
    return [
        block
        for number, text in zip(pages, whole.split(f"{border}\n"), strict=True)
        for block in paragraphs(text, (f"page {number}",))
    ]


def _plain(title: str) -> str:
    return " ".join(re.sub(r"^Microsoft \w+ - ", "", title).split())
