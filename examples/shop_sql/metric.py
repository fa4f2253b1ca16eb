"""Judges a query by what it returns: the rows of the reference, from the same database.

`select` is the safe half, for any program that runs queries it did not write: one SELECT over named
tables of a database opened read-only, with a limit on work, time, rows and the length of texts.
`sql_rows` is the metric on top of it.
"""

import functools
import math
import re
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

import database

MAX_SQL = 4000
"""Characters of a query."""
MAX_ROWS = 3000
MAX_TEXT = 100_000
"""Bytes of any one value on the way: what repeats texts without end stops here."""
MAX_STEPS = 10_000_000
"""Instructions of SQLite's machine; the same on every machine, some tenths of a second."""
MAX_SECONDS = 30.0
"""Where steps are slow. Far beyond MAX_STEPS, so that a busy machine changes no score."""
FUNCTIONS = frozenset(
    {"abs", "coalesce", "ifnull", "iif", "max", "min", "nullif", "round", "sign"}
    | {"glob", "instr", "length", "like", "lower", "ltrim", "replace", "rtrim", "substr"}
    | {"substring", "trim", "upper", "date", "julianday", "strftime"}
    | {"avg", "count", "group_concat", "sum", "total"}
    | {"cume_dist", "dense_rank", "first_value", "lag", "last_value", "lead", "nth_value"}
    | {"ntile", "percent_rank", "rank", "row_number"}
)
"""Of SQLite, those that a query may call."""

Row = tuple[object, ...]

_STEPS_A_LOOK = 10_000
_NO_CODE = re.compile(
    r"(?P<quoted>'(?:[^']|'')*'|\"[^\"]*\"|`[^`]*`|\[[^\]]*\])|--[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL
)
_DECLARED = re.compile(r"(\w+)\s*(?:\([^()]*\)\s*)?AS\s+(?:(?:NOT\s+)?MATERIALIZED\s*)?\(", re.I)
_FENCE = re.compile(r"\A\s*```(?:sql|sqlite)?\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL | re.IGNORECASE)


class QueryError(Exception):
    """The query is none that may be run, or did not come to an end within its limits."""


def sql_rows(answer: str, target: str) -> bool:
    """Whether the answer is one SELECT that returns the rows of the target.

    Columns count by their place, not by their name. The order of rows counts where the target sorts
    its result (an ORDER BY outside of all brackets). Numbers are equal to four decimals.

    Args:
        answer: SQL, perhaps in one fence of Markdown. Whatever else it is, is wrong.
        target: the reference, which has to run.

    Raises:
        QueryError: the target itself cannot be run, or returns no rows.
    """
    wanted = _rows_of_target(target)
    try:
        given = [_comparable(row) for row in select(without_fence(answer), shop())]
    except QueryError:
        return False
    return given == wanted if is_sorted(target) else Counter(given) == Counter(wanted)


def select(sql: str, path: Path, tables: Collection[str] = database.TABLES) -> list[Row]:
    """The rows of one SELECT (or WITH ... SELECT) over the named tables.

    The file is opened read-only and SQLite asks back about everything that the query would do:
    only reading those tables and calling `FUNCTIONS` is allowed. Nothing is ever written.

    Raises:
        QueryError: it is another statement, several, wrong, forbidden or beyond a limit.
        sqlite3.OperationalError: there is no such file.
    """
    code = _code(sql)
    if not re.match(r"\s*(SELECT|WITH)\b", code, re.IGNORECASE):
        raise QueryError("no SELECT")
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    try:
        _limit(connection)
        connection.set_authorizer(_Permission(tables, _DECLARED.findall(code)))
        rows = connection.execute(sql).fetchmany(MAX_ROWS + 1)
    except (sqlite3.Error, sqlite3.Warning, OverflowError, ValueError, MemoryError) as error:
        raise QueryError(str(error)) from error
    finally:
        connection.close()
    if len(rows) > MAX_ROWS:
        raise QueryError(f"more than {MAX_ROWS} rows")
    return rows


def is_sorted(sql: str) -> bool:
    """Whether the query sorts its result: ORDER BY outside of all brackets."""
    code = _code(sql)
    while code != (outside := re.sub(r"\([^()]*\)", "", code)):
        code = outside
    return re.search(r"\bORDER\s+BY\b", code, re.IGNORECASE) is not None


@functools.cache
def shop() -> Path:
    """The shop's database, built once for this process and removed at its end."""
    folder = tempfile.TemporaryDirectory(prefix="shop_sql_")
    _FOLDERS.append(folder)
    path = Path(folder.name) / "shop.sqlite"
    database.build(path)
    return path


_FOLDERS: list[tempfile.TemporaryDirectory[str]] = []
"""Keeps the folder until the process ends."""


class _Permission:
    """SQLite's question before it runs a query: may it do this?"""

    def __init__(self, tables: Collection[str], declared: Sequence[str]) -> None:
        self._tables = {name.lower() for name in tables}
        # Reading no column of `WITH name AS (...)`, as count(*) does, is asked about as well.
        self._declared = {
            name.lower() for name in declared if not name.lower().startswith(("sqlite_", "pragma_"))
        }

    def __call__(
        self, action: int, first: str | None, second: str | None, *_where: str | None
    ) -> int:
        match action:
            case sqlite3.SQLITE_SELECT:
                allowed = True
            case sqlite3.SQLITE_READ:
                name = (first or "").lower()
                allowed = name in self._tables or (not second and name in self._declared)
            case sqlite3.SQLITE_FUNCTION:
                allowed = (second or "").lower() in FUNCTIONS
            case _:  # writing, PRAGMA, ATTACH, transactions, recursion
                allowed = False
        return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


def _limit(connection: sqlite3.Connection) -> None:
    connection.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, MAX_SQL)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_TEXT)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 200)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    end, looks = time.monotonic() + MAX_SECONDS, 0

    def too_long() -> bool:
        nonlocal looks
        looks += 1
        return looks * _STEPS_A_LOOK > MAX_STEPS or time.monotonic() > end

    connection.set_progress_handler(too_long, _STEPS_A_LOOK)


@functools.lru_cache(maxsize=4096)
def _rows_of_target(target: str) -> list[Row]:
    rows = [_comparable(row) for row in select(target, shop())]
    if not rows:
        raise QueryError("the reference returns no rows")
    return rows


def _code(sql: str) -> str:
    """The query without comments, and with nothing in its quotes."""
    return _NO_CODE.sub(lambda found: "''" if found["quoted"] else " ", sql)


def without_fence(answer: str) -> str:
    """The query of an answer: what stands in its one fence of Markdown, else all of it."""
    fenced = _FENCE.match(answer)
    return fenced[1] if fenced else answer


def _comparable(row: Row) -> Row:
    """The row with numbers to four decimals: sums differ in the last digits by their order."""
    return tuple(
        round(value, 4) if isinstance(value, float) and math.isfinite(value) else value
        for value in row
    )
