"""Turns text into rows, each with the line where it begins: JSON in any layout, CSV or TSV.

The format is recognised by content. It knows nothing of which columns a row should have.
"""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple, NoReturn, cast

from tunewise.data.faults import Reading, RowError

_DEEPEST = 100
_LONGEST_NUMBER = 300
_JSON_ENDINGS = (".json", ".jsonl", ".ndjson")


class Numbered(NamedTuple):
    """One row of a file."""

    line: int
    """Line of the file on which the row begins, from 1."""
    row: object
    """A JSON value, or a dict from column to cell."""


def numbered_rows(text: str, reading: Reading) -> list[Numbered]:
    """The rows of a text that is not blank; what cannot be read becomes a fault of `reading`."""
    ending = next((e for e in reversed(reading.path.suffixes) if e != ".gz"), "").lower()
    first = text.lstrip()[0]
    delimiter = None if first in "{[" else _delimiter(text)
    if delimiter is None:
        if first not in "{[" and ending not in _JSON_ENDINGS:
            what = "is neither JSON nor a table. Write JSONL, or CSV with a header line."
            reading.fault(1, "format", what)
            return []
        if ending in (".csv", ".tsv"):
            reading.note(f"ends in {ending}, but holds JSON; read as JSON.")
        return _json_rows(text, reading, lines_wanted=ending in (".jsonl", ".ndjson"))
    if ending in _JSON_ENDINGS:
        reading.note(f"ends in {ending}, but holds a table; read as CSV.")
    return list(_table_rows(text, delimiter, reading))


def _json_rows(text: str, reading: Reading, *, lines_wanted: bool) -> list[Numbered]:
    if "\r" in text:
        alone = "\r" in text.replace("\r\n", "")
        reading.note(f"lines end in {'CR' if alone else 'CRLF'}; read as line ends.")
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    first_line, _, rest = text.strip().partition("\n")
    if first_line.startswith("[") and not (rest and _is_whole(first_line)):
        if lines_wanted:
            reading.note("holds one JSON array instead of a row on each line; read as such.")
        return list(_sequence(text, reading))
    if rest and _starts_pretty(first_line):
        reading.note("rows spread over several lines; read as such.")
        return list(_sequence(text, reading))
    return list(_json_lines(text, reading))


def _is_whole(line: str) -> bool:
    """Whether the line is one JSON value (or an unwanted one, which is blamed later)."""
    try:
        return not line[_DECODER.raw_decode(line)[1] :].strip()
    except json.JSONDecodeError:
        return False
    except (RowError, RecursionError):
        return True


def _starts_pretty(first_line: str) -> bool:
    """Whether an object begins on this line and ends on a later one."""
    try:
        _DECODER.raw_decode(first_line)
    except json.JSONDecodeError:
        return re.fullmatch(r'\{\s*(".*"\s*:\s*[\[{]?\s*|".*,)?\s*', first_line) is not None
    except (RowError, RecursionError):
        return False
    return False


def _json_lines(text: str, reading: Reading) -> Iterator[Numbered]:
    # str.splitlines would also break at U+2028 and U+0085, which JSON allows inside texts.
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield Numbered(number, _parse(line))
        except json.JSONDecodeError as error:
            cut = number == len(lines) and number > 1 and error.pos >= len(line.rstrip()) - 1
            reading.fault(number, "not JSON", _json_hint(line, error, cut=cut))
        except RowError as fault:
            reading.fault(number, fault.kind, fault.what)


def _json_hint(line: str, error: json.JSONDecodeError, *, cut: bool = False) -> str:
    near = line[error.pos : error.pos + 1]
    before = line[: error.pos].rstrip()[-1:]
    remedy = "Mend this row."
    if cut or "Unterminated" in error.msg:
        remedy = "It seems cut off. Complete or remove it."
    elif near == "'":
        remedy = "Use double quotes."
    elif "control character" in error.msg:
        remedy = r"Write \n for a line break and \t for a tab."
    elif before == "," or near == ",":
        remedy = "Remove the comma too many."
    elif re.match(r"None|True|False", line[error.pos :]):
        remedy = "Write null, true or false, as JSON does."
    elif "Extra data" in error.msg:
        remedy = "Put each row on a line of its own."
    return f"is not JSON at column {error.colno} ({error.msg}). {remedy}"


def _sequence(text: str, reading: Reading) -> Iterator[Numbered]:
    """Objects that follow one another, in an array or bare, over any number of lines."""
    in_array = text.lstrip().startswith("[")
    skip = re.compile(r"[\s,]*" if in_array else r"\s*")
    position = text.index("[") + 1 if in_array else 0
    counted, line, first = 0, 1, True
    while True:
        matched = skip.match(text, position)
        start = matched.end() if matched else position
        line += text.count("\n", counted, start)
        counted = start
        closed = in_array and text[start : start + 1] == "]"
        if in_array and text.count(",", position, start) != (not first and not closed):
            what = "has a comma too few or too many. Put one between two rows."
            reading.fault(line, "comma", what)
        if closed and text[start + 1 :].strip():
            reading.fault(line, "not JSON", "more follows after the array. Remove it.")
        if start == len(text) and in_array:
            reading.fault(line, "not JSON", "the array is not closed. Add ] at the end.")
        if closed or start == len(text):
            return
        first = False
        try:
            row, position = _DECODER.raw_decode(text, start)
            yield Numbered(line, _checked(row, text[start:position]))
        except json.JSONDecodeError as error:
            here = error.doc.split("\n")[error.lineno - 1]
            flat = json.JSONDecodeError(error.msg, here, error.colno - 1)
            what = _json_hint(here, flat, cut=not text[error.pos :].strip())
            reading.fault(error.lineno, "not JSON", f"{what} Rows after it were not read.")
            return
        except RecursionError:
            reading.fault(line, "depth", f"is nested deeper than {_DEEPEST} levels. Flatten it.")
            return
        except RowError as fault:
            reading.fault(line, fault.kind, f"{fault.what} Rows after it were not read.")
            return


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, n in Counter(key for key, _ in pairs).items() if n > 1)
        raise RowError("duplicate key", f'has the key "{twice[:40]}" twice. Keep one of them.')
    return found


def _constant(name: str) -> NoReturn:
    raise RowError("no number", f"holds {name}, which is no JSON. Write null or a number.")


def _integer(digits: str) -> int:
    if len(digits) > _LONGEST_NUMBER:
        raise RowError(
            "long number", f"holds a number of {len(digits)} digits. Write it as text, in quotes."
        )
    return int(digits)


def _decimal(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        _constant(digits[:20])
    return value


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_constant=_constant,
    parse_int=_integer,
    parse_float=_decimal,
)


def _parse(text: str) -> object:
    """One JSON value, strictly: no NaN, no duplicate keys, no broken characters."""
    try:
        return _checked(_DECODER.decode(text), text)
    except RecursionError:
        raise RowError("depth", f"is nested deeper than {_DEEPEST} levels. Flatten it.") from None


def _checked(value: object, text: str) -> object:
    if text.count("[") + text.count("{") > _DEEPEST and _depth(value) > _DEEPEST:
        raise RowError("depth", f"is nested deeper than {_DEEPEST} levels. Flatten it.")
    if "\\u0000" in text and any("\0" in string for string in _strings(value)):
        raise RowError("NUL", "holds a NUL character. Remove it.")
    if "\\ud" in text or "\\uD" in text:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise RowError(
                "half a character", "holds half a character (a lone surrogate). Write it again."
            ) from None
    return value


def _strings(value: object) -> Iterator[str]:
    """Every text in a JSON value, names included. The value is known not to be deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in cast(list[object], value):
            yield from _strings(item)
    elif isinstance(value, dict):
        for key, item in cast(dict[str, object], value).items():
            yield key
            yield from _strings(item)


def _depth(value: object) -> int:
    deepest, todo = 0, [(value, 1)]
    while todo:
        here, depth = todo.pop()
        deepest = max(deepest, depth)
        inner: list[object] = []
        if isinstance(here, dict):
            inner = list(cast(dict[str, object], here).values())
        elif isinstance(here, list):
            inner = cast(list[object], here)
        todo += [(item, depth + 1) for item in inner if isinstance(item, dict | list)]
    return deepest


def _delimiter(text: str) -> str | None:
    header = text.lstrip("\r\n").split("\n", 1)[0].split("\r", 1)[0]
    counts = {mark: header.count(mark) for mark in "\t,;"}
    best = max(counts, key=lambda mark: counts[mark])
    return best if counts[best] else None


def _table_rows(text: str, delimiter: str, reading: Reading) -> Iterator[Numbered]:
    if delimiter == ";":
        reading.note("columns are separated by semicolons; read as such.")
    before = csv.field_size_limit(len(text) + 1)
    try:
        yield from _table_records(text, delimiter, reading)
    finally:
        csv.field_size_limit(before)


def _table_records(text: str, delimiter: str, reading: Reading) -> Iterator[Numbered]:
    table = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] | None = None
    start = 1
    try:
        for cells in table:
            line, start = start, table.line_num + 1
            if not cells:
                continue
            if header is None:
                header = [name.strip() for name in cells]
                if not _sound_header(header, line, reading):
                    return
            elif len(cells) != len(header):
                what = f"has {len(cells)} cells, the header has {len(header)}. Check its quotes."
                reading.fault(line, "ragged", what)
            else:
                if start - line > 1 and any(_swallows(cell, delimiter, header) for cell in cells):
                    reading.note(
                        f"the row at line {line} runs to line {start - 1} and looks like several "
                        "rows in one pair of quotes; check its quotes."
                    )
                yield Numbered(line, dict(zip(header, cells, strict=True)))
    except csv.Error as error:
        reading.fault(
            start,
            "quotes",
            f"a quote is not closed or stands inside a cell ({error}). "
            "Double quotes inside cells. Rows after it were not read.",
        )


def _sound_header(header: list[str], line: int, reading: Reading) -> bool:
    wrong = [name for name, n in Counter(header).items() if n > 1]
    if wrong:
        what = f'the header names "{wrong[0][:40]}" more than once'
        if not wrong[0]:
            what = "the header has columns without a name"
        reading.fault(line, "header", f"{what}. Give each column a name of its own.")
    return not wrong


def _swallows(cell: str, delimiter: str, header: list[str]) -> bool:
    return any(line.count(delimiter) == len(header) - 1 for line in cell.split("\n")[1:-1])
