import json
from decimal import Decimal

import pytest

from tunewise.metrics.json_answers import Exact, canonical, leaves, parse_json, parse_object


def test_parse_object_keeps_the_order_of_fields() -> None:
    parsed = parse_object('{"category": "refund", "urgency": 2, "product": null}')
    assert parsed is not None
    assert list(parsed) == ["category", "urgency", "product"]


@pytest.mark.parametrize("text", ["[1]", "2", "", "{", 'Here: {"a": 1}', '{"a": NaN}'])
def test_what_is_no_object_is_none(text: str) -> None:
    assert parse_object(text) is None


def of(text: str) -> Exact:
    parsed = parse_json(text)
    assert parsed is not None
    return parsed.value


def test_nested_fields_are_paths() -> None:
    found = leaves(of('{"slots": {"city": "Rome", "days": [1, 2]}, "tags": [], "more": {}}'))
    assert [(leaf.place, leaf.kind, leaf.value) for leaf in found] == [
        ("slots.city", "text", "rome"),
        ("slots.days[]", "number", 1),
        ("slots.days[]", "number", 2),
        ("tags", "list", None),
        ("more", "object", None),
    ]


def test_a_key_with_a_dot_is_not_a_nested_key() -> None:
    assert list(leaves(of('{"a.b": 1}'))) != list(leaves(of('{"a": {"b": 1}}')))


def test_the_order_of_keys_does_not_count_but_true_is_not_1() -> None:
    assert canonical(of('{"a": 1, "b": "x"}')) == canonical(of('{"b": "x", "a": 1}'))
    assert canonical(of('{"a": true}')) != canonical(of('{"a": 1}'))


def test_the_order_of_a_list_counts_unless_it_is_said_not_to() -> None:
    one, other = of("[1, [2, 3]]"), of("[[3, 2], 1.0]")
    assert canonical(one) != canonical(other)
    assert canonical(one, ordered=False) == canonical(other, ordered=False)


def test_numbers_are_exact() -> None:
    assert of("9007199254740993") == Decimal("9007199254740993")
    assert canonical(of("9007199254740993")) != canonical(of("9007199254740992.0"))
    assert canonical(of("0.1")) == canonical(of("0.10")) == canonical(of("1e-1"))
    assert canonical(of("1e999")) != canonical(of("2e999"))


def test_a_whole_number_of_an_object_is_an_int_however_it_is_written() -> None:
    assert json.dumps(parse_object('{"a": 4.0, "b": 1e2, "c": 0.50}')) == (
        '{"a": 4, "b": 100, "c": 0.5}'
    )


def test_neither_long_numbers_nor_depth_raise() -> None:
    assert parse_object('{"a": 1e999}') is None
    assert parse_object(f'{{"a": {"9" * 5_000}}}') is None
    assert parse_json(f'{{"a": {"[" * 101 + "]" * 101}}}') is None
    assert parse_json("1e99999999999999999999") is None
    assert of("9" * 5_000) == Decimal("9" * 5_000)
