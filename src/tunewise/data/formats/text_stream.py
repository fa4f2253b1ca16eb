"""Turns a data file, perhaps gzipped, into a stream of UTF-8; what is no text is refused by name.

It knows encodings and the first bytes of common formats, but nothing of rows.
"""

import codecs
import contextlib
import gzip
import re
import zlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from tunewise.data.read_log import FileError, Reading

CHUNK = 1 << 18
"""Bytes read at a time."""
HEAD = 4096
"""Bytes at the beginning that tell encodings and formats apart."""
MAX_ROW = 100_000_000
"""Bytes of a row at most: a longer one is a file without line ends, not an example."""

_GZIP = b"\x1f\x8b"
_BINARY = {
    b"%PDF": "a PDF",
    b"PK\x03\x04": "a ZIP or Excel file",
    b"\xd0\xcf\x11\xe0": "an old Excel or Word file",
    _GZIP: "gzip inside gzip",
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
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a]")


@contextlib.contextmanager
def opened(path: Path) -> Generator[BinaryIO]:
    """The file's bytes, unpacked if it is gzip.

    Raises:
        FileError: it is no ordinary file, or may not be read.
    """
    try:
        if path.is_dir():
            raise FileError("is a folder. Name the file inside it.")
        if path.exists() and not path.is_file():
            raise FileError("is no ordinary file. Copy the data into one.")
        file = path.open("rb")
    except FileNotFoundError:
        raise FileError("does not exist. Check the name and the folder.") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise FileError(f"cannot be read ({reason}). Check the path and its rights.") from None
    with file:
        packed = file.read(2) == _GZIP
        file.seek(0)
        yield cast(BinaryIO, gzip.GzipFile(fileobj=file)) if packed else file


def read_chunk(stream: BinaryIO, size: int | None = None) -> bytes:
    """The next bytes, `CHUNK` by default, of a stream that `opened` gave; none at its end.

    Raises:
        FileError: the disk or the gzip file is damaged.
    """
    try:
        return stream.read(CHUNK if size is None else size)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        what = "is a damaged or truncated gzip file. Copy or download it again."
        raise FileError(what) from None
    except OSError as error:
        raise FileError(f"cannot be read ({error.strerror}). Check the disk.") from None


def utf8_chunks(head: bytes, stream: BinaryIO, reading: Reading) -> Iterator[bytes]:
    """The text as UTF-8, not checked, without its byte order mark.

    Args:
        head: the first `HEAD` bytes of the stream, read already.
        stream: the rest.
        reading: gets a note of any other encoding.

    Raises:
        FileError: it is no text.
    """
    for start, what in _BINARY.items():
        if head.startswith(start):
            raise FileError(f"is {what}, not text. Export it as CSV or JSONL.")
    if reading.path in reading.windows_1252:
        reading.note("read as Windows-1252.")
        return _transcoded(head, stream, "cp1252")
    for mark, codec, name in _BOMS:
        if head.startswith(mark):
            reading.note(f"read as {name}.")
            if codec != "utf-8-sig":
                return _transcoded(head, stream, codec)
            return _joined(head[len(mark) :], stream)
    if head.count(b"\0") > len(head) // 4:
        raise FileError("looks like UTF-16 without its mark, or binary. Save it as UTF-8.")
    if _CONTROL.search(head) and not _is_utf8(head):
        raise FileError("is binary, not text. Export it as CSV or JSONL.")
    return _joined(head, stream)


def is_windows_1252(path: Path) -> bool:
    """Whether a file is surely text in this encoding: every line that is no ASCII is valid in it,
    and none in UTF-8, which no text in it is by chance.
    """
    others = 0
    with contextlib.suppress(FileError), opened(path) as stream:
        head = read_chunk(stream, HEAD)
        if head.startswith(tuple(mark for mark, *_ in _BOMS)) or head.count(b"\0"):
            return False
        for line in byte_lines(_joined(head, stream)):
            if line.isascii():
                continue
            others += 1
            if _is_valid(line, "utf-8") or not _is_valid(line, "cp1252"):
                return False
        return others > 0
    return False


def _is_valid(line: bytes, codec: str) -> bool:
    try:
        line.decode(codec)
    except UnicodeDecodeError:
        return False
    return True


def _is_utf8(head: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def _joined(head: bytes, stream: BinaryIO) -> Iterator[bytes]:
    while head:
        yield head
        head = read_chunk(stream)


def _transcoded(head: bytes, stream: BinaryIO, codec: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(codec)()
    try:
        for chunk in _joined(head, stream):
            yield decoder.decode(chunk).encode()
        yield decoder.decode(b"", final=True).encode()
    except UnicodeDecodeError:
        what = f"is damaged: not valid {codec.upper()}. Save it as UTF-8."
        raise FileError(what) from None


def beginning(chunks: Iterator[bytes], opening: int) -> bytes:
    """What to recognise the format by: the first line that is not blank, and what precedes it.

    Args:
        chunks: the text; what is returned is taken from it.
        opening: bytes after which the end of the line is not waited for.

    Raises:
        FileError: the file is blank.
    """
    head = bytearray()
    blank = True
    for chunk in chunks:
        head += chunk
        blank = blank and not chunk.strip()
        if not blank and (len(head) > opening or len(head.lstrip().splitlines(keepends=True)) > 1):
            return bytes(head)
    if blank:
        raise FileError("is empty. Put one example on each line.")
    return bytes(head)


def byte_lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The lines with their ends: LF, CRLF or CR.

    Raises:
        FileError: a line is longer than `MAX_ROW`.
    """
    held: list[bytes] = []
    size = 0
    number = 0
    for chunk in chunks:
        if held and held[-1].endswith(b"\r"):  # perhaps half of a CRLF
            chunk, held = b"".join(held) + chunk, []
        *ended, last = chunk.splitlines(keepends=True) or [b""]
        if last.endswith(b"\n"):
            ended.append(last)
            last = b""
        if ended:
            ended[0] = b"".join([*held, ended[0]])
            yield from ended
            number += len(ended)
            held, size = [], 0
        held.append(last)
        size += len(last)
        if size > MAX_ROW:
            raise too_long(number + 1)
    if size:
        yield b"".join(held)


def too_long(line: int) -> FileError:
    """What to raise where a row does not end."""
    what = f"the row is longer than {MAX_ROW // 10**6} MB. Put each row on a line of its own."
    return FileError(f"{what} Rows after it were not read.", line=line)


def decoded(line: bytes, number: int, reading: Reading) -> str | None:
    """A line as text; None when it is no UTF-8, which is then a fault."""
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        blame_byte(line[error.start], number, reading)
        return None


def blame_byte(byte: int, number: int, reading: Reading) -> None:
    """A fault: the line holds a byte that is no UTF-8."""
    latin = bytes([byte]).decode("latin-1")
    what = f"byte 0x{byte:02X} is no UTF-8 (as Latin-1: {latin!r}). Save the file as UTF-8; "
    what += "`tunewise check --fix OUT` does where all of it is in one old encoding."
    reading.fault(number, "not UTF-8", what)
