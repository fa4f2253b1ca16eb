"""Turns documents into passages of about one size that can be read on their own."""

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import regex

from tunewise.data.documents.blocks import Block
from tunewise.data.documents.document import Document
from tunewise.text.words import count_words

SIZES = ((120, 1), (60, 2), (200, 1), (120, 2), (60, 4), (200, 2), (120, 4))
"""(words of a passage, passages shown) that are tried, the shortest prompts first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Passage:
    """A piece of a document, as it is searched and shown to a model."""

    id: str
    """The document's name and the number of the passage in it, from 1: `file.md#3`."""
    document: str
    """The document's name: its path inside the folder."""
    heading: str
    """The headings above it: "Care > Washing"; empty before the first heading."""
    text: str
    """A line with the title and the headings, then the passage itself."""


@dataclass(frozen=True, slots=True)
class _Unit:
    """The smallest thing that is not cut: a sentence, an item, a whole table."""

    headings: tuple[str, ...]
    text: str
    gap: str
    """What goes between the unit before and this one: blank, line break, blank line."""
    words: int


def chunk(documents: Sequence[Document], *, words: int) -> list[Passage]:
    """Cuts documents into passages, in the order of the documents.

    A passage ends at a heading, or between sentences, items or table rows when it is full. Lists,
    tables and code stay whole when they fit into one passage. Short sections that follow each
    other share a passage. There is no overlap: every word of a document is in one passage.

    Args:
        documents: from `read_documents`.
        words: words in a passage at most, title and headings not counted; a word is what white
            space separates, 1.3 to 1.5 tokens of English, or two signs where there is none.

    Raises:
        ValueError: `words` is below 10.
    """
    if words < 10:
        raise ValueError(f"passages need at least 10 words, not {words}")
    return [
        _passage(document, number, units)
        for document in documents
        for number, units in enumerate(_pack(document.blocks, words), start=1)
    ]


def _pack(blocks: Sequence[Block], limit: int) -> Iterator[list[_Unit]]:
    """Fills passages with units, a new one where the next does not fit."""
    sections = _sections(blocks)
    current: list[_Unit] = []
    for section in sections:
        size = sum(count_words(block.text) for block in section) + count_words(
            " ".join(section[0].headings)
        )
        filled = sum(unit.words for unit in current)
        if current and (filled + size > limit or 2 * filled > limit):
            yield current
            current = []
        for block in section:
            for unit in _units(block, limit):
                if current and sum(held.words for held in current) + unit.words > limit:
                    yield current
                    current = []
                current.append(unit)
    if current:
        yield current


def _sections(blocks: Sequence[Block]) -> list[list[Block]]:
    sections: list[list[Block]] = []
    for block in blocks:
        if sections and sections[-1][0].headings == block.headings:
            sections[-1].append(block)
        else:
            sections.append([block])
    return sections


def _units(block: Block, limit: int) -> Iterator[_Unit]:
    gap = "\n\n"
    for line in _lines(block, limit):
        pieces = sentences(line) if block.kind == "prose" else [line]
        for piece in pieces:
            for part in _fitting(piece, limit):
                yield _Unit(block.headings, part, gap, count_words(part))
                gap = " "
        gap = "\n"


def _lines(block: Block, limit: int) -> list[str]:
    """The lines that a block may be cut between; the whole block where it must not be cut."""
    if block.kind != "prose" and count_words(block.text) <= limit:
        return [block.text]
    lines = block.text.split("\n")
    if block.kind == "table":
        return _table_parts(lines, limit)
    if block.kind != "prose":
        return [line for line in lines if line.strip()]
    joined: list[str] = []
    breaks = True
    for line in lines:
        # Markdown's hard breaks; "**Weight**: 2 kg" starts a line of its own in many manuals.
        if breaks or line.lstrip().startswith("**"):
            joined.append(line.strip())
        else:
            joined[-1] += f" {line.strip()}"
        breaks = line.endswith(("  ", "\\"))
    return joined


def _table_parts(lines: Sequence[str], limit: int) -> list[str]:
    """A long table as several, each with the lines above its first row of data on top.

    A row that does not fit below them is written out cell by cell.
    """
    ruled = next((at for at, line in enumerate(lines) if _RULE.fullmatch(line)), None)
    top = list(lines[: ruled + 1]) if ruled is not None else []
    names = _cells(top[-2]) if len(top) > 1 else []
    parts: list[str] = []
    fits = False
    for row in lines[len(top) :]:
        alone = "\n".join([*top, row])
        if fits and count_words(f"{parts[-1]}\n{row}") <= limit:
            parts[-1] += f"\n{row}"
        elif fits := not names or count_words(alone) <= limit:
            parts.append(alone)
        else:
            parts += _written_out(names, _cells(row), limit)
    return parts or ["\n".join(top)]


def _written_out(names: Sequence[str], cells: Sequence[str], limit: int) -> list[str]:
    """A wide row as lines `name: cell`, in parts that fit, each with its first cell on top."""
    named = itertools.zip_longest(names, cells, fillvalue="")
    said = [f"{name}: {cell}" if name else cell for name, cell in named if cell]
    first = said[:1] if said and count_words(said[0]) <= limit // 2 else []
    room = limit - count_words("".join(first))
    parts: list[str] = []
    for line in said[len(first) :]:
        for piece in _fitting(line, room):
            if parts and count_words(parts[-1]) + count_words(piece) <= limit:
                parts[-1] += f"\n{piece}"
            else:
                parts.append("\n".join([*first, piece]))
    return parts or first


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in _BORDER.split(row.strip().removeprefix("|").removesuffix("|"))]


def _fitting(text: str, limit: int) -> list[str]:
    """The text itself, or pieces of `limit` words where it is longer than a whole passage."""
    if count_words(text) <= limit:
        return [text]
    words = text.split()
    if count_words(text) > 2 * len(words):  # no spaces to cut at
        signs: list[str] = regex.findall(r"\X", text)
        size = max(len(signs) * limit // count_words(text), 1)
        return ["".join(signs[start : start + size]) for start in range(0, len(signs), size)]
    return [" ".join(words[start : start + limit]) for start in range(0, len(words), limit)]


_BORDER = re.compile(r"(?<!\\)\|")
_RULE = re.compile(r"[ \t]*\|?[ \t:|-]*---[ \t:|-]*")
_SENTENCE_END = regex.compile(
    r"(?<=[.!?…])[\"'”’)\]*_]*\s+(?=[\"'“‘(\[*_]*[\p{Lu}0-9])"
    r"|(?<=[।؟۔።])\s+|(?<=[。！？][」』）]*)(?![」』）。！？\s])(?!$)"
)
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|approx|ca|no|nos|vol|fig|sec|max|min|mr|mrs|ms|dr|prof|st|vs|cf|[a-z])\.|"
    r"^\d{1,3}\.)$",
    re.IGNORECASE,
)


def sentences(text: str) -> list[str]:
    """Cuts running text after full stops, question and exclamation marks.

    After those of Latin, a capital letter or a digit must follow; common abbreviations and single
    letters do not end a sentence.
    """
    found: list[str] = []
    start = 0
    for end in _SENTENCE_END.finditer(text):
        candidate = text[start : end.end()].strip()
        if not _ABBREVIATION.search(candidate):
            found.append(candidate)
            start = end.end()
    rest = text[start:].strip()
    return [*found, rest] if rest else found


def _passage(document: Document, number: int, units: Sequence[_Unit]) -> Passage:
    shared = _common_start([unit.headings for unit in units])
    body = ""
    above = shared
    for unit in units:
        if unit.headings != above:
            body += f"\n\n{' > '.join(unit.headings[len(shared) :])}\n{unit.text}"
        else:
            body += f"{unit.gap}{unit.text}"
        above = unit.headings
    return Passage(
        id=f"{document.name}#{number}",
        document=document.name,
        heading=" > ".join(shared),
        text=f"{' > '.join([document.title, *shared])}\n{body.strip()}",
    )


def _common_start(paths: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    shared = paths[0]
    for path in paths[1:]:
        same = (a == b for a, b in zip(shared, path, strict=False))
        shared = shared[: sum(1 for _ in itertools.takewhile(bool, same))]
    return shared
