"""Writes and reads the files of a run so that a kill at any moment leaves them whole."""

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
"""Numbers of the errors that say: the disk is full, or a person's share of it."""


def home_folder() -> Path:
    """Where what a person keeps lies: $TUNEWISE_HOME, else $XDG_DATA_HOME/tunewise, else
    ~/.local/share/tunewise. Unlike the cache of models it cannot be made again."""
    named = os.environ.get("TUNEWISE_HOME")
    if named:
        return Path(named).expanduser().absolute()
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "tunewise"


def append_lines(file: Path, records: Sequence[dict[str, Any]]) -> None:
    """Appends JSON lines in one write, and syncs: after a kill they are there, or none is."""
    text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        left = text.encode("utf-8", errors="surrogatepass")
        while left:
            left = left[os.write(handle, left) :]
        os.fsync(handle)
    finally:
        os.close(handle)


def cut_half_line(file: Path) -> bytes:
    """Cuts off a last line that a kill left half-written; the file's bytes, if it is there."""
    if not file.exists():
        return b""
    raw = file.read_bytes()
    whole = raw.rfind(b"\n") + 1
    if whole < len(raw):
        os.truncate(file, whole)
    return raw[:whole]


def read_lines(file: Path) -> list[dict[str, Any]]:
    """The records of a file of JSON lines. A half-written last line is cut off the file."""
    lines = cut_half_line(file).decode("utf-8", errors="surrogatepass").split("\n")
    return [cast("dict[str, Any]", json.loads(line)) for line in lines if line]


def write_text(file: Path, text: str) -> None:
    """Replaces `file` atomically: beside it, synced, renamed."""
    beside = file.with_name(f".{file.name}.new")
    with beside.open("w", encoding="utf-8", errors="surrogatepass") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    beside.rename(file)


def write_private(file: Path, content: bytes) -> Path:
    """Writes a new file beside `file`, synced, that at no moment anybody but its owner can read.

    Returns:
        The new file: whoever calls puts it in place.
    """
    beside = file.with_name(f".{file.name}.new")
    beside.unlink(missing_ok=True)
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
    except BaseException:
        beside.unlink()
        raise
    return beside


def write_json(file: Path, value: object) -> None:
    """Replaces `file` atomically with indented JSON; numbers that JSON lacks are refused."""
    write_text(file, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def write_lines(file: Path, records: Sequence[dict[str, Any]]) -> None:
    """Replaces `file` atomically with JSON lines."""
    write_text(file, "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records))


@contextmanager
def replaced_folder(place: Path, *, name: str = "new") -> Generator[Path]:
    """Gives an empty folder to fill, which stands at `place` once the block has ended well.

    It lies in a hidden folder beside the place, `.NAME.new`, which is the block's own to write to.
    What stood at the place goes only when all that is new is on the disk, and an exception leaves
    it as it was. After a kill the place holds the old or the new, whole; or nothing, between the
    two renames, until the next call puts the old back. One process at a time.

    Args:
        place: of the folder; its parent is made where there is none.
        name: of the folder while it is filled, for what writes that name down.

    Raises:
        OSError: it cannot be written.
    """
    beside = place.with_name(f".{place.name}.new")
    folder, old = beside / name, beside / ".old"
    _clear(beside, old, place)  # of a process that was killed
    folder.mkdir(parents=True)
    try:
        yield folder
        for path in sorted(folder.rglob("*")):
            sync(path)
        sync(folder)
        if place.exists():
            place.rename(old)
        folder.rename(place)
        sync(place.parent)
    finally:
        _clear(beside, old, place)


def _clear(beside: Path, old: Path, place: Path) -> None:
    """Puts back what was to be replaced, where nothing came instead, and removes the rest."""
    if old.exists() and not place.exists():
        old.rename(place)
    shutil.rmtree(beside, ignore_errors=True)


def sync(path: Path) -> None:
    """Waits until a file or folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def file_sha256(path: Path) -> str:
    """sha256 (hex) of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def shortened(text: str, *folders: Path) -> str:
    """The text with paths below these folders written from there: `rows.csv:12`."""
    for folder in folders:
        if folder != folder.parent:  # below the root of the disk everything would be short
            text = re.sub(rf"(?<![\w./-]){re.escape(str(folder))}/", "", text)
    return text
