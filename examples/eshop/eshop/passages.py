"""Manuals and the desk's handbook -> passages with a title, cut at headings."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MAX_PASSAGE = 420
"""Characters; a paragraph is not cut for it, a row of a table is one."""
_HEADING = re.compile(r"#{1,6}\s+(.*)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Passage:
    """A piece of a document."""

    key: str
    """File and place in it."""
    title: str
    """Document and heading."""
    text: str


def passages(folder: Path) -> list[Passage]:
    """All passages of the Markdown files of a folder."""
    return [one for file in sorted(folder.glob("*.md")) for one in cut(file)]


def cut(file: Path) -> Iterator[Passage]:
    """The passages of one file, in order."""
    document, heading, lines, number = "", "", list[str](), 0
    for line in [*file.read_text("utf-8").splitlines(), "# "]:
        found = _HEADING.match(line)
        size = sum(map(len, lines)) + len(line)
        if (found or size > MAX_PASSAGE) and any(one.strip() for one in lines):
            number += 1
            title = f"{document}: {heading}" if heading else document
            yield Passage(key=f"{file.stem}/{number}", title=title, text="\n".join(lines).strip())
            lines = []
        if found and not document:
            document = re.split(r" [–:/|-] |: ", found[1])[0].strip()
        elif found:
            heading = found[1].strip()
        elif not set(line) <= set("|- :"):
            lines.append(line)
