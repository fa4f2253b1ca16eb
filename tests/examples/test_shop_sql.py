import hashlib
import json
import sqlite3
from collections import Counter
from pathlib import Path

import pytest

from example_projects import EXAMPLES, example_module, example_rows
from tunewise.metrics.by_name import metric_named

ROWS = example_rows("shop_sql")
METRIC = example_module("shop_sql", "metric")
DATABASE = example_module("shop_sql", "database")
CONTENT = "55eddb95e6f4eebe6f801a977a7745c681886023277aa9152603356339b269f2"
COUNT = "SELECT COUNT(*) FROM orders"
BOMB = "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT COUNT(*) FROM t"


def content(path: Path) -> str:
    """A fingerprint of every row."""
    connection = sqlite3.connect(path)
    rows = [
        connection.execute(f"SELECT * FROM {table} ORDER BY rowid").fetchall()
        for table in DATABASE.TABLES
    ]
    connection.close()
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def same(answer: str, target: str) -> bool:
    return METRIC.sql_rows(answer, target)


# The database


def test_every_machine_builds_the_same_database(tmp_path: Path) -> None:
    DATABASE.build(tmp_path / "shop.sqlite")
    assert content(tmp_path / "shop.sqlite") == CONTENT


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "shop.sqlite").write_text("mine")
    with pytest.raises(FileExistsError):
        DATABASE.build(tmp_path / "shop.sqlite")
    assert (tmp_path / "shop.sqlite").read_text() == "mine"


@pytest.mark.parametrize(
    ("what", "wrong"),
    [
        ("an order before its customer joined", "ordered < joined"),
        ("shipped before it was ordered", "shipped < ordered"),
        ("delivered before it was shipped", "delivered < shipped"),
        ("a day that is still to come", f"max(ordered, delivered) >= '{DATABASE.TODAY}'"),
        ("a cancelled order that was shipped", "status = 'cancelled' AND shipped IS NOT NULL"),
        ("delivered without a day", "(status = 'delivered') <> (delivered IS NOT NULL)"),
    ],
)
def test_no_order_tells_what_cannot_be(what: str, wrong: str) -> None:
    joined = "FROM orders JOIN customers ON customers.id = customer_id"
    assert METRIC.select(f"SELECT COUNT(*) {joined} WHERE {wrong}", METRIC.shop()) == [(0,)], what


def test_no_more_is_returned_than_was_delivered_and_bought() -> None:
    sql = (
        "SELECT COUNT(*) FROM returns r JOIN orders o ON o.id = r.order_id LEFT JOIN order_lines l "
        "ON l.order_id = r.order_id AND l.product_id = r.product_id "
        "WHERE l.quantity IS NULL OR r.quantity > l.quantity OR o.delivered IS NULL "
        "OR r.returned < o.delivered"
    )
    assert METRIC.select(sql, METRIC.shop()) == [(0,)]


# The questions


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_every_reference_returns_rows_and_is_right_by_its_own_measure(row: dict[str, str]) -> None:
    assert METRIC.select(row["output"], METRIC.shop())
    assert same(row["output"], row["output"])


def test_questions_are_many_of_every_level_and_none_twice() -> None:
    assert len(ROWS) >= 240
    assert len({row["input"] for row in ROWS}) == len({row["output"] for row in ROWS}) == len(ROWS)
    assert min(Counter(row["level"] for row in ROWS).values()) >= 60


def test_no_reference_reads_a_clock() -> None:
    assert [row["id"] for row in ROWS if "now" in row["output"].lower().split("'")] == []


def test_the_project_names_this_metric() -> None:
    metric = metric_named("metric:sql_rows", folder=EXAMPLES / "shop_sql")
    assert metric is not None


# The score


@pytest.mark.parametrize(
    "answer",
    [
        "select count(*) from orders",
        "SELECT COUNT(id) AS how_many FROM Orders;",
        "SELECT 2000",
        "SELECT 2000.00000001",
        "```sql\nSELECT COUNT(*) FROM orders;\n```",
        "WITH o AS (SELECT * FROM orders) SELECT COUNT(*) FROM o",
        "/* all */ SELECT COUNT(*) FROM orders -- of them",
    ],
)
def test_an_answer_is_right_when_it_returns_the_same_rows(answer: str) -> None:
    assert same(answer, COUNT)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "There are 2000 orders.",
        "SELECT '2000'",
        "SELECT 1999",
        "SELECT 2000, 2000",
        "SELECT 2000 UNION ALL SELECT 2000",
        "SELECT 2000 WHERE 0",
        "SELECT COUNT(*) FROM order",
        "The query is: SELECT COUNT(*) FROM orders",
    ],
)
def test_an_answer_is_wrong_when_it_returns_others_or_none(answer: str) -> None:
    assert not same(answer, COUNT)


def test_rows_count_as_often_as_they_come() -> None:
    assert not same("SELECT DISTINCT city FROM customers", "SELECT city FROM customers")


def test_columns_count_by_their_place() -> None:
    pair = "SELECT name, price FROM products"
    assert same("SELECT name AS x, price AS y FROM products", pair)
    assert not same("SELECT price, name FROM products", pair)


def test_the_order_of_rows_counts_only_where_the_reference_sorts() -> None:
    backwards = "SELECT name FROM products ORDER BY name DESC"
    assert same(backwards, "SELECT name FROM products")
    assert not same(backwards, "SELECT name FROM products ORDER BY name")


@pytest.mark.parametrize(
    ("sql", "is_sorted"),
    [
        ("SELECT id FROM orders ORDER BY ordered", True),
        ("SELECT id FROM (SELECT id FROM orders) order\nby id", True),
        ("SELECT id FROM (SELECT id FROM orders ORDER BY id)", False),
        ("SELECT RANK() OVER (ORDER BY (price)) FROM products", False),
        ("SELECT 'ORDER BY' FROM orders -- ORDER BY id", False),
    ],
)
def test_a_result_is_sorted_by_what_stands_outside_of_all_brackets(
    sql: str, is_sorted: bool
) -> None:
    assert METRIC.is_sorted(sql) is is_sorted


@pytest.mark.parametrize("target", ["DROP TABLE orders", "SELECT x", "SELECT 1 WHERE 0", ""])
def test_a_reference_that_cannot_judge_is_an_error(target: str) -> None:
    with pytest.raises(METRIC.QueryError):
        same(COUNT, target)


# What is not trusted

HOSTILE = {
    "drop": "DROP TABLE orders",
    "delete": "DELETE FROM orders",
    "update": "UPDATE products SET price = 0",
    "insert": "INSERT INTO customers SELECT * FROM customers",
    "replace": "REPLACE INTO products SELECT * FROM products",
    "delete with": "WITH x AS (SELECT 1) DELETE FROM orders",
    "update with": "WITH x AS (SELECT 1) UPDATE orders SET status = 'open'",
    "create": "CREATE TABLE copies AS SELECT * FROM customers",
    "temporary": "CREATE TEMP TABLE copies AS SELECT 1",
    "attach": "ATTACH DATABASE '/tmp/other.sqlite' AS other",
    "detach": "DETACH DATABASE main",
    "vacuum": "VACUUM",
    "vacuum into": "VACUUM INTO '/tmp/copy.sqlite'",
    "pragma": "PRAGMA writable_schema = 1",
    "pragma function": "SELECT * FROM pragma_table_info('orders')",
    "pragma count": "SELECT COUNT(*) FROM pragma_table_list",
    "schema": "SELECT sql FROM sqlite_master",
    "schema count": "SELECT COUNT(*) FROM sqlite_master",
    "schema by a quoted name": 'SELECT COUNT(*) AS "sqlite_master AS (" FROM sqlite_master',
    "schema by a comment": "SELECT COUNT(*) FROM sqlite_schema /* WITH sqlite_schema AS ( */",
    "stacked": "SELECT 1; DROP TABLE orders",
    "stacked in a comment": "SELECT 1; -- \n DELETE FROM orders",
    "begin": "BEGIN EXCLUSIVE",
    "explain": "EXPLAIN SELECT COUNT(*) FROM orders",
    "bomb": BOMB,
    "bomb unsaid": BOMB.replace("RECURSIVE ", ""),
    "product": "SELECT COUNT(*) FROM orders a, orders b, order_lines c, order_lines d",
    "sorted product": "SELECT a.id FROM orders a, orders b, orders c ORDER BY a.ordered || b.id",
    "many rows": "SELECT a.id FROM orders a, customers b",
    "long text": "SELECT group_concat(a.name || b.name) FROM customers a, customers b",
    "growing text": "SELECT replace(replace(group_concat(name), 'a', city), 'e', city) "
    "FROM (SELECT a.name, group_concat(b.name) AS city FROM customers a, customers b)",
    "blob": "SELECT zeroblob(1000000000)",
    "random blob": "SELECT randomblob(1000000000)",
    "printf": "SELECT printf('%.*c', 1000000000, 'x')",
    "extension": "SELECT load_extension('/tmp/evil.so')",
    "file": "SELECT readfile('/etc/passwd')",
    "written file": "SELECT writefile('/tmp/x', 'x')",
    "other tables": "SELECT * FROM json_each('[1, 2]')",
    "null character": "SELECT 1\x00; DROP TABLE orders",
    "half a character": "SELECT '\ud800'",
    "long query": "SELECT 1" + " + 1" * 2000,
    "deep query": "SELECT " + "(" * 1500 + "1" + ")" * 1500,
    "many columns": "SELECT " + "1," * 1900 + "1" + " -- " + "x" * 200,
    "pattern": "SELECT name LIKE '" + "%a" * 900 + "' FROM customers",
    "values": "VALUES (2000)",
    "nothing": ";",
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("answer", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_answer_scores_0_and_leaves_everything_as_it_was(answer: str) -> None:
    before = METRIC.shop().read_bytes()
    beside = sorted(METRIC.shop().parent.iterdir())
    assert not same(answer, COUNT)
    assert METRIC.shop().read_bytes() == before
    assert sorted(METRIC.shop().parent.iterdir()) == beside
    assert same(COUNT, COUNT)


def test_only_tables_on_the_list_can_be_read(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "any.sqlite")
    connection.executescript(
        "CREATE TABLE open (x); CREATE TABLE keys (x); INSERT INTO open VALUES (1)"
    )
    connection.close()
    path = tmp_path / "any.sqlite"
    assert METRIC.select("SELECT x FROM open", path, tables=["open"]) == [(1,)]
    for sql in ("SELECT x FROM keys", "SELECT COUNT(*) FROM keys", "SELECT (SELECT x FROM keys)"):
        with pytest.raises(METRIC.QueryError):
            METRIC.select(sql, path, tables=["open"])


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError):
        METRIC.select("SELECT 1", tmp_path / "none.sqlite")
    assert list(tmp_path.iterdir()) == []
