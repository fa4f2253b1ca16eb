import json
import re
import subprocess
import sys
from collections import Counter
from datetime import date
from pathlib import Path

import pytest
from openai import OpenAI

from chat_endpoint import Endpoint, completion
from example_projects import EXAMPLES, example_module, example_rows
from tunewise.data.prepare import prepare
from tunewise.project.load import load_project
from tunewise.serving.engine.schemas import check_schema

FOLDER = EXAMPLES / "order_forms"
ROWS = example_rows("order_forms")
SLIPS = example_rows("order_forms", "slips.jsonl")
METRIC = example_module("order_forms", "metric")
FORM = {
    "items": [{"product": "Ridge boots", "quantity": 1, "unit": "pair", "size": "43"}],
    "delivery": "standard",
    "date": None,
    "gift": False,
}
UNITS = {
    "Ridge boots": "pair",
    "Merino socks": "pair",
    "Pike trekking poles": "pair",
    "Y-pegs": "pack",
    "O-rings": "pack",
    "Guyline cord": "m",
    "Trail mix": "g",
}
SIZES = {
    "Drift sleeping bag": r"regular|long",
    "Cloud mat": r"standard|wide",
    "Tarn 65 backpack": r"(wo)?men's",
    "Otter kayak": r"[12]",
    "Gale jacket": r"(XS|S|M|L|XL|XXL)?",
    "Ridge boots": r"((3[6-9]|4[0-8])(\.5)?)?",
    "Merino socks": r"[SML]?",
}


def score(answer: object) -> float:
    text = answer if isinstance(answer, str) else json.dumps(answer)
    return METRIC.order_form(text, json.dumps(FORM))


# The orders


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_every_form_holds_schema_units_and_sizes(row: dict) -> None:
    form = json.dumps(row["output"])
    assert METRIC.order_form(form, form) == 1
    for item in row["output"]["items"]:
        assert item["unit"] == UNITS.get(item["product"], "piece")
        assert re.fullmatch(SIZES.get(item["product"], ""), item.get("size", ""))
        assert item["unit"] == "m" or item["quantity"] == int(item["quantity"]) > 0
    keys = [(item["product"], item.get("size")) for item in row["output"]["items"]]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_every_input_begins_with_its_day_and_no_date_lies_before_it(row: dict) -> None:
    found = re.match(r"Today is (\w+), ([0-9-]+)\.\n", row["input"])
    assert found is not None
    today = date.fromisoformat(found[2])
    assert found[1] == f"{today:%A}"
    wanted = row["output"]["date"]
    assert wanted is None or date.fromisoformat(wanted) >= today


def test_orders_are_many_and_of_every_kind() -> None:
    assert len({row["input"] for row in ROWS}) == len(ROWS) >= 240
    forms = [row["output"] for row in ROWS]
    assert min(Counter(form["delivery"] for form in forms).values()) >= 15
    assert min(Counter(form["gift"] for form in forms).values()) >= 15
    assert min(Counter(form["date"] is None for form in forms).values()) >= 60
    products = Counter(item["product"] for form in forms for item in form["items"])
    known = METRIC.SCHEMA["properties"]["items"]["items"]["properties"]["product"]["enum"]
    assert set(products) == set(known)
    assert min(products.values()) >= 14


# The score


def test_a_form_scores_the_share_of_its_fields_that_are_right() -> None:
    assert score(FORM) == 1
    assert score("```json\n" + json.dumps(FORM) + "\n```") == 1
    assert 0 < score({**FORM, "gift": True}) < 1
    assert score({**FORM, "gift": True, "delivery": "express"}) < score({**FORM, "gift": True})


@pytest.mark.parametrize(
    "answer",
    [
        "One pair of boots in 43.",
        {key: value for key, value in FORM.items() if key != "gift"},
        {**FORM, "note": "thanks"},
        {**FORM, "delivery": "drone"},
        {**FORM, "gift": "no"},
        {**FORM, "date": "Friday"},
        {**FORM, "items": [{**FORM["items"][0], "product": "boots"}]},
        {**FORM, "items": [{**FORM["items"][0], "quantity": "1"}]},
        {**FORM, "items": [{**FORM["items"][0], "size": 43}]},
        [FORM],
    ],
)
def test_what_breaks_the_schema_scores_0(answer: object) -> None:
    assert score(answer) == 0


def test_the_server_can_keep_answers_to_the_schema() -> None:
    check_schema(METRIC.SCHEMA)


# Slips


def test_slips_change_letters_and_no_figures() -> None:
    orders = {row["id"]: row["input"] for row in ROWS}
    assert len({row["id"] for row in SLIPS}) == len(SLIPS) == 60
    for row in SLIPS:
        plain, typed = orders[row["id"]], row["input"]
        assert typed != plain
        assert typed.split("\n")[0] == plain.split("\n")[0]
        assert re.findall(r"\d+", typed) == re.findall(r"\d+", plain)


def test_orders_with_slips_are_sealed_test_rows() -> None:
    sealed = {row.id for row in prepare(load_project(FOLDER)).splits.test}
    assert {row["id"] for row in SLIPS} <= sealed


def test_agreement_counts_equal_forms(tmp_path: Path) -> None:
    turned = dict(reversed(FORM.items()))
    sets = {
        "plain.jsonl": {"a": FORM, "b": FORM, "c": "boots", "d": FORM, "only here": FORM},
        "slipped.jsonl": {"a": turned, "b": {**FORM, "gift": True}, "c": "boots", "d": FORM},
    }
    for name, answers in sets.items():
        rows = [
            {"id": key, "answer": value if isinstance(value, str) else json.dumps(value)}
            for key, value in answers.items()
        ]
        (tmp_path / name).write_text("\n".join(json.dumps(row) for row in rows))
    files = [str(tmp_path / name) for name in sets]
    command = [sys.executable, str(FOLDER / "agreement.py"), *files]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed.splitlines() == [
        "2 of 4 agree (50.0%).",
        "No valid form: 1 in the first set, 1 in the second.",
        "Apart: b, c",
    ]


@pytest.mark.parametrize("enforced", [False, True])
def test_the_model_is_asked_for_the_orders_of_the_slips(tmp_path: Path, enforced: bool) -> None:
    endpoint = Endpoint()
    endpoint.reply = lambda asked: completion(json.dumps(FORM))
    client = OpenAI(base_url=endpoint.url, api_key="any", max_retries=0)
    example_module("order_forms", "ask").ask(
        client, "forms@1", FOLDER / "examples.jsonl", tmp_path / "out.jsonl", enforced=enforced
    )
    answers = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["id"] for row in answers] == [row["id"] for row in SLIPS]
    assert {row["answer"] for row in answers} == {json.dumps(FORM)}
    formats = [body.get("response_format") for body in endpoint.bodies]
    assert all((kept is not None) is enforced for kept in formats)
    assert not enforced or formats[0]["json_schema"]["schema"] == METRIC.SCHEMA
