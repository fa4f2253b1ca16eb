"""Turns a file into rows, each with the line where it begins: JSON, CSV, TSV, Parquet, or prose.

The format is recognised by content, not by the file's ending.
"""

import gzip
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from tunewise.data.formats.delimited import table_rows
from tunewise.data.formats.json_rows import json_rows
from tunewise.data.formats.magic import is_columnar
from tunewise.data.formats.plain_text import prose
from tunewise.data.formats.table_head import Start, delimiter_of, start_of_table
from tunewise.data.formats.text_stream import HEAD, beginning, opened, read_chunk, utf8_chunks
from tunewise.data.formats.turn_rows import conversations
from tunewise.data.read_log import FileError, Numbered, Reading

_LOOK = 1 << 20
"""Bytes of a first line that are looked at to recognise the format."""
_JSON_ENDINGS = (".json", ".jsonl", ".ndjson")
_TABLE_ENDINGS = (".csv", ".tsv")
_ONLY_COLUMN = {".csv": ",", ".tsv": "\t"}
"""What separates the columns where there is but one."""
_COLUMN_ENDINGS = (".parquet", ".arrow", "")
_TEXT_ENDINGS = (".txt", ".md")


def numbered_rows(
    path: Path, reading: Reading, *, plain_text: bool = False, as_written: bool = False
) -> Iterator[Numbered]:
    """The rows of a file, one at a time; rows that cannot be read become faults of `reading`.

    Args:
        path: the file.
        reading: gets faults and notes.
        plain_text: whether prose is wanted; a file of it is then read as rows with `text`.
        as_written: whether rows that are turns of a conversation stay apart.

    Raises:
        FileError: the file cannot be read, or not further.
    """
    rows = _rows(path, reading, plain_text=plain_text)
    return rows if as_written else conversations(rows, reading)


def _rows(path: Path, reading: Reading, *, plain_text: bool) -> Iterator[Numbered]:
    with opened(path) as stream:
        first = read_chunk(stream, HEAD)
        packed = isinstance(stream, gzip.GzipFile)
        if packed and path.suffix != ".gz":
            reading.note("is packed with gzip; unpacked.")
        if is_columnar(first):
            ending = _ending(path)
            if ending not in _COLUMN_ENDINGS:
                reading.note(f"ends in {ending}, but holds a table in columns; read as such.")
            stream.seek(0)
            from tunewise.data.formats.arrow import columnar_rows  # noqa: PLC0415 - brings pyarrow

            yield from columnar_rows(first, stream, reading, packed=packed)
            return
        chunks = utf8_chunks(first, stream, reading)
        head = beginning(chunks, _LOOK)
        yield from _text_rows(head, chunks, path, reading, plain_text=plain_text)


def _text_rows(
    head: bytes, chunks: Iterator[bytes], path: Path, reading: Reading, *, plain_text: bool
) -> Iterator[Numbered]:
    line = head.lstrip().splitlines(keepends=True)[0]
    first_line = line.decode(errors="replace").replace("\r", "\n")
    ending = _ending(path)
    if plain_text and _is_prose(first_line, ending):
        return prose(chain([head], chunks), reading)
    is_json = first_line[0] in "{["
    if not is_json:
        more = next(chunks, b"")
        start = _start_of_table(head + more, ending, reading, whole=not more)
        if start is not None:
            if ending in _JSON_ENDINGS:
                reading.note(f"ends in {ending}, but holds a table; read as CSV.")
            return table_rows(chain([head, more], chunks), start, reading)
        head += more
    if not is_json and ending not in _JSON_ENDINGS:
        what = "is neither JSON nor a table. Write JSONL, or CSV with a header line."
        raise FileError(what, line=1)
    if ending in _TABLE_ENDINGS:
        reading.note(f"ends in {ending}, but holds JSON; read as JSON.")
    chunks = chain([head], chunks)
    return json_rows(first_line, chunks, reading, lines_wanted=ending in (".jsonl", ".ndjson"))


def _start_of_table(begun: bytes, ending: str, reading: Reading, *, whole: bool) -> Start | None:
    lines = begun.splitlines(keepends=True)
    if not whole and len(lines) > 1:
        lines = lines[:-1]
    texts = [line.decode(errors="replace") for line in lines]
    return start_of_table(texts, _ONLY_COLUMN.get(ending), reading, whole=whole)


def _ending(path: Path) -> str:
    return next((e for e in reversed(path.suffixes) if e != ".gz"), "").lower()


def _is_prose(first_line: str, ending: str) -> bool:
    if ending in _TEXT_ENDINGS:
        return True
    if ending in (*_JSON_ENDINGS, *_TABLE_ENDINGS) or first_line[0] in "{[":
        return False
    delimiter = delimiter_of(first_line)
    # Any sentence with a comma looks like a header.
    return delimiter is None or "text" not in first_line.strip().split(delimiter)
