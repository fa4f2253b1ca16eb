"""Makes the desk's two databases: the shop's orders, and the tickets written for the project."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from eshop import shop
from eshop.errors import DeskError
from eshop.tables import Message, Ticket

TICKETS = Path(__file__).resolve().parents[1] / "data" / "tickets.jsonl"


def seed_orders(file: Path) -> bool:
    """Builds the orders where there are none; whether it did."""
    try:
        shop.build(file)
    except FileExistsError:
        return False
    return True


def seed_tickets(engine: Engine, orders: shop.Shop, file: Path = TICKETS) -> int:
    """Adds the written tickets to a database without any; how many.

    Raises:
        DeskError: a ticket is of a customer that there is not.
    """
    with Session(engine) as session, session.begin():
        if session.scalar(select(func.count()).select_from(Ticket)):
            return 0
        rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
        session.add_all(_ticket(row, orders) for row in rows)
    return len(rows)


def _ticket(row: Mapping[str, Any], orders: shop.Shop) -> Ticket:
    number = row["customer_id"]
    customer = orders.customer(number)
    if number is not None and customer is None:
        raise DeskError(f"{row['id']}: there is no customer {number}.")
    return Ticket(
        subject=row["subject"],
        customer_id=number,
        customer=customer.name if customer else row["name"],
        opened=row["messages"][0]["sent"],
        closed=False,
        messages=[
            Message(author=turn["author"], sent=turn["sent"], text=turn["text"])
            for turn in row["messages"]
        ],
    )
