"""Uploaded files and results: their bytes in a folder, what is known of them in the table.

A file's content never changes. A job links what it needs into a folder of its own, so that a file
may be deleted at any time: the job keeps its copy.
"""

import hashlib
import os
import shutil
import time
from pathlib import Path

from sqlalchemy import Connection, delete, func, insert, select

from tunewise.serving.jobs import database as tables
from tunewise.serving.jobs.database import Database
from tunewise.serving.jobs.paging import Cursor, Page, page_of
from tunewise.serving.jobs.records import RESULTS, StoredFile, new_id
from tunewise.storage import file_sha256, sync

_DAY = 86_400.0
_COLUMNS = [column for column in tables.files.c if column.name != "number"]


class FileStore:
    """The files of one server.

    Args:
        database: their table.
        folder: where their bytes lie; made if need be. With several machines all see the same one.
        max_bytes: of one file.
    """

    def __init__(self, database: Database, folder: Path, *, max_bytes: int) -> None:
        self._database, self.folder, self.max_bytes = database, folder, max_bytes
        self.incoming.mkdir(parents=True, exist_ok=True)
        for left in self.incoming.iterdir():  # of processes that were killed
            if left.stat().st_mtime < time.time() - _DAY:
                shutil.rmtree(left, ignore_errors=True)

    @property
    def incoming(self) -> Path:
        """Where uploads lie until they are whole."""
        return self.folder / "incoming"

    def count(self) -> int:
        """How many there are."""
        with self._database.reading() as connection:
            return connection.scalar(select(func.count()).select_from(tables.files)) or 0

    def add(self, upload: Path, *, filename: str, purpose: str) -> StoredFile:
        """Takes over a file that lies in `incoming`.

        Args:
            upload: its bytes; moved away.
            filename: as the client calls it.
            purpose: what it is for.

        Raises:
            OSError: the disk is full.
        """
        new, size, sha256 = new_id("file-"), upload.stat().st_size, file_sha256(upload)
        sync(upload)
        upload.rename(self.path(new))
        try:
            sync(self.folder)
            with self._database.writing() as connection:
                created = int(self._database.now(connection))
                stored = StoredFile(
                    id=new,
                    created_at=created,
                    filename=filename,
                    purpose=purpose,
                    bytes=size,
                    sha256=sha256,
                )
                _insert(connection, stored)
        except BaseException:
            self.path(new).unlink(missing_ok=True)  # no row names it
            raise
        return stored

    def write_result(self, text: str, *, name: str) -> tuple[str, bytes]:
        """Writes the bytes of a result file that no row names yet: see `add_result`.

        Returns:
            Its id, and its bytes.
        """
        new, content = new_id("file-"), text.encode()
        beside = self.incoming / f"{new}-{name}"
        beside.write_bytes(content)
        sync(beside)
        beside.rename(self.path(new))
        return new, content

    def add_result(self, connection: Connection, new: str, content: bytes, *, name: str) -> None:
        """Adds the row of a result file, within the transaction that says what it is a result of.

        Args:
            connection: of that transaction.
            new: from `write_result`, as the content.
            content: its bytes.
            name: of the file.
        """
        _insert(
            connection,
            StoredFile(
                id=new,
                created_at=int(self._database.now(connection)),
                filename=name,
                purpose=RESULTS,
                bytes=len(content),
                sha256=hashlib.sha256(content).hexdigest(),
            ),
        )

    def find(self, file: str) -> StoredFile | None:
        """None: there is no such file."""
        with self._database.reading() as connection:
            wanted = select(*_COLUMNS).where(tables.files.c.id == file)
            row = connection.execute(wanted).mappings().one_or_none()
        return None if row is None else StoredFile(**row)

    def page(self, cursor: Cursor, *, purpose: str | None) -> Page[StoredFile]:
        """The next files.

        Raises:
            RefusedError: see `page_of`.
        """
        wanted = select(*_COLUMNS)
        if purpose is not None:
            wanted = wanted.where(tables.files.c.purpose == purpose)
        with self._database.reading() as connection:
            found = page_of(connection, tables.files, wanted, cursor)
        return Page(rows=tuple(StoredFile(**row) for row in found.rows), has_more=found.has_more)

    def path(self, file: str) -> Path:
        """Where the bytes of a file lie. Ids come from `new_id` or were found in the table."""
        return self.folder / file

    def delete(self, file: str) -> bool:
        """Deletes a file; jobs that use it keep their copy. False: there is no such file."""
        with self._database.writing() as connection:
            gone = connection.execute(delete(tables.files).where(tables.files.c.id == file))
        if not gone.rowcount:
            return False
        self.path(file).unlink(missing_ok=True)
        return True

    def link(self, file: str, to: Path) -> None:
        """A job's own copy of a file: the same bytes under a second name, where the disk can.

        Raises:
            FileNotFoundError: it was deleted meanwhile.
        """
        try:
            os.link(self.path(file), to)
        except FileNotFoundError:
            raise
        except OSError:  # another disk, or one without links
            shutil.copyfile(self.path(file), to)


def _insert(connection: Connection, stored: StoredFile) -> None:
    values = {column.name: getattr(stored, column.name) for column in _COLUMNS}
    connection.execute(insert(tables.files).values(**values))
