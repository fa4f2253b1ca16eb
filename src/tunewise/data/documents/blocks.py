"""What every reader of documents returns: titled blocks of text, and what was left out of them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

BlockKind = Literal["prose", "list", "table", "code"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """A stretch of a document that belongs together."""

    headings: tuple[str, ...]
    """The headings above it, outermost first, the document's title left out."""
    kind: BlockKind
    text: str
    """Lines of Markdown or plain text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """What a reader made of one file."""

    title: str
    """The file's own; empty if it has none."""
    blocks: Sequence[Block]
    left_out: Sequence[str] = ()
    """What was not taken on purpose, in words that are the same for every file: "menus"."""
    missing: Sequence[str] = ()
    """What a person would miss, each a sentence with what to do: "Page 3 has no text. ..."."""


class UnreadableError(Exception):
    """Why one file cannot be used, as half a sentence and what to do."""


def paragraphs(text: str, headings: tuple[str, ...] = ()) -> list[Block]:
    """Plain text, cut at blank lines."""
    return [
        Block(headings=headings, kind="prose", text=paragraph.strip("\n"))
        for paragraph in re.split(r"\n[ \t]*\n", text)
        if paragraph.strip()
    ]


def table_text(rows: Sequence[Sequence[str]], *, ruled: bool = True) -> str:
    """Rows of cells as a Markdown table.

    Args:
        rows: cells of one line each; all-blank rows and columns are left out.
        ruled: whether the first row names the columns.
    """
    width = max((len(row) for row in rows), default=0)
    full = [
        [" ".join(cell.split()).replace("|", "\\|") for cell in row] + [""] * (width - len(row))
        for row in rows
    ]
    used = [at for at in range(width) if any(row[at] for row in full)]
    lines = [
        f"| {' | '.join(row[at] for at in used)} |" for row in full if any(row[at] for at in used)
    ]
    if ruled and len(lines) > 1:
        lines.insert(1, f"|{'---|' * len(used)}")
    return "\n".join(lines)


class Outline:
    """Collects blocks under the headings that are open.

    Args:
        title: known beforehand; headings of level 1 that differ from it stay headings.
    """

    def __init__(self, title: str = "") -> None:
        self.title = title
        """The document's: the first heading of level 1 if none was given."""
        self.blocks: list[Block] = []
        self._headings: dict[int, str] = {}
        self._bare = False

    def heading(self, level: int, text: str) -> None:
        """Opens a section.

        Args:
            level: 1 to 6.
            text: without marks.
        """
        if not text:
            return
        self.keep_bare_heading(level)
        if level == 1 and self.title in ("", text):
            self.title = text
            self._headings = {}
        else:
            self._headings = {at: kept for at, kept in self._headings.items() if at < level}
            self._headings[level] = text
            self._bare = True

    def add(self, kind: BlockKind, text: str) -> None:
        """Adds a block; a list or table goes on with a paragraph that ends in a colon."""
        if not text.strip():
            return
        above = tuple(self._headings.values())
        self._bare = False
        last = self.blocks[-1] if self.blocks and self.blocks[-1].headings == above else None
        if kind in ("list", "table") and last and last.text.endswith(":"):
            self.blocks.pop()
            text = f"{last.text}\n{text}"
        self.blocks.append(Block(headings=above, kind=kind, text=text))

    def keep_bare_heading(self, next_level: int = 0) -> None:
        """Makes text of a heading with nothing below it: "## We are closed on Sundays"."""
        if self._bare and next_level <= max(self._headings):
            *above, last = self._headings.values()
            self.blocks.append(Block(headings=tuple(above), kind="prose", text=last))
        self._bare = False
