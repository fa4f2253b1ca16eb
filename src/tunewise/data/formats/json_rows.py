"""Turns a stream of text into JSON rows: one a line, in an array, or spread over lines.

Never holds more than a row and a chunk.
"""

import codecs
import json
import re
from collections.abc import Iterator
from typing import NamedTuple, cast

from tunewise.data.formats.strict_json import check_value, decode_at, end_of_value, explain, parse
from tunewise.data.formats.text_stream import MAX_ROW, blame_byte, byte_lines, decoded, too_long
from tunewise.data.formats.wrapped_rows import rows_within
from tunewise.data.read_log import Numbered, Reading, RowError

_NOT_READ = "Rows after it were not read."
_BORDER = 20
"""Characters before the end of what was read in which an error may come of its being cut there."""


def json_rows(
    first_line: str, chunks: Iterator[bytes], reading: Reading, *, lines_wanted: bool
) -> Iterator[Numbered]:
    """The rows of JSON in any layout; what cannot be read becomes a fault of `reading`.

    Args:
        first_line: the first one that is not blank, or a long piece of it, to tell the layout by.
        chunks: the whole text, UTF-8.
        reading: gets faults, and notes of what was assumed.
        lines_wanted: whether the file's ending promises a row on each line.
    """
    chunks = _unix_lines(chunks, reading)
    if first_line.startswith("[") and not (first_line.endswith("\n") and _is_whole(first_line)):
        if lines_wanted:
            reading.note("holds one JSON array instead of a row on each line; read as such.")
        return _sequence(_Window(chunks), reading, in_array=True)
    if first_line.endswith("\n") and _starts_pretty(first_line.rstrip()):
        reading.note("rows spread over several lines; read as such.")
        return _sequence(_Window(chunks), reading, in_array=False)
    return _json_lines(chunks, reading)


def _unix_lines(chunks: Iterator[bytes], reading: Reading) -> Iterator[bytes]:
    """CRLF and CR as LF: no JSON text holds them unescaped."""
    held = b""
    for chunk in chunks:
        text, held = held + chunk, b""
        if b"\r" in text:
            if text.endswith(b"\r"):
                text, held = text[:-1], b"\r"
            plain = text.replace(b"\r\n", b"\n")
            if len(plain) < len(text):
                reading.note("lines end in CRLF; read as line ends.")
            if b"\r" in plain:
                reading.note("lines end in CR; read as line ends.")
            text = plain.replace(b"\r", b"\n")
        yield text
    if held:
        yield b"\n"


def _is_whole(line: str) -> bool:
    """Whether the line is one JSON value, or too deep to tell."""
    try:
        return not line[end_of_value(line, 0) :].strip()
    except json.JSONDecodeError:
        return False
    except RowError:
        return True


def _starts_pretty(first_line: str) -> bool:
    """Whether an object begins on this line and ends on a later one."""
    try:
        decode_at(first_line, 0)
    except json.JSONDecodeError:
        return _FIRST_OF_PRETTY.fullmatch(first_line) is not None
    except RowError:
        return False
    return False


def _json_lines(chunks: Iterator[bytes], reading: Reading) -> Iterator[Numbered]:
    lines = ((n, line) for n, line in enumerate(byte_lines(chunks), 1) if line.strip())
    ahead = next(lines, None)
    first = True
    while ahead is not None:
        (number, line), ahead = ahead, next(lines, None)
        is_only, first = first and ahead is None, False
        text = decoded(line, number, reading)
        if text is None or not text.strip():
            continue
        try:
            value = parse(text)
            within = rows_within(value, text, number, reading) if is_only else None
            if within is None:
                yield Numbered(number, value)
            else:
                yield from within
        except json.JSONDecodeError as error:
            cut = ahead is None and number > 1 and error.pos >= len(text) - 1
            kind = "NUL" if text[error.pos : error.pos + 1] == "\0" else "not JSON"
            reading.fault(number, kind, explain(text, error, cut=cut))
        except RowError as fault:
            reading.fault(number, fault.kind, fault.what)


# Possessive, so that a long run of spaces is not tried in every division.
_FIRST_OF_PRETTY = re.compile(r'\{\s*+(?:".*"\s*+:\s*+[\[{]?\s*+|".*,)?')


_SPACE = re.compile(r"\s*")
_SPACE_AND_COMMAS = re.compile(r"[\s,]*")


class _Gap(NamedTuple):
    end: int
    """Index in the window of the first character after it."""
    lines: int
    """Line ends within it."""
    commas: int


class _Window:
    """The part of a text that is being decoded; grows and moves on."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        # Bytes that are no UTF-8 become lone surrogates, and are blamed with their row.
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self.text = ""
        self.ended = False

    def more(self, start: int) -> None:
        """Drops what stands before `start` and at least doubles the rest, if the file does."""
        kept = self.text[start:]
        pieces = [kept]
        size = 0
        while size <= len(kept) and not self.ended:
            chunk = next(self._chunks, None)
            self.ended = chunk is None
            piece = self._decoder.decode(chunk or b"", final=self.ended)
            pieces.append(piece)
            size += len(piece)
        self.text = "".join(pieces)

    def skip(self, position: int, pattern: re.Pattern[str]) -> _Gap:
        """What matches the pattern from `position` on."""
        lines = commas = 0
        while True:
            matched = pattern.match(self.text, position)
            end = matched.end() if matched else position
            lines += self.text.count("\n", position, end)
            commas += self.text.count(",", position, end)
            if end < len(self.text) or self.ended:
                return _Gap(end, lines, commas)
            self.more(end)
            position = 0

    def is_blank_after(self, position: int) -> bool:
        """Whether nothing but white space follows."""
        return self.skip(position, _SPACE).end == len(self.text)


def _sequence(window: _Window, reading: Reading, *, in_array: bool) -> Iterator[Numbered]:
    """Objects that follow one another, in an array or bare, over any number of lines."""
    position, line, first = 0, 1, True
    if in_array:
        gap = window.skip(0, _SPACE)
        position, line = gap.end + 1, line + gap.lines
    while True:
        gap = window.skip(position, _SPACE_AND_COMMAS if in_array else _SPACE)
        line += gap.lines
        closed = in_array and window.text.startswith("]", gap.end)
        ended = gap.end == len(window.text)
        if in_array and gap.commas != (not first and not closed):
            what = "has a comma too few or too many. Put one between two rows."
            reading.fault(line, "comma", what)
        if closed and not window.is_blank_after(gap.end + 1):
            reading.stop(line, "not JSON", "more follows after the array. Remove it.")
        if ended and in_array:
            reading.stop(line, "not JSON", "the array is not closed. Add ] at the end.")
        if closed or ended:
            return
        found = _next_value(window, gap.end, line, reading)
        if found is None:
            return
        position, after = found.end, line + found.lines
        if first and not in_array:  # perhaps it is all that the file holds
            gap = window.skip(position, _SPACE)
            position, after = gap.end, after + gap.lines
            if position == len(window.text):
                yield from _rows_of_only(found, reading)
                return
        if found.row is not None:
            yield found.row
        line, first = after, False


def _rows_of_only(found: "_Found", reading: Reading) -> Iterator[Numbered]:
    """The rows of a file that holds one value."""
    if found.row is None:
        return iter(())
    within = rows_within(found.row.row, found.text, found.row.line, reading)
    return iter([found.row]) if within is None else within


_CLOSED = (dict, list, str)


class _Found(NamedTuple):
    row: Numbered | None
    """None: a value that was blamed."""
    text: str
    end: int
    """Index in the window of the first character after it."""
    lines: int
    """Line ends within it."""


def _next_value(window: _Window, start: int, line: int, reading: Reading) -> _Found | None:
    """The value at `start`; None when nothing after it can be read."""
    value: object = None
    fault: RowError | None = None
    while True:
        try:
            if fault is None:
                value, end = decode_at(window.text, start)
            else:
                end = end_of_value(window.text, start)
            # A number that ends with what was read may go on after it.
            if end < len(window.text) or window.ended or isinstance(value, _CLOSED):
                break
        except json.JSONDecodeError as error:
            if len(window.text) - start > MAX_ROW:
                raise too_long(line) from None
            if window.ended or not _may_be_cut(error, window.text):
                _blame(error, window, line - window.text.count("\n", 0, start), reading)
                return None
        except RowError as refused:
            if refused.kind == "depth":
                reading.stop(line, refused.kind, f"{refused.what} {_NOT_READ}")
                return None
            fault = refused
            continue
        window.more(start)
        start = 0
    text = window.text[start:end]
    lines = text.count("\n")
    if fault is not None:
        reading.fault(line, fault.kind, fault.what)
        return _Found(None, text, end, lines)
    sound = _is_sound(cast(object, value), text, line, reading)
    return _Found(Numbered(line, value) if sound else None, text, end, lines)


def _may_be_cut(error: json.JSONDecodeError, text: str) -> bool:
    return error.pos >= len(text) - _BORDER or error.msg.startswith("Unterminated string")


def _is_sound(value: object, text: str, line: int, reading: Reading) -> bool:
    """Whether nothing is wrong with a value that was decoded; what is wrong is blamed."""
    wrong = None if text.isascii() else re.search("[\udc80-\udcff]", text)
    if wrong:
        here = line + text.count("\n", 0, wrong.start())
        blame_byte(ord(wrong.group()) - 0xDC00, here, reading)
        return False
    try:
        check_value(value, text)
    except RowError as fault:
        reading.fault(line, fault.kind, fault.what)
        return False
    return True


def _blame(error: json.JSONDecodeError, window: _Window, before: int, reading: Reading) -> None:
    """A fault for what is no JSON; `before` is the number of lines before the window's first."""
    here = error.doc.split("\n")[error.lineno - 1]
    flat = json.JSONDecodeError(error.msg, here, error.colno - 1)
    what = explain(here, flat, cut=not window.text[error.pos :].strip())
    reading.stop(before + error.lineno - 1, "not JSON", f"{what} {_NOT_READ}")
