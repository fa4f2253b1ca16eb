import pytest

from tunewise.evaluation.json_answers import canonical, flatten, parse_object


def test_parse_object_keeps_the_order_of_fields() -> None:
    parsed = parse_object('{"category": "refund", "urgency": 2, "product": null}')
    assert parsed is not None
    assert list(parsed) == ["category", "urgency", "product"]


@pytest.mark.parametrize("text", ["[1]", "2", "", "{", 'Here: {"a": 1}', '{"a": NaN}'])
def test_what_is_no_object_is_none(text: str) -> None:
    assert parse_object(text) is None


def test_nested_fields_are_paths() -> None:
    fields = list(flatten({"slots": {"city": "Rome", "days": [1, 2]}, "tags": [], "more": {}}))
    assert fields == [
        ("slots.city", "string", "rome"),
        ("slots.days[]", "number", 1),
        ("slots.days[]", "number", 2),
        ("tags", "list", None),
        ("more", "object", None),
    ]


def test_the_order_of_keys_does_not_count_but_true_is_not_1() -> None:
    assert canonical({"a": 1, "b": "x"}) == canonical({"b": "x", "a": 1})
    assert canonical({"a": True}) != canonical({"a": 1})
