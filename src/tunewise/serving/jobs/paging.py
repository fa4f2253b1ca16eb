"""One page of a list: the rows behind the last one that a client has seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, RowMapping, Select, Table, select

from tunewise.serving.protocol import RefusedError

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Page(Generic[T]):
    """Rows in the order asked for."""

    rows: tuple[T, ...]
    has_more: bool
    """Whether others follow."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cursor:
    """What a client asks of a list."""

    after: str | None
    """Id of the last row that it has; None: from the beginning."""
    limit: int
    """Rows at most."""
    ascending: bool = False
    """Oldest first."""


def page_of(
    connection: Connection, table: Table, wanted: Select[Any], cursor: Cursor
) -> Page[RowMapping]:
    """The next rows of a table whose `number` counts up.

    Args:
        connection: of a transaction.
        table: has `id` and `number`.
        wanted: which of its rows; neither ordered nor limited.
        cursor: where to go on.

    Raises:
        RefusedError: there is no row of that id.
    """
    number = table.c.number
    if cursor.after is not None:
        last = connection.scalar(select(number).where(table.c.id == cursor.after))
        if last is None:
            raise RefusedError(
                f"after: there is nothing with the id {cursor.after} here. Give the last_id of "
                "the page before.",
                param="after",
            )
        wanted = wanted.where(number > last if cursor.ascending else number < last)
    order = number.asc() if cursor.ascending else number.desc()
    chosen = wanted.order_by(order).limit(cursor.limit + 1)
    found: Sequence[RowMapping] = connection.execute(chosen).mappings().all()
    return Page(rows=tuple(found[: cursor.limit]), has_more=len(found) > cursor.limit)
