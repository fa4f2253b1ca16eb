"""Builds the orders database of Harrow & Pine, a fictional shop for outdoor gear.

The products are written by hand; customers, orders and returns are drawn from a fixed seed. Only
`random.random` is used of the generator, whose sequence Python promises to keep: every machine and
every version of Python builds the same rows. No date lies after `TODAY`, and no clock is read.

    python database.py shop.sqlite
"""

import random
import sqlite3
import sys
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

TODAY = "2026-10-01"
"""The day on which the shop lives; nothing in the database happened later."""
TABLES = ("products", "customers", "orders", "order_lines", "returns")
SEED = 1987
FIRST_DAY = date(2024, 1, 2)
LAST_DAY = date(2026, 9, 30)
CUSTOMERS = 400
ORDERS = 2000
FIRST_ORDER = 30001

SCHEMA = """
CREATE TABLE products (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    category TEXT NOT NULL,
    price REAL NOT NULL,       -- pounds, today's price of one
    weight_g INTEGER,          -- NULL: has no weight (vouchers, repairs)
    launched TEXT NOT NULL,    -- day of the first sale
    discontinued TEXT          -- day of the last sale; NULL: still sold
);
CREATE TABLE customers (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    city TEXT NOT NULL,
    country TEXT NOT NULL,
    joined TEXT NOT NULL,
    newsletter INTEGER NOT NULL CHECK (newsletter IN (0, 1)),
    referred_by INTEGER REFERENCES customers (id)  -- NULL: by nobody
);
CREATE TABLE orders (
    id INTEGER PRIMARY KEY,    -- the customer sees it as HP-30001
    customer_id INTEGER NOT NULL REFERENCES customers (id),
    ordered TEXT NOT NULL,
    shipped TEXT,              -- NULL: not shipped
    delivered TEXT,            -- NULL: not delivered
    status TEXT NOT NULL CHECK (status IN ('open', 'shipped', 'delivered', 'cancelled')),
    channel TEXT NOT NULL CHECK (channel IN ('web', 'app', 'phone', 'store')),
    voucher TEXT,              -- code; NULL: none
    shipping REAL NOT NULL     -- pounds, 0 where free
);
CREATE TABLE order_lines (
    order_id INTEGER NOT NULL REFERENCES orders (id),
    product_id INTEGER NOT NULL REFERENCES products (id),
    quantity INTEGER NOT NULL CHECK (quantity > 0),
    unit_price REAL NOT NULL,  -- pounds, what one cost in this order
    PRIMARY KEY (order_id, product_id)
);
CREATE TABLE returns (
    id INTEGER PRIMARY KEY,
    order_id INTEGER NOT NULL REFERENCES orders (id),
    product_id INTEGER NOT NULL REFERENCES products (id),
    quantity INTEGER NOT NULL CHECK (quantity > 0),
    returned TEXT NOT NULL,
    reason TEXT NOT NULL,
    refund REAL                -- pounds; NULL: not paid yet
);
"""

# name, category, price, weight in grams, launched, discontinued, how well it sells
PRODUCTS: Sequence[tuple[str, str, float, int | None, str, str | None, int]] = (
    ("Kestrel 2 tent", "tents", 329.0, 1840, "2021-03-01", None, 7),
    ("Marlow 4 tent", "tents", 449.0, 13600, "2019-04-15", None, 4),
    ("Shrike 1 tent", "tents", 289.0, 1190, "2025-02-20", None, 4),
    ("Heron tarp", "tents", 95.0, 640, "2022-05-10", None, 4),
    ("Dunlin 3 tent", "tents", 379.0, 3450, "2018-03-01", "2025-08-31", 2),
    ("Kestrel groundsheet", "tents", 39.0, 290, "2021-03-01", None, 4),
    ("Y-pegs, pack of 7", "tents", 12.5, 98, "2020-01-10", None, 9),
    ("Guyline set", "tents", 9.5, 60, "2020-01-10", None, 5),
    ("Drift sleeping bag", "sleeping", 265.0, 980, "2020-09-01", None, 6),
    ("Cloud mat", "sleeping", 129.0, 465, "2022-02-01", None, 7),
    ("Skein quilt", "sleeping", 219.0, 610, "2024-10-07", None, 3),
    ("Hush pillow", "sleeping", 24.0, 85, "2021-06-01", None, 7),
    ("Silk liner", "sleeping", 49.0, 125, "2020-03-15", None, 4),
    ("Fell foam mat", "sleeping", 32.0, 380, "2017-02-01", "2024-12-31", 3),
    ("Bairn sleeping bag", "sleeping", 79.0, 890, "2023-04-01", None, 2),
    ("Tarn 65 backpack", "packs", 189.0, 2150, "2019-03-01", None, 5),
    ("Wren 22 daypack", "packs", 69.0, 595, "2018-05-01", None, 8),
    ("Linnet 35 backpack", "packs", 119.0, 1120, "2024-03-18", None, 5),
    ("Wren rain cover", "packs", 15.0, 70, "2019-01-15", None, 6),
    ("Dry bag 13 l", "packs", 17.5, 64, "2020-04-01", None, 8),
    ("Dry bag 35 l", "packs", 27.5, 118, "2020-04-01", None, 4),
    ("Hip pouch", "packs", 29.0, 150, "2025-06-01", None, 3),
    ("Ridge boots", "footwear", 235.0, 1540, "2017-01-01", None, 8),
    ("Scree shoes", "footwear", 139.0, 760, "2023-09-01", None, 6),
    ("Burn sandals", "footwear", 59.0, 520, "2022-05-01", "2025-09-30", 3),
    ("Merino socks", "footwear", 18.0, 76, "2019-09-01", None, 12),
    ("Beeswax dressing", "footwear", 8.5, 72, "2017-01-01", None, 7),
    ("Snow gaiters", "footwear", 54.0, 310, "2021-10-01", None, 2),
    ("Gale jacket", "clothing", 279.0, 412, "2022-08-15", None, 7),
    ("Gale snow skirt", "clothing", 35.0, 85, "2022-08-15", None, 1),
    ("Larch fleece", "clothing", 85.0, 340, "2020-09-01", None, 6),
    ("Rowan trousers", "clothing", 98.0, 390, "2021-04-01", None, 5),
    ("Merino base layer", "clothing", 64.0, 190, "2020-09-01", None, 6),
    ("Ptarmigan down jacket", "clothing", 245.0, 395, "2025-10-01", None, 3),
    ("Wool hat", "clothing", 22.0, 58, "2018-10-01", None, 5),
    ("Liner gloves", "clothing", 19.5, 44, "2020-10-01", None, 5),
    ("Spray-on proofer", "clothing", 14.0, 330, "2019-01-01", None, 5),
    ("Ember stove", "cooking", 59.0, 187, "2020-06-01", None, 8),
    ("Gas canister 230 g", "cooking", 7.5, 380, "2018-01-01", None, 14),
    ("Cinder pot 1.2 l", "cooking", 45.0, 210, "2021-05-15", None, 5),
    ("Titanium mug", "cooking", 29.5, 88, "2022-03-01", None, 6),
    ("Long spoon", "cooking", 9.0, 17, "2022-03-01", None, 7),
    ("Windshield", "cooking", 18.0, 230, "2020-06-01", "2026-03-31", 2),
    ("Coffee dripper", "cooking", 12.0, 34, "2024-05-02", None, 4),
    ("Brook filter", "water", 42.0, 74, "2021-04-01", None, 8),
    ("Brook pouch 1 l, pair", "water", 14.0, 62, "2021-04-01", None, 5),
    ("Steel bottle 0.75 l", "water", 26.0, 310, "2019-06-01", None, 6),
    ("Hydration bladder 2 l", "water", 34.0, 165, "2020-02-01", None, 3),
    ("Lumen headlamp", "lights", 54.0, 88, "2020-10-01", None, 9),
    ("Lumen battery", "lights", 16.0, 46, "2020-10-01", None, 5),
    ("Glow lantern", "lights", 38.0, 245, "2023-10-15", None, 4),
    ("Finch watch", "navigation", 299.0, 52, "2021-11-01", None, 5),
    ("Finch strap", "navigation", 19.0, 21, "2021-11-01", None, 3),
    ("Compass", "navigation", 33.0, 40, "2018-03-01", None, 4),
    ("Map case", "navigation", 16.5, 110, "2018-03-01", None, 3),
    ("Pike trekking poles", "navigation", 89.0, 488, "2019-05-01", None, 6),
    ("Otter kayak", "boats", 649.0, 13700, "2021-05-01", None, 2),
    ("Teal paddle", "boats", 119.0, 980, "2021-05-01", None, 3),
    ("Buoyancy vest", "boats", 99.0, 720, "2022-04-15", None, 2),
    ("Plover packraft", "boats", 799.0, 2900, "2026-04-01", None, 1),
    ("Gift voucher", "services", 50.0, None, "2017-01-01", None, 4),
    ("Boot resoling", "services", 75.0, None, "2018-01-01", None, 2),
)

FIRST_NAMES = (
    "Ada Alasdair Amara Anouk Beatrix Bjarne Bram Bronwen Callum Caoimhe Carys Cees Clemens Cormac "
    "Dafydd Dilys Edda Eilidh Emlyn Esme Fenna Ferdia Finlay Florian Greta Hamish Hanneke Hedda "
    "Idris Imke Iona Isolde Jasper Joost Kerr Kiran Klaas Leonie Linnea Lorcan Mabel Maelle Mairi "
    "Matthis Nadira Niamh Odile Orla Oskar Pim Priya Quentin Rhona Rosalind Saoirse Silke Tamsin "
    "Tobias Una Wanda"
)
LAST_NAMES = (
    "Achterberg Aldercott Ashgrove Barrowmere Birkholz Blackmoss Bramfield Brannagh Corriemuir "
    "Dalwhin Delcourbe Drumfearn Eikenhorst Fallowby Fernsby Gorsedale Grasmuck Hagendoorn "
    "Haverlock Hollindrake Inchmarlo Kelderman Killerane Kirkbride Lachlane Larkspire Lindqvoort "
    "Lochridge Marchetoile Mosswater Nettlefold Oakhanger Osterwald Pennyghael Quayle Ravenscar "
    "Rookwith Sandveld Sorrelby Stonegarth Tannenhof Thistleby Tolland Trevanick Underhay Valdorne "
    "Whinfell Wolkers Yarrowby Zomerdijk"
)
# city, country, how many customers come from there
CITIES: Sequence[tuple[str, str, int]] = (
    ("Leeds", "UK", 9),
    ("Kendal", "UK", 8),
    ("Bristol", "UK", 8),
    ("Glasgow", "UK", 8),
    ("Edinburgh", "UK", 6),
    ("Cardiff", "UK", 5),
    ("Sheffield", "UK", 7),
    ("Inverness", "UK", 4),
    ("Truro", "UK", 2),
    ("Belfast", "UK", 4),
    ("Dublin", "Ireland", 6),
    ("Cork", "Ireland", 4),
    ("Galway", "Ireland", 3),
    ("Hamburg", "Germany", 5),
    ("Freiburg", "Germany", 3),
    ("Leipzig", "Germany", 3),
    ("Utrecht", "Netherlands", 4),
    ("Groningen", "Netherlands", 2),
    ("Lyon", "France", 3),
    ("Grenoble", "France", 3),
    ("Bergen", "Norway", 1),
)
CHANNELS = (("web", 50), ("app", 27), ("phone", 9), ("store", 14))
VOUCHERS: Sequence[tuple[str | None, int]] = (
    (None, 80),
    ("WELCOME5", 8),
    ("SPRING10", 6),
    ("PINE20", 3),
    ("STAFF30", 1),
)
DISCOUNTS = {None: 0, "WELCOME5": 5, "SPRING10": 10, "PINE20": 20, "STAFF30": 30}
"""Per cent off every line."""
MONTHS = (4, 4, 6, 8, 10, 11, 11, 9, 7, 5, 8, 10)
"""How many orders each month takes, January first."""
REASONS = (
    ("too small", 5),
    ("too big", 4),
    ("broken", 4),
    ("changed mind", 6),
    ("wrong item", 2),
    ("arrived late", 1),
)
SIZED = ("footwear", "clothing")


class Dice:
    """Draws from `random.random` alone, so that no version of Python draws otherwise."""

    def __init__(self, seed: int) -> None:
        self._next: Callable[[], float] = random.Random(seed).random

    def below(self, end: int) -> int:
        """A whole number from 0 to end - 1."""
        return int(self._next() * end)

    def chance(self, per_cent: int) -> bool:
        """True so many times in a hundred."""
        return self.below(100) < per_cent

    def weighted(self, choices: Sequence[tuple[T, int]]) -> T:
        """One of the values, by weight."""
        place = self.below(sum(weight for _, weight in choices))
        for value, weight in choices:
            place -= weight
            if place < 0:
                return value
        raise AssertionError("the weights are all zero")


def build(path: Path) -> None:
    """Writes the database to a file that does not exist yet.

    Raises:
        FileExistsError: there is a file already.
    """
    with path.open("xb"):
        pass
    connection = sqlite3.connect(path)
    try:
        connection.executescript(SCHEMA)
        _fill(connection, Dice(SEED))
        connection.commit()
    finally:
        connection.close()


def _fill(connection: sqlite3.Connection, dice: Dice) -> None:
    connection.executemany(
        "INSERT INTO products VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(number, *product[:6]) for number, product in enumerate(PRODUCTS, start=1)],
    )
    joined = _customers(connection, dice)
    buyers = [(number, 1 + dice.below(6) ** 2) for number in joined if not dice.chance(9)]
    for number, day in enumerate(_order_days(dice), start=FIRST_ORDER):
        members = [(one, weight) for one, weight in buyers if joined[one] <= day]
        _order(connection, dice, number, dice.weighted(members), day)


def _customers(connection: sqlite3.Connection, dice: Dice) -> dict[int, date]:
    """Writes the customers; gives the day on which each joined."""
    first, last = FIRST_NAMES.split(), LAST_NAMES.split()
    names: list[str] = []
    while len(names) < CUSTOMERS:
        name = f"{first[dice.below(len(first))]} {last[dice.below(len(last))]}"
        if name not in names:
            names.append(name)
    joined: dict[int, date] = {}
    day = date(2023, 6, 1)
    for number, name in enumerate(names, start=1):
        # A fifth of them joined before the first order.
        day += timedelta(days=dice.below(7) if number > CUSTOMERS // 5 else dice.below(5))
        day = min(day, LAST_DAY)
        city, country = dice.weighted([((city, land), share) for city, land, share in CITIES])
        referred = 1 + dice.below(number - 1) if number > 20 and dice.chance(22) else None
        connection.execute(
            "INSERT INTO customers VALUES (?, ?, ?, ?, ?, ?, ?)",
            (number, name, city, country, str(day), int(dice.chance(55)), referred),
        )
        joined[number] = day
    return joined


def _order_days(dice: Dice) -> list[date]:
    """The day of every order, the earliest first: busy months, and a shop that grows."""
    span = (LAST_DAY - FIRST_DAY).days + 1
    days: list[date] = []
    for offset in range(span):
        day = FIRST_DAY + timedelta(days=offset)
        days += [day] * (MONTHS[day.month - 1] * (2 + day.year - 2024))
    return sorted(days[dice.below(len(days))] for _ in range(ORDERS))


def _order(
    connection: sqlite3.Connection, dice: Dice, number: int, customer: int, day: date
) -> None:
    channel = dice.weighted(CHANNELS)
    voucher = None if channel == "store" else dice.weighted(VOUCHERS)
    lines = _lines(dice, day, DISCOUNTS[voucher])
    value = sum(quantity * price for _, quantity, price in lines)
    shipping = 0.0 if channel == "store" or value >= 100 else 7.95 if dice.chance(20) else 3.95
    shipped, delivered, status = _progress(dice, day, channel)
    days = (str(day), shipped and str(shipped), delivered and str(delivered))
    connection.execute(
        "INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (number, customer, *days, status, channel, voucher, shipping),
    )
    connection.executemany(
        "INSERT INTO order_lines VALUES (?, ?, ?, ?)", [(number, *line) for line in lines]
    )
    if delivered:
        for line in lines:
            if PRODUCTS[line[0] - 1][1] == "services":
                continue
            if dice.chance(16 if PRODUCTS[line[0] - 1][1] in SIZED else 7):
                _return(connection, dice, number, line, delivered)


def _lines(dice: Dice, day: date, discount: int) -> list[tuple[int, int, float]]:
    """Product, quantity and price of one, for each line of an order."""
    sold = [
        (place, product[6])
        for place, product in enumerate(PRODUCTS, start=1)
        if product[4] <= str(day) <= (product[5] or TODAY)
    ]
    wanted = {dice.weighted(sold) for _ in range(dice.weighted(((1, 9), (2, 6), (3, 4), (5, 1))))}
    lines: list[tuple[int, int, float]] = []
    for place in sorted(wanted):
        price = PRODUCTS[place - 1][2]
        pence = round(price * 100) * (100 - discount)
        if day.year == 2024:  # prices rose by about 5% in 2025
            pence = pence * 95 // 100
        quantity = dice.weighted(((1, 16), (2, 3), (3, 1), (4, 1))) if price < 60 else 1
        quantity += price >= 60 and dice.chance(6)
        lines.append((place, quantity, pence // 100 / 100))
    return lines


def _progress(dice: Dice, day: date, channel: str) -> tuple[date | None, date | None, str]:
    """Day of shipping, day of delivery, status."""
    if dice.chance(6) and channel != "store":
        return None, None, "cancelled"
    if channel == "store":
        return day, day, "delivered"
    slow = dice.chance(8)
    shipped = day + timedelta(days=dice.below(9) + 4 if slow else dice.below(4))
    delivered = shipped + timedelta(days=1 + dice.below(5) + (dice.below(9) if slow else 0))
    waits = dice.chance(1)  # out of stock, wherever in time
    if waits or shipped > LAST_DAY:
        return None, None, "open"
    if delivered > LAST_DAY or dice.chance(1):  # or lost on the way
        return shipped, None, "shipped"
    return shipped, delivered, "delivered"


def _return(
    connection: sqlite3.Connection,
    dice: Dice,
    order: int,
    line: tuple[int, int, float],
    delivered: date,
) -> None:
    product, bought, price = line
    day = delivered + timedelta(days=2 + dice.below(27))
    if day > LAST_DAY:
        return
    sized = PRODUCTS[product - 1][1] in SIZED
    reason = dice.weighted([one for one in REASONS if sized or not one[0].startswith("too")])
    quantity = 1 + dice.below(bought)
    waits = dice.chance(7) or (LAST_DAY - day).days < 6
    refund = None if waits else round(quantity * price, 2)
    connection.execute(
        "INSERT INTO returns (order_id, product_id, quantity, returned, reason, refund) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (order, product, quantity, str(day), reason, refund),
    )


if __name__ == "__main__":
    build(Path(sys.argv[1]))
