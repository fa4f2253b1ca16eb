"""The shop's orders: what is known of a customer, and what an analyst's SELECT returns.

The database and the safe half of its metric are those of the project `shop_sql` beside this one.
"""

import importlib.util
import re
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from eshop.errors import DeskError

_SHOP_SQL = Path(__file__).resolve().parents[2] / "shop_sql"
_ORDER = re.compile(r"\b(HP[- ]?)?(\d{5})\b", re.IGNORECASE)
MAX_ORDERS = 4
"""Orders of a customer that a reply is told of."""


def _shop_sql(name: str) -> ModuleType:
    """A module of the project `shop_sql`, which is a folder of files and no package."""
    spec = importlib.util.spec_from_file_location(f"shop_sql_{name}", _SHOP_SQL / f"{name}.py")
    if spec is None or spec.loader is None or not (_SHOP_SQL / f"{name}.py").is_file():
        raise DeskError(f"{_SHOP_SQL} is missing. The desk runs within Tunewise's repository.")
    module = importlib.util.module_from_spec(spec)
    before = list(sys.path)
    sys.path.append(str(_SHOP_SQL))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path[:] = before
    return module


_metric = _shop_sql("metric")
build, TODAY, PRODUCTS = (
    _metric.database.build,
    _metric.database.TODAY,
    _metric.database.PRODUCTS,
)
select, without_fence, QueryError = _metric.select, _metric.without_fence, _metric.QueryError


@dataclass(frozen=True, kw_only=True, slots=True)
class Customer:
    """Somebody who ordered."""

    id: int
    name: str
    city: str
    country: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Product:
    """A line of the catalogue."""

    name: str
    category: str
    price: float
    """Pounds."""
    sold: bool
    """Whether it is still sold."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownOrders:
    """What the orders say about a customer's message."""

    facts: Sequence[str]
    """A line an order: days, status, lines, returns."""
    foreign: Sequence[str]
    """Order numbers in the message that are not this customer's; nothing of them is told."""


class Shop:
    """The orders database, opened read-only for each question.

    Raises:
        DeskError: there is no such file.
    """

    def __init__(self, file: Path) -> None:
        if not file.is_file():
            raise DeskError(f"{file} is missing. Make it with: python -m eshop seed")
        self.file = file

    def customer(self, number: int | None) -> Customer | None:
        """The customer of a number."""
        rows = self._rows("SELECT id, name, city, country FROM customers WHERE id = ?", number)
        return Customer(**dict(rows[0])) if rows else None

    def products(self) -> list[Product]:
        """The whole catalogue."""
        rows = self._rows(
            "SELECT name, category, price, discontinued IS NULL AS sold FROM products ORDER BY id"
        )
        return [Product(**{**dict(row), "sold": bool(row["sold"])}) for row in rows]

    def orders_for(self, customer: int | None, text: str) -> KnownOrders:
        """The customer's orders that a text names; where it names none, the newest one.

        Order numbers are written HP-30001; a customer's own are known without HP- as well.
        """
        own = [row["id"] for row in self._rows(_IDS, customer)]
        found = [(bool(sign), int(number)) for sign, number in _ORDER.findall(text)]
        known = list(dict.fromkeys(number for _, number in found if number in own))
        foreign = dict.fromkeys(number for signed, number in found if signed and number not in own)
        if not known and not foreign:
            known = own[:1]
        return KnownOrders(
            facts=[self._fact(number) for number in known[:MAX_ORDERS]],
            foreign=[f"HP-{number}" for number in foreign],
        )

    def _fact(self, number: int) -> str:
        order = self._rows("SELECT * FROM orders WHERE id = ?", number)[0]
        lines = [
            f"{row['quantity']} x {row['name']} £{row['price']:.2f}"
            for row in self._rows(_LINES, number)
        ]
        days = [
            f"{what} {order[what]}" for what in ("ordered", "shipped", "delivered") if order[what]
        ]
        waits = {"open": ["not shipped yet"], "shipped": ["not delivered yet"]}
        days += waits.get(order["status"], []) + ["cancelled"] * (order["status"] == "cancelled")
        extras = [f"shipping £{order['shipping']:.2f}"] if order["shipping"] else []
        extras += [f"voucher {order['voucher']}"] if order["voucher"] else []
        for row in self._rows(_RETURNS, number):
            paid = "not paid yet" if row["refund"] is None else f"£{row['refund']:.2f} paid"
            extras.append(
                f"returned {row['returned']} ({row['reason']}): {row['quantity']} x {row['name']}, "
                f"money back {paid}"
            )
        return f"HP-{number}: {', '.join(days)}; {', '.join(lines)}" + "".join(
            f"; {extra}" for extra in extras
        )

    def _rows(self, sql: str, *values: object) -> list[sqlite3.Row]:
        uri = f"{self.file.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            return connection.execute(sql, values).fetchall()


_IDS = "SELECT id FROM orders WHERE customer_id = ? ORDER BY ordered DESC, id DESC"
_LINES = (
    "SELECT quantity, name, unit_price AS price FROM order_lines "
    "JOIN products ON products.id = product_id WHERE order_id = ? ORDER BY products.id"
)
_RETURNS = (
    "SELECT quantity, name, returned, reason, refund FROM returns "
    "JOIN products ON products.id = product_id WHERE order_id = ? ORDER BY returns.id"
)
