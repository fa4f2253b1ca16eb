"""Opens office files and e-books, which are ZIP archives, and refuses those that would not fit."""

import zipfile
from pathlib import Path

from tunewise.data.documents.blocks import UnreadableError
from tunewise.data.documents.text_files import OLD_OFFICE, bytes_of, what_it_is

MAX_TEXT = 200_000_000
"""Bytes of text that an archive may unpack to: a thousand novels."""
_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".emf", ".wmf", ".tif", ".tiff", ".mp4",
             ".svg", ".webp", ".mp3", ".wav", ".ttf", ".otf", ".bin")  # fmt: skip


def check_archive(path: Path, what: str, holds: str) -> None:
    """Refuses what is no archive of this kind, before a library opens it.

    Args:
        path: the file.
        what: the format, for the message: "Word".
        holds: the beginning of a name inside each such archive: "word/".

    Raises:
        UnreadableError: with what the file is instead.
    """
    raw = bytes_of(path)
    if not raw.strip():
        raise UnreadableError("is empty. Fill it or move it away.")
    if raw.startswith(OLD_OFFICE):
        if "EncryptedPackage".encode("utf-16-le") in raw:
            raise UnreadableError("is protected by a password. Save it without one.")
        raise UnreadableError(f"is an old {what} file with a new ending. Save it anew as such.")
    if not raw.startswith(b"PK"):
        kind = what_it_is(path, raw[:64]) or "something else"
        raise UnreadableError(f"is {kind}, no {what} file. Give it its true ending.")
    try:
        with zipfile.ZipFile(path) as packed:
            members = packed.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise _damaged(what) from error
    if any(member.flag_bits & 1 for member in members):
        raise UnreadableError("is protected by a password. Save it without one.")
    if not any(member.filename.startswith(holds) for member in members):
        kind = what_it_is(path, raw[:64])
        if kind == "a damaged ZIP archive":
            raise _damaged(what)
        raise UnreadableError(f"is {kind}, no {what} file. Give it its true ending.")
    size = sum(m.file_size for m in members if not m.filename.lower().endswith(_PICTURES))
    if size > MAX_TEXT:
        raise UnreadableError(
            f"unpacks to {size // 1_000_000:,} MB of text, more than is read "
            f"({MAX_TEXT // 1_000_000} MB). Split it."
        )


def _damaged(what: str) -> UnreadableError:
    return UnreadableError(f"is a damaged {what} file. Open and save it again, or copy it anew.")


def unreadable(what: str, error: Exception) -> UnreadableError:
    """What to say where the format's library fails, in whatever way."""
    said = str(error).split("\n")[0][:120]
    return UnreadableError(
        f"cannot be read as {what} ({type(error).__name__}: {said}). Open and save it again."
    )
