"""The tables of files and jobs, in SQLite or Postgres, and the clock by which leases run out.

It knows nothing of what the rows mean: `files`, `jobs` and `leases` do.
"""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Double,
    ForeignKey,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    create_engine,
    event,
    func,
    insert,
    select,
)
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from tunewise.errors import UserError, first_line
from tunewise.storage import NO_SPACE

SCHEMA = 1
"""Of the tables below; a later Tunewise that changes them counts on, and changes what is there."""
_LOCK = 7_305_422
"""Key of Postgres' advisory lock under which tables are made: two processes may start at once."""
_READS = "tunewise_reads"
_SQLITE_FULL, _POSTGRES_FULL = 13, "53100"
_NUMBER = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up INTEGER keys only

_META = MetaData()

about = Table("tunewise_jobs", _META, Column("version", Integer, primary_key=True))

files = Table(
    "tunewise_files",
    _META,
    Column("number", _NUMBER, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("created_at", BigInteger, nullable=False),
    Column("filename", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
)

jobs = Table(
    "tunewise_job",
    _META,
    # What was asked for.
    Column("number", _NUMBER, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("created_at", BigInteger, nullable=False),
    Column("model", Text, nullable=False),
    Column("suffix", Text),
    Column("seed", BigInteger, nullable=False),
    Column("method", Text, nullable=False),  # JSON
    Column("metadata", Text, nullable=False),  # JSON
    Column("training_file", Text, nullable=False),
    Column("validation_file", Text),
    # Where it stands.
    Column("status", Text, nullable=False, index=True),
    Column("validated", Boolean, nullable=False),
    Column("finished_at", BigInteger),
    Column("error", Text),  # JSON
    Column("fine_tuned_model", Text),
    Column("result_file", Text),
    Column("trained_tokens", BigInteger),
    Column("hyperparameters", Text),  # JSON, once they are known
    Column("verdict", Text),  # JSON
    Column("held_out", Text, index=True),  # sha256 of the rows that the proof was measured on
    # Who works on it.
    Column("wanted", Text),  # cancel or pause, of a job that somebody holds
    Column("owner", Text),
    Column("token", BigInteger, nullable=False),  # counts the times it was taken up
    Column("lease_until", Double),  # seconds since 1970, by the database's clock
    Column("crashes", Integer, nullable=False),
    Column("crash_step", Integer, nullable=False),
)

events = Table(
    "tunewise_job_event",
    _META,
    Column("number", _NUMBER, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("job", Text, ForeignKey(jobs.c.id), nullable=False),
    Column("key", Text, nullable=False),  # what is told: once, however often it is done
    Column("created_at", BigInteger, nullable=False),
    Column("level", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("data", Text),  # JSON
    UniqueConstraint("job", "key"),
)

checkpoints = Table(
    "tunewise_job_checkpoint",
    _META,
    Column("number", _NUMBER, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False, unique=True),
    Column("job", Text, ForeignKey(jobs.c.id), nullable=False),
    Column("step", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("model", Text, nullable=False),
    Column("metrics", Text, nullable=False),  # JSON
    UniqueConstraint("job", "step"),
)


class Database:
    """Where the tables lie. Threads may share it; a fork may not.

    Args:
        url: `sqlite:///FILE` or `postgresql://USER@HOST/NAME`.
        clock: seconds since 1970, for SQLite, whose processes are on one machine; Postgres has a
            clock of its own, the same for all machines.

    Raises:
        UserError: it cannot be reached, or a later Tunewise has been at work in it.
    """

    def __init__(self, url: str, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._sqlite = url.startswith("sqlite:")
        given: dict[str, Any] = {"connect_args": {"timeout": 30.0}} if self._sqlite else {}
        try:
            self._engine = create_engine(_driver(url), pool_pre_ping=not self._sqlite, **given)
            if self._sqlite:
                event.listen(self._engine, "connect", _prepare)
                event.listen(self._engine, "begin", _begin)
            self._make_tables()
        except SQLAlchemyError as error:
            why = first_line(error.__cause__ or error)
            raise UserError(
                f"{_without_password(url)}: the data base of jobs cannot be used: {why}. Start "
                "it, or name another one with --database."
            ) from error

    def __repr__(self) -> str:
        """Without a password."""
        return f"Database({self._engine.url!r})"

    @contextmanager
    def writing(self) -> Generator[Connection]:
        """One transaction: all of it happens, or nothing. Writers in SQLite wait for each other."""
        with self._engine.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Generator[Connection]:
        """One view of the tables, which waits for no writer."""
        with self._engine.connect() as connection:
            yield connection.execution_options(**{_READS: True})

    def now(self, connection: Connection) -> float:
        """Seconds since 1970, by the clock that leases go by."""
        if self._sqlite:
            return self._clock()
        return float(connection.scalar(select(func.extract("epoch", func.clock_timestamp()))) or 0)

    def close(self) -> None:
        """Closes its connections."""
        self._engine.dispose()

    def _make_tables(self) -> None:
        with self.writing() as connection:
            if not self._sqlite:
                connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
            _META.create_all(connection)
            version = connection.scalar(select(about.c.version))
            if version is None:
                connection.execute(insert(about).values(version=SCHEMA))
            elif version > SCHEMA:
                raise UserError(
                    f"{self._engine.url!r}: a later Tunewise has changed the tables of this data "
                    "base. Use that version."
                )


def is_full(error: BaseException) -> bool:
    """Whether an error says that the disk is full: that of files, or the data base's."""
    if isinstance(error, OSError):
        return error.errno in NO_SPACE
    if not isinstance(error, OperationalError):
        return False
    told = error.orig
    return (
        getattr(told, "sqlite_errorcode", None) == _SQLITE_FULL
        or getattr(told, "sqlstate", None) == _POSTGRES_FULL
    )


def sqlite_url(folder: Path) -> str:
    """The data base in a folder that is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{folder.absolute() / 'jobs.sqlite3'}"


def _driver(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    return (
        f"postgresql+psycopg://{rest}"
        if scheme in ("postgres", "postgresql")
        else (scheme + separator + rest)
    )


def _without_password(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    return scheme + separator + rest.rpartition("@")[2]


def _prepare(connection: Any, _record: object) -> None:
    """Readers and a writer at once, every commit on the disk; transactions begin in `_begin`."""
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    """Whoever will write waits at the beginning, not in the middle, where it would fail."""
    reads = connection.get_execution_options().get(_READS)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")
