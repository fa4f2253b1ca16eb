import json
import unicodedata
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from places import ROOT
from tunewise.errors import UserError
from tunewise.metrics.by_name import metric_named

CASE = ROOT.parent / "shared/cases/11-number-formats/answers.json"


def value(metric: str, answer: str, target: str) -> float:
    return metric_named(metric).score(answer, target).value


def reason(metric: str, answer: str, target: str) -> str:
    return metric_named(metric).score(answer, target).reason or ""


# --- json_fields


TARGET = '{"category": "refund", "urgency": 2, "product": null}'


def test_json_fields_is_the_f1_over_fields() -> None:
    assert value("json_fields", TARGET, TARGET) == 1
    assert value("json_fields", '{"category": "refund", "urgency": 2}', TARGET) == pytest.approx(
        2 * 2 / (2 + 3)
    )
    wrong = '{"category": "refund", "urgency": 3, "product": null, "note": "x"}'
    judgement = metric_named("json_fields").score(wrong, TARGET)
    assert judgement.value == pytest.approx(2 * 2 / (4 + 3))
    assert judgement.reason == "differs in note, urgency"


@pytest.mark.parametrize(
    "answer",
    ["", "refund", "[1]", '{"a": 1', f"Here it is: {TARGET}", '{"a": NaN}', "[" * 100_000],
    ids=["empty", "word", "list", "cut", "prose", "NaN", "deep"],
)
def test_what_is_no_json_object_scores_0(answer: str) -> None:
    judgement = metric_named("json_fields").score(answer, TARGET)
    assert (judgement.value, judgement.reason) == (0, "not a JSON object")


def test_one_code_fence_around_the_object_is_allowed() -> None:
    assert value("json_fields", f"```json\n{TARGET}\n```", TARGET) == 1
    assert value("json_fields", f"\n```\n{TARGET}\n```\n", TARGET) == 1
    assert value("json_fields", f"```json\n{TARGET}\n```\nDone.", TARGET) == 0


@pytest.mark.parametrize(
    ("given", "same"),
    [
        ('{"a": 2.0}', True),
        ('{"a": "2"}', False),
        ('{"a": true}', False),
        ('{"a": null}', False),
        ('{"b": 2}', False),
    ],
)
def test_values_are_compared_with_their_types(given: str, same: bool) -> None:
    assert value("json_fields", given, '{"a": 2}') == float(same)


def test_true_is_not_1_in_either_direction() -> None:
    assert value("json_fields", '{"a": 1}', '{"a": true}') == 0
    assert value("exact_match", '{"a": 1}', '{"a": true}') == 0


def test_strings_in_fields_are_compared_without_case_and_extra_blanks() -> None:
    assert value("json_fields", '{"a": " kestrel  2 TENT "}', '{"a": "Kestrel 2 tent"}') == 1
    assert value("json_fields", '{"a": "Kestrel 4 tent"}', '{"a": "Kestrel 2 tent"}') == 0


def test_the_order_of_a_list_does_not_matter_but_how_often_an_item_occurs_does() -> None:
    assert value("json_fields", '{"a": [2, 1]}', '{"a": [1, 2]}') == 1
    assert value("json_fields", '{"a": [1, 1]}', '{"a": [1]}') == pytest.approx(2 / 3)


def test_an_empty_object_that_is_wanted_is_a_field_of_its_own() -> None:
    assert value("json_fields", "{}", "{}") == 1
    target = '{"intent": "x", "slots": {}}'
    assert value("json_fields", '{"intent": "x", "slots": {"a": 1}}', target) == 0.5


def test_a_target_that_is_no_object_is_an_error_for_the_user() -> None:
    with pytest.raises(UserError, match="json_fields needs targets that are JSON objects"):
        value("json_fields", TARGET, "refund")


def test_exact_match_of_objects_ignores_the_order_of_keys_but_not_case() -> None:
    assert value("exact_match", '{"b":2,"a":"X"}', '{"a": "X", "b": 2}') == 1
    assert value("exact_match", '{"b":2,"a":"x"}', '{"a": "X", "b": 2}') == 0


def test_exact_match_of_texts_collapses_white_space_only() -> None:
    assert value("exact_match", " 40  °C\n", "40 °C") == 1
    assert value("exact_match", "40 °c", "40 °C") == 0
    assert value("exact_match", "40 °C.", "40 °C") == 0


def test_json_fields_tells_apart_what_only_looks_flat_alike() -> None:
    pairs = '[{"who": "Ada", "age": 36}, {"who": "Alan", "age": 41}]'
    swapped = '[{"who": "Ada", "age": 41}, {"who": "Alan", "age": 36}]'
    judgement = metric_named("json_fields").score(f'{{"p": {swapped}}}', f'{{"p": {pairs}}}')
    assert 0 < judgement.value < 1
    assert judgement.reason == "the items of a list combine their values otherwise"
    turned = '[{"age": 41.0, "who": "Alan"}, {"who": "ADA", "age": 36}]'
    assert value("json_fields", f'{{"p": {turned}}}', f'{{"p": {pairs}}}') == 1
    assert value("json_fields", '{"a": [[1, 2], [3]]}', '{"a": [[1], [2, 3]]}') < 1
    assert value("json_fields", '{"a.b": 1}', '{"a": {"b": 1}}') == 0


# --- numbers


@pytest.mark.parametrize("metric", ["json_fields", "exact_match"])
@pytest.mark.parametrize(
    ("answer", "target", "same"),
    [
        ("7.0", "7", True),
        ("70e-1", "7", True),
        ("1E2", "100", True),
        ("2.50", "2.5", True),
        ("-0.0", "0", True),
        ("9007199254740993", "9007199254740993.0", True),
        ("9007199254740993", "9007199254740992", False),
        ("0.30000000000000004", "0.3", False),
        ("0.1234567890123456789012345678901", "0.1234567890123456789012345678902", False),
        ("1e400", "1e401", False),
        ('"7"', "7", False),
        ("true", "1", False),
        ("null", "0", False),
    ],
)
def test_a_number_is_its_value_in_objects_and_lists(
    metric: str, answer: str, target: str, same: bool
) -> None:
    assert value(metric, f'{{"n": [{answer}]}}', f'{{"n": [{target}]}}') == float(same)
    assert value(metric, f'{{"n": {answer}}}', f'{{"n": {target}}}') == float(same)


def test_exact_match_reads_lists_and_bare_numbers_as_json_too() -> None:
    assert value("exact_match", "[1.0, 2]", "[1, 2.0]") == 1
    assert value("exact_match", "[2, 1]", "[1, 2]") == 0
    assert reason("exact_match", "[2, 1]", "[1, 2]") == "the order of a list differs"
    assert value("exact_match", "12.50", "12.5") == 1
    assert reason("exact_match", "1 and 2", "[1, 2]") == "not a JSON list"


@pytest.mark.parametrize("metric", ["json_fields", "exact_match"])
def test_a_number_in_quotes_is_another_type_and_the_reason_says_so(metric: str) -> None:
    assert reason(metric, '{"n": "7", "m": 1}', '{"n": 7, "m": 1}') == (
        'differs in n ("7" (text) instead of 7 (a number))'
    )


@pytest.mark.parametrize(
    ("answer", "target"), [("80,000", "80000"), ("50$", "50"), ("1 000.0 €", "1000 €")]
)
def test_a_number_written_otherwise_in_a_text_is_wrong_and_the_reason_says_why(
    answer: str, target: str
) -> None:
    assert value("exact_match", answer, target) == 0
    assert "numbers within a text are compared as they are written" in reason(
        "exact_match", answer, target
    )


def test_other_texts_get_a_reason_too() -> None:
    assert reason("exact_match", "4", "40") == "differs in the value"
    assert reason("exact_match", "four", "40 days") == "'four' instead of '40 days'"
    assert reason("exact_match", "rome", "Rome") == "only the case differs from 'Rome'"


def test_the_answers_of_the_report_are_judged_as_it_says() -> None:
    if not CASE.exists():
        pytest.skip("the reported cases are not here")
    for answer, target, metric, right in json.loads(CASE.read_text("utf-8")):
        assert value(metric, answer, target) == right, (answer, target, metric)


# --- texts in JSON


@pytest.mark.parametrize("metric", ["json_fields", "exact_match"])
def test_texts_and_keys_in_json_are_equal_when_nobody_can_tell_them_apart(metric: str) -> None:
    target = '{"café": "it\'s “open”"}'
    answer = unicodedata.normalize("NFD", '{"café": "it’s \\"open\\"\u200b"}')
    assert value(metric, answer, target) == 1


# --- for all values

NUMBERS = st.one_of(
    st.integers(),
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


def written(value: Any, how: int) -> str:
    """JSON text of a value; `how` chooses among the ways to write a number."""
    match value:
        case dict():
            pairs = list(value.items())
            turned = pairs[::-1] if how % 2 else pairs
            return f"{{{', '.join(f'{json.dumps(k)}: {written(v, how)}' for k, v in turned)}}}"
        case list():
            return f"[{', '.join(written(item, how) for item in value)}]"
        case bool() | None | str():
            return json.dumps(value, ensure_ascii=bool(how % 2))
        case _:
            exact = Decimal(value)
            plain = format(exact, "f")
            decimal = plain if "." in plain else f"{plain}.0"
            return (plain, f"{decimal}00", f"{plain}e0", f"{plain}E+0")[how]


@given(
    st.dictionaries(st.text(max_size=5), VALUES, max_size=4),
    st.integers(0, 3),
    st.integers(0, 3),
)
@settings(max_examples=200)
def test_equal_json_values_are_right_under_every_metric_however_written(
    value_: dict[str, Any], one: int, other: int
) -> None:
    answer, target = written(value_, one), written(value_, other)
    for metric in ("json_fields", "exact_match"):
        assert value(metric, answer, target) == 1


@given(VALUES, VALUES)
@settings(max_examples=300)
def test_nothing_that_exact_match_calls_right_is_less_than_right_by_fields(
    one: Any, other: Any
) -> None:
    answer, target = (f'{{"a": {written(each, 0)}}}' for each in (one, other))
    if value("exact_match", answer, target) == 1:
        assert value("json_fields", answer, target) == 1


@given(st.lists(st.lists(st.integers(0, 2), max_size=3), max_size=3), st.data())
@settings(max_examples=300)
def test_json_fields_is_1_only_when_the_lists_hold_the_same_items(
    lists: list[list[int]], data: st.DataObject
) -> None:
    other = data.draw(st.permutations([n for one in lists for n in one]))
    cut = data.draw(st.integers(0, len(other)))
    rearranged = [other[:cut], other[cut:]]

    def items(of: list[list[int]]) -> list[list[int]]:
        return sorted(sorted(one) for one in of)

    judged = value("json_fields", json.dumps({"a": rearranged}), json.dumps({"a": lists}))
    assert (judged == 1) == (items(rearranged) == items(lists))
