"""Turns files into examples: JSONL, JSON, CSV and TSV, gzip of these, recognised by content.

Either every row becomes an example, or a UserError lists what is wrong, by file and line. It
knows the shapes of rows (chat, ShareGPT, Alpaca, columns), but nothing of tasks, splits or models.
"""

import csv
import difflib
import gzip
import hashlib
import io
import json
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, NoReturn, cast

from tunewise.errors import UserError
from tunewise.project import Data
from tunewise.types import Example, JsonValue, Message

SHOWN = 20
"""Faults of one kind shown with their lines; the rest is counted."""
_DEEPEST = 100
_LONGEST_NUMBER = 300
_JSON_ENDINGS = (".json", ".jsonl", ".ndjson")
_COLUMNS = (
    ("prompt", "completion"),
    ("prompt", "response"),
    ("input", "output"),
    ("question", "answer"),
    ("text", "label"),
    ("input", "target"),
)
_PREFERENCES = ("chosen", "rejected", "preferred_output", "non_preferred_output")
_ROLES = ("system", "user", "assistant")
_OTHER_NAMES = {
    "human": "user",
    "customer": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "ai": "assistant",
    "model": "assistant",
    "agent": "assistant",
}
_BINARY = {
    b"%PDF": "a PDF",
    b"PK\x03\x04": "a ZIP or Excel file",
    b"\xd0\xcf\x11\xe0": "an old Excel or Word file",
    b"\x1f\x8b": "gzip inside gzip",
    b"PAR1": "a Parquet file",
    b"SQLite": "an SQLite database",
    b"\x7fELF": "a program",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"(\xb5/\xfd": "a zstd archive",
}
_BOMS = (
    (b"\xff\xfe\x00\x00", "utf-32", "UTF-32"),
    (b"\x00\x00\xfe\xff", "utf-32", "UTF-32"),
    (b"\xff\xfe", "utf-16", "UTF-16"),
    (b"\xfe\xff", "utf-16", "UTF-16"),
    (b"\xef\xbb\xbf", "utf-8-sig", "UTF-8 with a byte order mark"),
)

Row = Mapping[str, object]


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadResult:
    """All rows of one file."""

    examples: tuple[Example, ...]
    notes: tuple[str, ...] = ()
    """What was repaired or assumed, one line each."""
    places: Mapping[str, str] = field(default_factory=dict[str, str])
    """Example id -> `file:line` where the row begins."""


class _RowError(Exception):
    """One row cannot be read. `kind` groups faults for counting; `what` is the message."""

    def __init__(self, kind: str, what: str) -> None:
        super().__init__(what)
        self.kind = kind
        self.what = what


class _Numbered(NamedTuple):
    line: int
    row: object


class _Reading:
    """Faults and notes of one file, collected as it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.faults: dict[str, list[tuple[int, str]]] = {}
        self.notes: list[str] = []
        self._counted: Counter[str] = Counter()

    def fault(self, line: int, kind: str, what: str) -> None:
        self.faults.setdefault(kind, []).append((line, f"{self.path}:{line}: {what}"))

    def note(self, what: str) -> None:
        self.notes.append(f"{self.path}: {what}")

    def count(self, what: str) -> None:
        """Counts a note that concerns single rows."""
        self._counted[what] += 1

    def all_notes(self) -> tuple[str, ...]:
        rows = (f"{self.path}: {n} row{'s' * (n > 1)}: {what}" for what, n in self._counted.items())
        return (*self.notes, *rows)

    def lines(self) -> list[str]:
        """The first faults of each kind in the order of the file, then how many more there are."""
        shown = sorted(fault for found in self.faults.values() for fault in found[:SHOWN])
        more = [
            f"{self.path}: {len(found) - SHOWN} more rows: {kind}."
            for kind, found in self.faults.items()
            if len(found) > SHOWN
        ]
        return [what for _, what in shown] + more


def read_data(data: Data) -> dict[str, ReadResult]:
    """Reads every file of `[data]`.

    Returns:
        part -> its rows; the parts are `examples`, or `train`, `dev` (if given) and `test`.
        Ids are unique over all parts.

    Raises:
        UserError: with the faults of all files together.
    """
    paths = {"examples": data.examples, "train": data.train, "dev": data.dev, "test": data.test}
    parts: dict[str, ReadResult] = {}
    faults: list[str] = []
    taken: Counter[str] = Counter()
    for part, path in paths.items():
        if path is None:
            continue
        try:
            result = read_examples(path, input=data.input, output=data.output, group=data.group)
        except UserError as error:
            faults.append(str(error))
            continue
        parts[part] = _renamed(result, taken)
    if faults:
        raise UserError.together(faults)
    return parts


def _renamed(result: ReadResult, taken: Counter[str]) -> ReadResult:
    examples: list[Example] = []
    places: dict[str, str] = {}
    for example in result.examples:
        name = _unique(example.id, taken)
        examples.append(replace(example, id=name))
        places[name] = result.places[example.id]
    return ReadResult(examples=tuple(examples), notes=result.notes, places=places)


def _unique(name: str, taken: Counter[str]) -> str:
    """The name, with a suffix when it is taken already."""
    while True:
        taken[name] += 1
        if taken[name] == 1:
            return name
        name = f"{name}-{taken[name]}"


def read_examples(
    path: Path, *, input: str | None = None, output: str | None = None, group: str | None = None
) -> ReadResult:
    """Reads one file.

    Args:
        path: JSONL, JSON, CSV or TSV, or gzip of these; the ending does not matter.
        input: column with the input; with `output`, it replaces what would be recognised.
        output: column with the answer; objects and lists become compact JSON.
        group: column (of the row or of its `meta`) that says which rows belong together.

    Raises:
        UserError: when any row cannot be read; the first 20 faults of each kind, then a count.
    """
    reading = _Reading(path)
    text = _text(path, reading)
    rows = _rows(text, reading) if text else []
    shaper = _Shaper(reading, input, output, group)
    result = shaper.examples(rows)
    if not rows and not reading.faults:
        reading.fault(1, "no rows", "holds no rows. Put one example on each line.")
    if reading.faults:
        raise UserError.together(reading.lines())
    return result


# Bytes -> text


def _text(path: Path, reading: _Reading) -> str:
    raw = _bytes(path)
    for start, what in _BINARY.items():
        if raw.startswith(start):
            _refuse(path, f"is {what}, not text. Export it as CSV or JSONL.")
    encoding = "utf-8"
    for mark, codec, name in _BOMS:
        if raw.startswith(mark):
            encoding = codec
            reading.note(f"read as {name}.")
            break
    else:
        if b"\0" in raw[:4096] and raw[:4096].count(b"\0") > len(raw[:4096]) // 4:
            _refuse(path, "looks like UTF-16 without its mark, or binary. Save it as UTF-8.")
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        if encoding in ("utf-16", "utf-32"):
            _refuse(path, f"is damaged: not valid {encoding.upper()}. Save it as UTF-8.")
        if re.search(rb"[\x00-\x08\x0e-\x1a]", raw[:4096]):
            _refuse(path, "is binary, not text. Export it as CSV or JSONL.")
        _blame_bytes(raw, reading)
        return ""
    if not text.strip():
        _refuse(path, "is empty. Put one example on each line.")
    for number, line in enumerate(text.split("\n"), 1):
        if "\0" in line:
            reading.fault(number, "NUL", "holds a NUL character. Remove it.")
    return "" if reading.faults else text


def _bytes(path: Path) -> bytes:
    try:
        if path.is_dir():
            _refuse(path, "is a folder. Name the file inside it.")
        if path.exists() and not path.is_file():
            _refuse(path, "is no ordinary file. Copy the data into one.")
        raw = path.read_bytes()
        if not raw.startswith(b"\x1f\x8b"):
            return raw
    except FileNotFoundError:
        _refuse(path, "does not exist. Check the name and the folder.")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        _refuse(path, f"cannot be read ({reason}). Check the path and its rights.")
    try:
        return gzip.decompress(raw)
    except (OSError, EOFError, zlib.error):
        _refuse(path, "is a damaged or truncated gzip file. Copy or download it again.")


def _refuse(path: Path, what: str) -> NoReturn:
    raise UserError(f"{path}: {what}")


def _blame_bytes(raw: bytes, reading: _Reading) -> None:
    """Names the lines that are no UTF-8."""
    for number, line in enumerate(raw.split(b"\n"), 1):
        try:
            line.decode()
        except UnicodeDecodeError as error:
            wrong = line[error.start]
            reading.fault(
                number,
                "not UTF-8",
                f"byte 0x{wrong:02X} is no UTF-8 (as Latin-1: {bytes([wrong]).decode('latin-1')!r})"
                ". Save the file as UTF-8.",
            )


# Text -> rows


def _rows(text: str, reading: _Reading) -> list[_Numbered]:
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


def _json_rows(text: str, reading: _Reading, *, lines_wanted: bool) -> list[_Numbered]:
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
    except (_RowError, RecursionError):
        return True


def _starts_pretty(first_line: str) -> bool:
    """Whether an object begins on this line and ends on a later one."""
    try:
        _DECODER.raw_decode(first_line)
    except json.JSONDecodeError:
        return re.fullmatch(r'\{\s*(".*"\s*:\s*[\[{]?\s*|".*,)?\s*', first_line) is not None
    except (_RowError, RecursionError):
        return False
    return False


def _json_lines(text: str, reading: _Reading) -> Iterator[_Numbered]:
    # str.splitlines would also break at U+2028 and U+0085, which JSON allows inside texts.
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield _Numbered(number, _parse(line))
        except json.JSONDecodeError as error:
            cut = number == len(lines) and number > 1 and error.pos >= len(line.rstrip()) - 1
            reading.fault(number, "not JSON", _json_hint(line, error, cut=cut))
        except _RowError as fault:
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


def _sequence(text: str, reading: _Reading) -> Iterator[_Numbered]:
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
            yield _Numbered(line, _checked(row, text[start:position]))
        except json.JSONDecodeError as error:
            here = error.doc.split("\n")[error.lineno - 1]
            flat = json.JSONDecodeError(error.msg, here, error.colno - 1)
            what = _json_hint(here, flat, cut=not text[error.pos :].strip())
            reading.fault(error.lineno, "not JSON", f"{what} Rows after it were not read.")
            return
        except RecursionError:
            reading.fault(line, "depth", f"is nested deeper than {_DEEPEST} levels. Flatten it.")
            return
        except _RowError as fault:
            reading.fault(line, fault.kind, f"{fault.what} Rows after it were not read.")
            return


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, n in Counter(key for key, _ in pairs).items() if n > 1)
        raise _RowError("duplicate key", f'has the key "{twice[:40]}" twice. Keep one of them.')
    return found


def _constant(name: str) -> NoReturn:
    raise _RowError("no number", f"holds {name}, which is no JSON. Write null or a number.")


def _integer(digits: str) -> int:
    if len(digits) > _LONGEST_NUMBER:
        raise _RowError(
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
        raise _RowError("depth", f"is nested deeper than {_DEEPEST} levels. Flatten it.") from None


def _checked(value: object, text: str) -> object:
    if text.count("[") + text.count("{") > _DEEPEST and _depth(value) > _DEEPEST:
        raise _RowError("depth", f"is nested deeper than {_DEEPEST} levels. Flatten it.")
    if "\\u0000" in text and any("\0" in string for string in _strings(value)):
        raise _RowError("NUL", "holds a NUL character. Remove it.")
    if "\\ud" in text or "\\uD" in text:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise _RowError(
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


def _table_rows(text: str, delimiter: str, reading: _Reading) -> Iterator[_Numbered]:
    if delimiter == ";":
        reading.note("columns are separated by semicolons; read as such.")
    before = csv.field_size_limit(len(text) + 1)
    try:
        yield from _table_records(text, delimiter, reading)
    finally:
        csv.field_size_limit(before)


def _table_records(text: str, delimiter: str, reading: _Reading) -> Iterator[_Numbered]:
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
                yield _Numbered(line, dict(zip(header, cells, strict=True)))
    except csv.Error as error:
        reading.fault(
            start,
            "quotes",
            f"a quote is not closed or stands inside a cell ({error}). "
            "Double quotes inside cells. Rows after it were not read.",
        )


def _sound_header(header: list[str], line: int, reading: _Reading) -> bool:
    wrong = [name for name, n in Counter(header).items() if n > 1]
    if wrong:
        what = f'the header names "{wrong[0][:40]}" more than once'
        if not wrong[0]:
            what = "the header has columns without a name"
        reading.fault(line, "header", f"{what}. Give each column a name of its own.")
    return not wrong


def _swallows(cell: str, delimiter: str, header: list[str]) -> bool:
    return any(line.count(delimiter) == len(header) - 1 for line in cell.split("\n")[1:-1])


# Rows -> examples


class _Shaped(NamedTuple):
    messages: tuple[Message, ...]
    target: str
    used: tuple[str, ...]
    """Columns that became input or answer; the others are metadata."""


class _Shaper:
    """Recognises the shape of each row and makes an example of it."""

    def __init__(
        self, reading: _Reading, input: str | None, output: str | None, group: str | None
    ) -> None:
        self.reading = reading
        self.columns = (input, output) if input and output else None
        self.group = group
        self.shape: tuple[str, int] | None = None
        """Name of the first row's shape, and its line."""

    def examples(self, rows: Sequence[_Numbered]) -> ReadResult:
        examples: list[Example] = []
        places: dict[str, str] = {}
        taken: Counter[str] = Counter()
        for line, row in rows:
            try:
                example = self._example(row, line)
            except _RowError as fault:
                self.reading.fault(line, fault.kind, fault.what)
                continue
            name = _unique(example.id, taken)
            if name != example.id:
                self.reading.count("id or whole content occurred before; its id got a suffix.")
            examples.append(replace(example, id=name))
            places[name] = f"{self.reading.path}:{line}"
        self._check_groups(examples)
        if self.shape:
            self.reading.note(f"rows read as {self.shape[0]}.")
        return ReadResult(examples=tuple(examples), notes=self.reading.all_notes(), places=places)

    def _check_groups(self, examples: Sequence[Example]) -> None:
        if self.group is None or not examples:
            return
        alone = sum(example.group is None for example in examples)
        if alone == len(examples):
            known = sorted({key for example in examples[:100] for key in example.metadata})
            near = difflib.get_close_matches(self.group, known, n=1)
            hint = f'Did you mean "{near[0]}"?' if near else f"Columns: {', '.join(known)}."
            what = f'no row has the group column "{self.group}". {hint}'
            self.reading.fault(1, "group", what)
        elif alone:
            self.reading.note(f"{alone} rows have no {self.group}; each stands for itself.")

    def _example(self, row: object, line: int) -> Example:
        if not isinstance(row, dict):
            raise _RowError("no object", "the row is no object. Write {...} with named values.")
        row = cast(dict[str, object], row)
        name, read = self._recognise(row)
        if self.shape is None:
            self.shape = (name, line)
        elif self.shape[0] != name:
            raise _RowError(
                "mixed shapes",
                f"is written as {name}, but line {self.shape[1]} as {self.shape[0]}. "
                "Write all rows of a file the same way.",
            )
        shaped = read(row)
        metadata = _metadata(row, shaped.used)
        group = metadata.get(self.group) if self.group else None
        if isinstance(group, dict | list):
            raise _RowError("group", f"{self.group} is no single value. Write a text or number.")
        return Example(
            id=_id(row, shaped),
            messages=shaped.messages,
            target=shaped.target,
            group=None if group in (None, "") else str(group),
            metadata=metadata,
        )

    def _recognise(self, row: Row) -> tuple[str, Callable[[Row], _Shaped]]:
        if self.columns:
            question, answer = self.columns
            return f"{question} -> {answer}", lambda row: _pair(row, question, answer)
        if "messages" in row:
            return "chat (messages)", lambda row: self._chat(row, "messages", "role", "content")
        if "conversations" in row:
            return "ShareGPT (conversations)", self._sharegpt
        if any(key in row for key in _PREFERENCES):
            raise _RowError(
                "preference pairs",
                "is a preference pair, which a later version trains on. "
                "Give one input and one answer a row.",
            )
        if "question" in row and isinstance(row.get("choices"), list):
            return "multiple choice (question, choices -> letter)", _multiple_choice
        if "instruction" in row and ("output" in row or "response" in row):
            answer = "output" if "output" in row else "response"
            return f"Alpaca (instruction, input -> {answer})", lambda row: _alpaca(row, answer)
        known = next((pair for pair in _COLUMNS if pair[0] in row and pair[1] in row), None)
        if known is None:
            raise _RowError("unknown columns", _unknown_columns(row))
        return f"{known[0]} -> {known[1]}", lambda row: _pair(row, *known)

    def _sharegpt(self, row: Row) -> _Shaped:
        return self._chat(row, "conversations", "from", "value")

    def _chat(self, row: Row, column: str, role_key: str, text_key: str) -> _Shaped:
        if any(row.get(key) for key in ("tools", "functions")):
            raise _RowError("tools", "offers tools, which are not read yet. Remove such rows.")
        if row.get("weight", 1) not in (1, None):
            raise _RowError("weight", "has a weight other than 1. Remove the row or the weight.")
        turns = row[column]
        if not isinstance(turns, list) or not turns:
            raise _RowError("no turns", f"{column} is no list of turns. Write [{{...}}, {{...}}].")
        messages = [
            self._turn(turn, number, role_key, text_key)
            for number, turn in enumerate(cast(list[object], turns), 1)
        ]
        _check_order([message.role for message in messages])
        weight = cast(dict[str, object], turns[-1]).get("weight")
        if weight == 0:
            raise _RowError(
                "weight 0", "its answer has weight 0, so nothing is learnt. Remove the row."
            )
        roles = [message.role for message in messages]
        if "assistant" in roles[:-1]:
            self.reading.count("several answers; the last is learnt, the others are context.")
        if any(a == b == "user" for a, b in pairwise(roles)):
            self.reading.count("two user turns running; templates such as Gemma's refuse that.")
        return _Shaped(tuple(messages[:-1]), messages[-1].content, (column, "weight"))

    def _turn(self, turn: object, number: int, role_key: str, text_key: str) -> Message:
        if not isinstance(turn, dict):
            raise _RowError("turn", f"turn {number} is no object. Write {role_key} and {text_key}.")
        turn = cast(dict[str, object], turn)
        role = self._role(turn.get(role_key), number, role_key, lenient=role_key == "from")
        if any(turn.get(key) for key in ("tool_calls", "function_call")):
            raise _RowError("tools", "holds tool calls, which are not read yet. Remove such rows.")
        if turn.get("weight", 1) not in (0, 1, None) or isinstance(turn.get("weight"), bool):
            raise _RowError("weight", f"turn {number} has a bad weight. Write 0 or 1.")
        content = turn.get(text_key)
        if isinstance(content, list):
            content = _joined(cast(list[object], content), number)
        if not isinstance(content, str):
            shown = "null" if content is None else "no text"
            raise _RowError("content", f"{text_key} of turn {number} is {shown}. Write a text.")
        if not content.strip():
            raise _RowError("empty turn", f"the {role} turn {number} is empty. Write its text.")
        known = {role_key, text_key, "weight", "tool_calls", "function_call"}
        for key in sorted(turn.keys() - known):
            self.reading.count(f'the key "{key[:40]}" of a turn is not used.')
        return Message(role=role, content=content)

    def _role(self, role: object, number: int, key: str, *, lenient: bool) -> str:
        if not isinstance(role, str):
            raise _RowError(
                "role", f"turn {number} has no {key}. Write one of {', '.join(_ROLES)}."
            )
        if role in _ROLES:
            return role
        if role == "developer":
            self.reading.count('the role "developer" was read as system.')
            return "system"
        if role in ("tool", "function", "function_call", "observation"):
            raise _RowError("tools", f"turn {number} is a tool's, not read yet. Remove such rows.")
        other = _OTHER_NAMES.get(role.strip().lower())
        if lenient and other:
            return other
        near = difflib.get_close_matches(role.strip().lower(), _ROLES, n=1)
        best = other or (near[0] if near else None)
        hint = f'Did you mean "{best}"?' if best else f"Write one of {', '.join(_ROLES)}."
        raise _RowError("role", f'turn {number} has the unknown {key} "{role[:40]}". {hint}')


def _joined(parts: list[object], number: int) -> str:
    texts: list[str] = []
    for part in parts:
        text = cast(dict[str, object], part).get("text") if isinstance(part, dict) else None
        if not isinstance(text, str):
            raise _RowError("content", f"turn {number} holds more than text. Keep the text only.")
        texts.append(text)
    return "".join(texts)


def _check_order(roles: Sequence[str]) -> None:
    if "assistant" not in roles:
        raise _RowError("no answer", "has no assistant turn. Add the answer wanted.")
    if roles[-1] != "assistant":
        raise _RowError("no answer", f"ends on a {roles[-1]} turn. End it with the answer wanted.")
    if "system" in roles[1:]:
        raise _RowError("system", "has a system turn that is not the first. Move it to the front.")
    if len(roles) < 2 or roles[-2] != "user":
        raise _RowError("no question", "no user turn stands before the answer. Add or join turns.")


def _value(row: Row, column: str) -> str:
    """A cell as text: structured answers become compact JSON."""
    if column not in row:
        raise _RowError("no column", f'has no column "{column}". {_near(column, row)}')
    value = row[column]
    if value is None or (isinstance(value, str) and not value.strip()):
        raise _RowError("empty", f"{column} is empty. Fill it in, or remove the row.")
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _ask(question: str, target: str, *used: str, system: str = "") -> _Shaped:
    turns = [Message(role="user", content=question)]
    if system:
        turns.insert(0, Message(role="system", content=system))
    return _Shaped(tuple(turns), target, used)


def _pair(row: Row, question: str, answer: str) -> _Shaped:
    asked = row.get(question)
    if not isinstance(asked, dict | list | bool):
        return _ask(_value(row, question), _value(row, answer), question, answer)
    raise _RowError("input", f"{question} is no text. Write the input as one text.")


def _alpaca(row: Row, answer: str) -> _Shaped:
    instruction, extra = _value(row, "instruction"), row.get("input")
    if extra is not None and not isinstance(extra, str):
        raise _RowError("input", "input is no text. Write the input as one text.")
    whole = f"{instruction}\n\n{extra}" if extra and extra.strip() else instruction
    return _ask(whole, _value(row, answer), "instruction", "input", answer)


def _multiple_choice(row: Row) -> _Shaped:
    choices = cast(list[object], row["choices"])
    answer = row.get("answer")
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    if not all(isinstance(choice, str) for choice in choices) or not 2 <= len(choices) <= 26:
        raise _RowError("choices", "choices is no list of 2 to 26 texts. Write them as texts.")
    if answer in choices:
        answer = choices.index(answer)
    elif isinstance(answer, str) and answer in letters[: len(choices)] and answer:
        answer = letters.index(answer)
    if isinstance(answer, bool) or not isinstance(answer, int) or not 0 <= answer < len(choices):
        raise _RowError("choices", "answer is none of the choices. Write its number from 0.")
    listed = "\n".join(f"{letter}. {text}" for letter, text in zip(letters, choices, strict=False))
    asked = f"{_value(row, 'question')}\n{listed}"
    return _ask(asked, letters[answer], "question", "choices", "answer")


def _unknown_columns(row: Row) -> str:
    if not row:
        return "the row is empty. Write an input and an answer."
    names = ", ".join(f'"{name[:30]}"' for name in list(row)[:6])
    known = ("messages", "conversations", *dict.fromkeys(k for pair in _COLUMNS for k in pair))
    near = [
        f'Did you mean "{match[0]}"?'
        for name in row
        if name not in known and (match := difflib.get_close_matches(name.lower(), known, 1, 0.75))
    ]
    hint = " ".join(near[:2]) or (
        "Name the columns with input and output under [data]; a table needs a header line."
    )
    return f"has the columns {names}, none known as input and answer. {hint}"


def _near(column: str, row: Row) -> str:
    near = difflib.get_close_matches(column, list(row), n=1)
    return f'Did you mean "{near[0]}"?' if near else f"Columns: {', '.join(list(row)[:8])}."


def _metadata(row: Row, used: Sequence[str]) -> dict[str, JsonValue]:
    """Every column that is neither input nor answer, `meta` and `metadata` spread out."""
    found: dict[str, JsonValue] = {}
    for key, value in row.items():
        if key in used or key == "id":
            continue
        if key in ("meta", "metadata") and isinstance(value, dict):
            for inner, item in cast(dict[str, JsonValue], value).items():
                name = inner if inner not in found and inner not in row else f"{key}.{inner}"
                found[name] = item
        else:
            found[key] = cast(JsonValue, value)
    named = (found.get(key) for key in ("document", "doc", "source"))
    document = next((name for name in named if isinstance(name, str) and name), None)
    found.pop("document", None)
    if document is not None:
        found["document"] = document
    return found


def _id(row: Row, shaped: _Shaped) -> str:
    own = row.get("id")
    if isinstance(own, bool | float | list | dict):
        raise _RowError("id", "id is neither text nor whole number. Write one, or none.")
    if own not in (None, ""):
        return str(own)
    turns = [[message.role, message.content] for message in shaped.messages]
    content = json.dumps([turns, shaped.target], ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()[:16]
