"""Turns Markdown into titled blocks: headings, paragraphs, lists, tables and code."""

import re

from tunewise.data.documents.blocks import Block, BlockKind, Content, Outline
from tunewise.data.documents.front_matter import part_front_matter, without_tags

_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))??(?:[ \t]+#+)?[ \t]*")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*")
_RULE = re.compile(r" {0,3}(?:(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,})")
_ITEM = re.compile(r"[ \t]*(?:[-*+•]|\d{1,3}[.)])[ \t]+\S")
_FENCE = re.compile(r" {0,3}(```+|~~~+)")
_MARKED = re.compile(r"[*_`]{1,3}(\S.*?\S|\S)[*_`]{1,3}")
_NAME_OF_HEADING = re.compile(r"[ \t]*\{[#:.][^{}]*\}$")


def markdown_content(text: str) -> Content:
    """A Markdown file without front matter and template tags; the front matter's title counts."""
    parted = part_front_matter(text)
    untagged = without_tags(parted.rest, values=parted.dropped)
    title, blocks = markdown_blocks(untagged.text, title=parted.title)
    left_out = ["front matter (its title is kept)"] if parted.dropped else []
    left_out += ["template tags (the text between them is kept)"] if untagged.dropped else []
    return Content(title=title, blocks=blocks, left_out=left_out)


def markdown_blocks(text: str, *, title: str = "") -> tuple[str, list[Block]]:
    """The title (the first heading of level 1) and the blocks of a Markdown text.

    Understands ATX and underlined headings, fenced code, pipe tables and lists; a paragraph that
    ends in a colon belongs to the list or table below it. Front matter is dropped.

    Args:
        text: of the file.
        title: known beforehand; headings of level 1 that differ from it stay headings.
    """
    text = part_front_matter(text.replace("\r\n", "\n")).rest
    parser = _MarkdownParser(title)
    for line in text.split("\n"):
        parser.feed(line)
    parser.end_block()
    parser.outline.keep_bare_heading()
    return parser.outline.title, parser.outline.blocks


class _MarkdownParser:
    """Reads line by line; what is open is `kind` and `lines`."""

    def __init__(self, title: str) -> None:
        self.outline = Outline(title)
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
            self.start_section(len(heading.group(1)), heading.group(2) or "")
        elif self.is_underline(line):
            heading_line = self.lines.pop().strip()
            self.end_block()
            self.start_section(1 if "=" in line else 2, heading_line)
        elif _RULE.fullmatch(line):
            self.end_block()
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
        plain = _MARKED.sub(r"\1", _NAME_OF_HEADING.sub("", heading)).strip()
        self.outline.heading(level, plain)

    def end_block(self) -> None:
        self.outline.add(self.kind, "\n".join(self.lines).strip("\n"))
        self.kind, self.lines = "prose", []
