"""Turns a data file, perhaps gzipped, into its text; what is no text is refused by name.

It knows encodings and the first bytes of common formats, but nothing of rows.
"""

import gzip
import re
import zlib
from pathlib import Path
from typing import NoReturn

from tunewise.data.faults import Reading
from tunewise.errors import UserError

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


def file_text(path: Path, reading: Reading) -> str:
    """The text of a file; empty when faults of single lines went to `reading`.

    Raises:
        UserError: the file cannot be read, is empty, or is no text.
    """
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


def _blame_bytes(raw: bytes, reading: Reading) -> None:
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
