"""The data base of models on disk: opened, brought up to date, and made again where it is damaged.

SQLite in WAL mode. All that it holds stands on the disk once more: versions in the folders of the
models, what happened to aliases in a journal that is written before the data base commits.
"""

import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

from filelock import FileLock, Timeout
from pydantic import TypeAdapter

from tunewise.errors import UserError
from tunewise.runs.records import parse_json
from tunewise.storage import append_lines, cut_half_line
from tunewise.wording import plural

DATABASE, JOURNAL, VERSION_FILE = "registry.sqlite3", "journal.jsonl", "version.json"
STAGING = ".new-"
"""What the folder of a version is called while it is filled, before the id of the process."""
WAIT_SECONDS = 60.0
"""For another process that writes."""

Kind: TypeAlias = Literal["set", "rollback", "unset", "removed", "exported"]

MIGRATIONS: Sequence[Sequence[str]] = (
    (
        """CREATE TABLE versions (
            name TEXT NOT NULL, number INTEGER NOT NULL, created REAL NOT NULL,
            lineage TEXT NOT NULL, removed REAL, PRIMARY KEY (name, number))""",
        """CREATE TABLE events (
            seq INTEGER PRIMARY KEY AUTOINCREMENT, time REAL NOT NULL, kind TEXT NOT NULL,
            name TEXT NOT NULL, number INTEGER, alias TEXT, facts TEXT NOT NULL)""",
        """CREATE TABLE aliases (
            name TEXT NOT NULL, alias TEXT NOT NULL, number INTEGER NOT NULL,
            PRIMARY KEY (name, alias), FOREIGN KEY (name, number) REFERENCES versions)""",
    ),
)
"""What takes the data base from each `user_version` to the next."""
_TABLES = {"versions", "events", "aliases"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Lineage:
    """What a version was made from."""

    project: str = ""
    data: str | None = None
    """Fingerprint of the rows and their sides."""
    run: str = ""
    """Name of the run's folder."""
    token: str = ""
    """What names the run for good."""
    contender: str = ""
    adapter: str | None = None
    """Hash of the weights that were trained; None: nothing was."""
    model: str = ""
    """sha256 (hex) of model.json."""
    known_as: str = ""
    """Another name that means this version for good: `ft:base:org:suffix:id` of a job; empty: it
    has none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionFile:
    """version.json, beside model.json: what the registry knows of a version."""

    schema: Literal[1] = 1
    name: str
    number: int
    created: float
    """Seconds since 1970."""
    lineage: Lineage


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """A line of the journal: what happened to an alias, or to a version since it was made."""

    seq: int
    """Its number. Of two lines of one number the later counts: the first was never committed."""
    time: float
    kind: Kind
    name: str
    number: int | None = None
    alias: str | None = None
    facts: Mapping[str, str]


LINEAGE = TypeAdapter(Lineage)
VERSION = TypeAdapter(VersionFile)
_EVENT = TypeAdapter(Event)


class _DamagedError(Exception):
    """The file is no data base of ours."""


class _OutdatedError(Exception):
    """The file is not there, or an earlier version of Tunewise wrote it."""


class Writing:
    """One transaction; it holds the lock of the registry.

    Args:
        db: within a transaction.
        home: the folder of the registry.
        clock: seconds since 1970.
    """

    def __init__(self, db: sqlite3.Connection, home: Path, clock: Callable[[], float]) -> None:
        self.db = db
        self._journal, self._clock = home / JOURNAL, clock

    def log(
        self,
        kind: Kind,
        name: str,
        *,
        number: int | None = None,
        alias: str | None = None,
        facts: Mapping[str, str] | None = None,
    ) -> Event:
        """Writes down what happens, in the data base and, first to reach the disk, the journal."""
        now = self._clock()
        text = json.dumps(facts or {}, ensure_ascii=False)
        found = self.db.execute(
            "INSERT INTO events (time, kind, name, number, alias, facts) VALUES (?, ?, ?, ?, ?, ?)",
            (now, kind, name, number, alias, text),
        )
        event = Event(
            seq=cast("int", found.lastrowid),
            time=now,
            kind=kind,
            name=name,
            number=number,
            alias=alias,
            facts=facts or {},
        )
        cut_half_line(self._journal)
        append_lines(self._journal, [cast("dict[str, Any]", _EVENT.dump_python(event))])
        return event


class RegistryFile:
    """The data base in a folder.

    Args:
        home: the folder; made at the first write.
        note: told what a person should know: that the data base was made again.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        home: Path,
        *,
        note: Callable[[str], object] = str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.home, self.models = home, home / "models"
        self.path = home / DATABASE
        self._note, self._clock = note, clock

    @contextmanager
    def reading(self) -> Generator[sqlite3.Connection]:
        """A connection for reading; an empty data base where there is nothing yet.

        Raises:
            UserError: it cannot be read, or a newer version wrote it.
        """
        if not self.path.exists() and not self.models.is_dir():
            with closing(sqlite3.connect(":memory:")) as db:
                _migrate(db, 0)
                yield db
            return
        with self._told_well():
            try:
                db = self._open()
            except (_DamagedError, _OutdatedError):
                with self._locked():
                    self._mend()
                    db = self._open()
            with closing(db):
                yield db

    @contextmanager
    def writing(self) -> Generator[Writing]:
        """A transaction: all that is done in it, or nothing.

        Raises:
            UserError: it cannot be written, or a newer version wrote it.
        """
        with self._told_well(), self._locked():
            self._mend()
            with closing(self._open()) as db:
                db.execute("BEGIN IMMEDIATE")
                try:
                    self._sweep()
                    self._adopt(db)
                    yield Writing(db, self.home, self._clock)
                    db.execute("COMMIT")
                except BaseException:
                    if db.in_transaction:
                        db.execute("ROLLBACK")
                    raise

    def folder_of(self, name: str, number: int) -> Path:
        """Where a version lies."""
        return self.models / name / str(number)

    def last_number(self, db: sqlite3.Connection, name: str) -> int:
        """The highest number that a version of that name ever had; 0 where there was none."""
        query = "SELECT coalesce(max(number), 0) FROM versions WHERE name = ?"
        return cast("int", db.execute(query, (name,)).fetchone()[0])

    @contextmanager
    def _told_well(self) -> Generator[None]:
        """Faults of the disk as what a person can mend."""
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise UserError(
                f"{self.home}: the registry of models cannot be read or written: {why}. Free some "
                "disk space or mend its rights, or point TUNEWISE_HOME to a folder that you may "
                "write to."
            ) from error

    @contextmanager
    def _locked(self) -> Generator[None]:
        self.models.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.home / "registry.lock", timeout=WAIT_SECONDS):
                yield
        except Timeout:
            raise UserError(
                f"{self.home}: another process has been writing to the registry of models for "
                f"{WAIT_SECONDS:.0f} s. Wait for it, or end it."
            ) from None

    def _open(self) -> sqlite3.Connection:
        """The data base as it should be.

        Raises:
            _OutdatedError: it has to be brought up to date.
            _DamagedError: it has to be made again.
        """
        if not self.path.exists():
            raise _OutdatedError
        db = sqlite3.connect(self.path, timeout=WAIT_SECONDS, isolation_level=None)
        try:
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA foreign_keys = ON")
            version = cast("int", db.execute("PRAGMA user_version").fetchone()[0])
            if version > len(MIGRATIONS):
                raise UserError(
                    f"{self.path}: was written by a newer version of Tunewise. Use that version, "
                    "or point TUNEWISE_HOME to another folder."
                )
            if version < len(MIGRATIONS):
                raise _OutdatedError
            tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
            if not tables >= _TABLES or db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                raise _DamagedError
        except BaseException as error:
            db.close()
            if isinstance(error, sqlite3.DatabaseError) and _is_damage(error):
                raise _DamagedError from error
            raise
        return db

    def _mend(self) -> None:
        """Brings the data base up to date, or makes it again; the lock is held."""
        try:
            self._open().close()
        except _DamagedError:
            aside = self.path.with_name(f"registry.damaged-{self._clock():.0f}.sqlite3")
            self.path.rename(aside)
            for ending in ("-wal", "-shm"):
                self.path.with_name(self.path.name + ending).unlink(missing_ok=True)
            self._make_current()
            self._note(
                f"{self.path}: was damaged, and was made again from the models on the disk. The "
                f"damaged file is kept as {aside.name}."
            )
        except _OutdatedError:
            self._make_current()

    def _make_current(self) -> None:
        with closing(sqlite3.connect(self.path, timeout=WAIT_SECONDS, isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("BEGIN IMMEDIATE")
            version = cast("int", db.execute("PRAGMA user_version").fetchone()[0])
            _migrate(db, version)
            if version == 0:
                events = self._journalled()
                _replay(db, events)
                self._adopt(db)
                self._point_aliases(db, events)
            db.execute("COMMIT")

    def _journalled(self) -> list[Event]:
        """The journal's events in order; lines that cannot be read are told and left out."""
        file, found, bad = self.home / JOURNAL, dict[int, Event](), 0
        for line in cut_half_line(file).split(b"\n"):
            if not line.strip():
                continue
            try:
                event = _EVENT.validate_python(parse_json(line))
            except ValueError:
                bad += 1
                continue
            found[event.seq] = event
        if bad:
            self._note(f"{file}: {plural(bad, 'line')} cannot be read, and are left out.")
        return [found[seq] for seq in sorted(found)]

    def _adopt(self, db: sqlite3.Connection) -> None:
        """Takes in versions whose folders lie there complete: of a process that was killed, or of
        a data base that is made again. Clears away what a process that was killed had removed."""
        query = "SELECT name, number, removed IS NOT NULL FROM versions"
        known = {(name, number): bool(gone) for name, number, gone in db.execute(query)}
        for file in sorted(self.models.glob(f"[!.]*/*/{VERSION_FILE}")):
            key = (file.parent.parent.name, _number(file.parent.name))
            if key in known:
                if known[key]:
                    shutil.rmtree(file.parent, ignore_errors=True)
                continue
            try:
                found = VERSION.validate_python(parse_json(file.read_bytes()))
            except (OSError, ValueError):
                self._note(f"{file}: cannot be read, so this version is left out.")
                continue
            if (found.name, found.number) != key:
                self._note(f"{file}: belongs to another folder, so this version is left out.")
                continue
            insert_version(db, found)

    def _point_aliases(self, db: sqlite3.Connection, events: Sequence[Event]) -> None:
        """Aliases as the journal left them; one whose version is gone goes back in its history."""
        query = "SELECT name, number FROM versions WHERE removed IS NULL"
        there = {(name, number) for name, number in db.execute(query)}
        for name, alias in {(one.name, one.alias) for one in events if one.alias is not None}:
            stack = pointed_at(one for one in events if (one.name, one.alias) == (name, alias))
            left = [number for number in stack if (name, number) in there]
            if left:
                db.execute("INSERT INTO aliases VALUES (?, ?, ?)", (name, alias, left[-1]))
            if stack and left[-1:] != stack[-1:]:
                now = f"{name}@{left[-1]}" if left else "nothing"
                self._note(
                    f"{name}@{alias}: pointed to {name}@{stack[-1]}, which is not on the disk any "
                    f"more; it points to {now} now."
                )

    def _sweep(self) -> None:
        """Removes what processes left that were killed while they filled a folder."""
        for folder in self.models.glob(f"{STAGING}*"):
            process = _number(folder.name.removeprefix(STAGING).partition("-")[0])
            if not _is_alive(process):
                shutil.rmtree(folder, ignore_errors=True)


def insert_version(db: sqlite3.Connection, version: VersionFile) -> None:
    """Adds a version whose folder is in its place."""
    lineage = LINEAGE.dump_json(version.lineage).decode()
    db.execute(
        "INSERT INTO versions (name, number, created, lineage) VALUES (?, ?, ?, ?)",
        (version.name, version.number, version.created, lineage),
    )


def pointed_at(events: Iterable[Event]) -> list[int]:
    """The numbers that an alias has pointed to and can be rolled back to, the present one last.

    Args:
        events: of one alias, in order.
    """
    stack: list[int] = []
    for event in events:
        if event.kind == "set" and event.number is not None:
            stack.append(event.number)
        elif event.kind == "rollback":
            while stack and stack[-1] != event.number:
                stack.pop()
        elif event.kind == "unset":
            stack.clear()
    return stack


def _migrate(db: sqlite3.Connection, version: int) -> None:
    for step in MIGRATIONS[version:]:
        for statement in step:
            db.execute(statement)
    db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def _replay(db: sqlite3.Connection, events: Sequence[Event]) -> None:
    """What the journal says of the past, into an empty data base."""
    for event in events:
        facts = json.dumps(dict(event.facts), ensure_ascii=False)
        db.execute(
            "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)",
            (event.seq, event.time, event.kind, event.name, event.number, event.alias, facts),
        )
        if event.kind == "removed":
            db.execute(
                "INSERT OR REPLACE INTO versions VALUES (?, ?, ?, '{}', ?)",
                (event.name, event.number, event.time, event.time),
            )


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether the file is at fault, and not the disk, its rights or a lock."""
    code = cast("int", getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT))
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else -1


def _is_alive(process: int) -> bool:
    if process <= 0:
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
