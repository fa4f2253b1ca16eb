"""Turns web pages into titled blocks; menus, banners and footers are dropped."""

import re
import warnings
from collections.abc import Collection, Iterator

from bs4 import BeautifulSoup, Tag
from bs4.element import NavigableString, PreformattedString

from tunewise.data.documents.blocks import Block, Content, Outline, UnreadableError, table_text
from tunewise.data.documents.boilerplate import drop_boilerplate
from tunewise.data.documents.front_matter import part_front_matter, without_tags

_UNSEEN = [
    "script", "style", "noscript", "template", "svg", "head", "title", "select", "datalist",
    "iframe", "object", "canvas", "audio", "video", "rt", "rp",
]  # fmt: skip
_INLINE = frozenset(
    {"a", "abbr", "acronym", "b", "bdi", "bdo", "big", "button", "cite", "code", "data", "del",
     "dfn", "em", "font", "i", "img", "input", "ins", "kbd", "label", "map", "mark", "math",
     "meter", "nobr", "output", "picture", "progress", "q", "ruby", "s", "samp", "small", "span",
     "strike", "strong", "sub", "sup", "time", "tt", "u", "var", "wbr"}
)  # fmt: skip
"""Elements that break no line; all others do."""
_HEADING = re.compile(r"h[1-6]")
_LISTS = ("ul", "ol", "menu")
_NO_ITEM = ["h1", "h2", "h3", "h4", "h5", "h6", "table", "pre"]
"""What makes a list a way of laying out a page."""
_MENUS = "menus, banners and footers of web pages"
_DEEPEST = 250
"""Elements within one another; browsers stop at 512."""
_WIDEST = 200
"""Columns or rows that one cell may span."""


def html_content(markup: str, *, ruled: bool = False) -> Content:
    """The title and the blocks of a page, without what stands on every page of its site.

    A page that is nothing else (a restaurant's menu) is read whole.

    Args:
        markup: the page.
        ruled: whether the first row of each table names its columns, even if not marked so.

    Raises:
        UnreadableError: its elements are nested too deeply.
    """
    parted = part_front_matter(markup)
    left_out = ["front matter (its title is kept)"] if parted.dropped else []
    markup = without_tags(parted.rest, values=True).text if parted.dropped else markup
    page = _parsed(markup)
    title = parted.title or _own_title(page)
    dropped = drop_boilerplate(page)
    outline = _outline(page, title, ruled=ruled)
    if dropped and outline.blocks:
        left_out.append(_MENUS)
    elif dropped:
        outline = _outline(_parsed(markup), title, ruled=ruled)
    return Content(
        title=parted.title or outline.title or title, blocks=outline.blocks, left_out=left_out
    )


def html_blocks(markup: str) -> tuple[str, list[Block]]:
    """The title and the blocks of an HTML page; see `html_content`."""
    content = html_content(markup)
    return content.title, list(content.blocks)


def _parsed(markup: str) -> BeautifulSoup:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that XHTML is XML, and a short text no page
        page = BeautifulSoup(markup, "html.parser")
    depths = {id(page): 0}
    for tag in page.find_all(True):
        depths[id(tag)] = depth = depths[id(tag.parent)] + 1
        if depth > _DEEPEST:
            raise UnreadableError("is nested too deeply. Save the page again, or as text.")
    return page


def _own_title(page: BeautifulSoup) -> str:
    return " ".join(page.title.get_text(" ").split()) if page.title else ""


def _outline(page: BeautifulSoup, title: str, *, ruled: bool) -> Outline:
    for tag in page.find_all(_UNSEEN):
        if not tag.decomposed:
            tag.decompose()
    # One heading of level 1 names the page better than <title>, which names the site as well;
    # several are its chapters.
    chapters = len(page.find_all("h1")) > 1
    writer = _MarkdownWriter(title if chapters else "", ruled=ruled)
    writer.flow(page)
    writer.end()
    writer.outline.keep_bare_heading()
    return writer.outline


class _MarkdownWriter:
    """Walks a page; `words` is the paragraph that is open."""

    def __init__(self, title: str, *, ruled: bool) -> None:
        self.outline = Outline(title)
        self.ruled = ruled
        self.words: list[str] = []

    def flow(self, parent: Tag) -> None:
        for child in parent.children:
            if isinstance(child, Tag):
                self.element(child)
            elif not isinstance(child, PreformattedString):  # comments and the like
                self.words.append(_collapsed(str(child)))

    def element(self, tag: Tag) -> None:
        if tag.name == "br":
            self.words.append("\n")
        elif tag.name in _INLINE and tag.find(_breaks_lines) is None:
            self.words.append(_raised(tag, "".join(self.words[-1:])))
        elif _HEADING.fullmatch(tag.name):
            self.end()
            self.outline.heading(int(tag.name[1]), _line(tag))
        elif tag.name == "pre":
            self.end()
            self.outline.add("code", f"```\n{tag.get_text().strip(chr(10))}\n```")
        elif tag.name == "table" and not _lays_out(tag):
            self.end()
            self.table(tag)
        elif tag.name in _LISTS and tag.find(_NO_ITEM) is None:
            self.end()
            self.outline.add("list", "\n".join(_items(tag, "")))
        else:
            self.end()
            self.flow(tag)
            self.end()

    def table(self, tag: Tag) -> None:
        if caption := tag.find("caption"):
            self.outline.add("prose", _line(caption))
        rows = list(tag.find_all("tr"))
        ruled = self.ruled or (bool(rows) and not rows[0].find("td"))
        self.outline.add("table", table_text(_cells(rows), ruled=ruled))

    def end(self) -> None:
        lines = (" ".join(line.split()) for line in "".join(self.words).split("\n"))
        self.outline.add("prose", "\n".join(line for line in lines if line))
        self.words = []


def _collapsed(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def _breaks_lines(tag: Tag) -> bool:
    return tag.name not in _INLINE and tag.name != "br"


def _inline(tag: Tag, leave_out: Collection[str] = ()) -> str:
    """The text of an element; what breaks lines is parted by a blank."""
    text = ""
    for child in tag.children:
        if isinstance(child, Tag):
            if child.name in leave_out:
                continue
            inner = _raised(child, text, leave_out)
            text += inner if child.name in _INLINE else f" {inner} "
        elif isinstance(child, NavigableString) and not isinstance(child, PreformattedString):
            text += _collapsed(str(child))
    return text


def _raised(tag: Tag, before: str, leave_out: Collection[str] = ()) -> str:
    """The text of an element; of an exponent with its sign: 10^3, not 103."""
    text = _inline(tag, leave_out)
    exponent = tag.name == "sup" and text[:1].isdigit() and before[-1:].isdigit()
    return f"^{text}" if exponent else text


def _line(tag: Tag, leave_out: Collection[str] = ()) -> str:
    return " ".join(_inline(tag, leave_out).split())


def _items(tag: Tag, indent: str) -> Iterator[str]:
    """The lines of a list, those of a list inside it further to the right."""
    number = 0
    for child in tag.find_all(True, recursive=False):
        if child.name in _LISTS:  # a list in a list without an item of its own
            yield from _items(child, indent + "  ")
            continue
        number += 1
        if text := _line(child, _LISTS):
            yield f"{indent}{f'{number}.' if tag.name == 'ol' else '-'} {text}"
        for inner in child.find_all(_LISTS):
            if inner.find_parent(_LISTS) is tag:
                yield from _items(inner, indent + "  ")


def _lays_out(table: Tag) -> bool:
    """Whether a table is only how a page is laid out, as on old sites: its cells are no data."""
    if table.get("role") in ("presentation", "none") or table.find(["table", *_NO_ITEM[:6]]):
        return True
    return all(len(row.find_all(["td", "th"])) < 2 for row in table.find_all("tr"))


def _cells(rows: list[Tag]) -> list[list[str]]:
    """The texts of a table; one that spans rows is repeated in each, so that rows can be read."""
    grid: dict[tuple[int, int], str] = {}
    for y, row in enumerate(rows):
        x = 0
        for cell in row.find_all(["th", "td"]):
            while (y, x) in grid:
                x += 1
            text = _line(cell)
            for down in range(_span(cell, "rowspan")):
                for right in range(_span(cell, "colspan")):
                    grid[y + down, x + right] = text if right == 0 else ""
            x += 1
    width = max((x + 1 for _, x in grid), default=0)
    return [[grid.get((y, x), "") for x in range(width)] for y in range(len(rows))]


def _span(cell: Tag, which: str) -> int:
    value = str(cell.get(which, ""))
    return min(max(int(value), 1), _WIDEST) if value.isascii() and value.isdigit() else 1
