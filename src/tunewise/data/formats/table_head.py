"""Finds where a table begins in its file, and what separates its columns.

Spreadsheets and exports write lines above the header: `sep=;`, titles, remarks behind a `#`. It
yields no rows.
"""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import NamedTuple

from tunewise.data.formats.text_stream import MAX_ROW
from tunewise.data.read_log import Reading

SEPARATOR_LINE = re.compile(
    r'\s*"?sep=(?P<mark>\\t|[^"\w\s]|\t)?(?P=mark)*"?[,;\t ]*\s*', re.IGNORECASE
)
"""What spreadsheets write above a table, and hide when they open it: `sep=;`."""
_MARKS = "\t,;|"
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_MAX_RECORDS = 40
"""Records at the beginning that tell header and titles apart."""
_MIN_BELOW = 2
"""Records of one width that must follow a header below titles."""
_MAX_NAME = 60
_NO_NAME = re.compile(r"[-+]?[\d.,:/]+ ?%?|\s.*|#.*")
_SHOWN = 40


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """Where a table begins."""

    delimiter: str
    lines_before: int
    """Lines of the file above the header."""


class _HeadLine(NamedTuple):
    line: int
    """Lines of the file before it."""
    cells: list[str]


def start_of_table(
    lines: Sequence[str], only: str | None, reading: Reading, *, whole: bool
) -> Start | None:
    """Where the table begins that a file holds; None: it is no table.

    Args:
        lines: the file's first lines with their ends, at least one of them not blank.
        only: what separates the columns where there is but one; None: such a text is no table.
        reading: gets notes of lines that are passed over.
        whole: whether these are all lines of the file.
    """
    before = _blank(lines, 0)
    if before == len(lines):
        return Start(delimiter=delimiter_of("".join(lines)) or ",", lines_before=before)
    said = None
    if matched := SEPARATOR_LINE.fullmatch(lines[before]):
        said = "\t" if matched["mark"] == "\\t" else matched["mark"]
        what = f"says how columns are separated ({lines[before].strip()}); passed over."
        reading.note(f"line {before + 1} only {what}")
        before = _blank(lines, before + 1)
        if before == len(lines):
            return Start(delimiter=said or ",", lines_before=before)
    found = _below_titles(lines, before, said or _MARKS, whole=whole)
    if found is not None:
        _note_titles(lines[before : found.lines_before], before, reading)
        return found
    likely = _delimiter(lines, before, whole=whole)
    if said and likely and said not in _bare(lines[before]):
        reading.note(f"columns are separated by {likely!r} all the same; read as such.")
        said = None
    delimiter = said or likely or only
    return Start(delimiter=delimiter, lines_before=before) if delimiter else None


def delimiter_of(header: str) -> str | None:
    """What separates the columns of a table with this first line; None: it is no table."""
    bare = _bare(header)
    best = max(_MARKS, key=lambda mark: (bare.count(mark), mark != "|"))
    if best == "|" and bare.startswith("|"):  # a table of Markdown
        return None
    return best if best in bare else None


def is_blank(cells: Sequence[str]) -> bool:
    """Whether a record says nothing."""
    return not any(map(str.strip, cells))


def filled(cells: Sequence[str]) -> list[str]:
    """The cells that say something."""
    return [cell for cell in cells if cell.strip()]


def _blank(lines: Sequence[str], start: int) -> int:
    """Where blank lines end, and lines of nothing but delimiters."""
    return start + sum(
        1 for _ in takewhile(lambda line: not line.strip("\t,;| \r\n"), lines[start:])
    )


def _bare(line: str) -> str:
    return _QUOTED.sub("", line)


def _delimiter(lines: Sequence[str], before: int, *, whole: bool) -> str | None:
    """The mark in the header that parts the records below it as evenly as the header."""
    best = delimiter_of(lines[before])
    bare = _bare(lines[before])
    marks = [mark for mark in _MARKS if mark in bare]
    if best is None or len(marks) < 2:
        return best

    def evenness(mark: str) -> tuple[float, int, bool]:
        header, *below = _records(lines, before, mark, whole=whole) or [_HeadLine(0, [])]
        even = sum(len(record.cells) == len(header.cells) for record in below)
        return even / max(len(below), 1), bare.count(mark), mark == best

    return max(marks, key=evenness)


def _below_titles(lines: Sequence[str], before: int, marks: str, *, whole: bool) -> Start | None:
    """The table where titles or remarks surely stand above its header.

    A first line that names as many columns as every record below it has is the header itself.
    """
    by_mark = {mark: _records(lines, before, mark, whole=whole) for mark in marks}
    if any(map(_is_even, by_mark.values())):
        return None
    for mark, records in by_mark.items():
        if not records or not _may_be_title(records):
            continue
        for place, (line, header) in enumerate(records[:-_MIN_BELOW]):
            titles = [record.cells for record in records[:place]]
            below = records[place + 1 :]
            if (
                place
                and _are_names(header)
                and all(len(record.cells) == len(header) for record in below)
                and _are_titles(titles, lines[before:line], header)
            ):
                return Start(delimiter=mark, lines_before=line)
    return None


def _is_even(records: Sequence[_HeadLine]) -> bool:
    """Whether the first record could be the header of all that follow."""
    if len(records) < 2:
        return False
    header, *below = (record.cells for record in records)
    return _are_names(header) and all(len(cells) == len(header) for cells in below)


def _may_be_title(records: Sequence[_HeadLine]) -> bool:
    """Whether the first record looks unlike those below it."""
    first = records[0].cells
    widths = Counter(len(record.cells) for record in records[1:])
    return (
        len(filled(first)) < 2
        or first[0].startswith("#")
        or widths.most_common(1) != [(len(first), widths[len(first)])]
    )


def _are_names(cells: Sequence[str]) -> bool:
    """Whether a record could be a header."""
    names = filled(cells)
    return (
        len(names) >= 2
        and len(set(names)) == len(names)
        and all(len(name) <= _MAX_NAME and "\n" not in name for name in names)
        and not any(_NO_NAME.fullmatch(name) for name in names)
    )


def _are_titles(titles: Sequence[Sequence[str]], lines: Sequence[str], header: list[str]) -> bool:
    """Whether records above a header are surely no part of the table.

    One word could be the name of the only column, where rows hold one comma each.
    """
    if all(cells[0].startswith("#") for cells in titles):
        return any(len(cells) != len(header) for cells in titles)
    return all(
        len(filled(cells)) < len(filled(header)) or cells[0].startswith("#") for cells in titles
    ) and (
        len(header) > 2
        or any(not line.strip() for line in lines)
        or all(len(cells) > 1 or " " in cells[0].strip() for cells in titles)
    )


def _note_titles(titles: Sequence[str], before: int, reading: Reading) -> None:
    said = next(title.strip().strip(_MARKS + '"') for title in titles if title.strip())
    last = before + len(titles)
    where = f"line {last} stands" if len(titles) == 1 else f"lines {before + 1} to {last} stand"
    shown = said if len(said) <= _SHOWN else f"{said[:_SHOWN]}..."
    reading.note(f'{where} above the header ("{shown}"); passed over.')


def _records(lines: Sequence[str], before: int, mark: str, *, whole: bool) -> list[_HeadLine]:
    """The first records that say something; the last one is left out where it may be cut."""
    limit = csv.field_size_limit(MAX_ROW)
    table = csv.reader(lines[before:], delimiter=mark)
    found: list[_HeadLine] = []
    start = 0
    try:
        for cells in table:
            found.append(_HeadLine(before + start, cells))
            start = table.line_num
            if len(found) > _MAX_RECORDS:
                whole = True
                break
    except csv.Error:
        whole = False
    finally:
        csv.field_size_limit(limit)
    return [record for record in (found if whole else found[:-1]) if not is_blank(record.cells)]
