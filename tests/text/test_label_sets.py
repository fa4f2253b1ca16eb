import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewise.text.label_sets import (
    JSON,
    SEPARATORS,
    as_sets,
    how_to_answer,
    respelled,
    set_elements,
    set_form,
    write_set,
)


@pytest.mark.parametrize(
    "text",
    [
        "wing, tail",
        "tail,wing",
        "wing; tail",
        "wing | tail",
        "wing\ntail",
        "- wing\n- tail",
        "1. Wing\n2. tail.",
        '["wing", "tail"]',
        '["TAIL", "wing", "tail"]',
        "wing、tail",
        "tail, wing, tail,",
    ],
)
def test_a_set_may_be_written_in_many_ways(text: str) -> None:
    assert set_form(text) == {"wing", "tail"}


def test_numbers_in_a_list_are_labels_by_value() -> None:
    assert set_form("[1, 2.0]") == set_form("[2, 1.0]") == {"1", "2"}


def test_a_known_label_that_holds_a_separator_is_not_taken_apart() -> None:
    known = ("food, drink", "food", "books")
    assert set_elements("books, food, drink", known) == ("books", "food, drink")
    assert set_elements("food; books", known) == ("food", "books")


RIGHT = {"Wing": "wing", "wing.": "wing", "tial": "tail", "Food, Drink": "food, drink"}


@pytest.mark.parametrize(
    ("written", "right"),
    [
        ("Wing, tial", "wing, tail"),
        ("tial;Wing", "tail;wing"),
        ("tail |  wing.", "tail |  wing"),
        ("- Wing\n- nose", "- wing\n- nose"),
        ("1. nose\n2. tial", "1. nose\n2. tail"),
        ('"Wing", `nose`', '"wing", `nose`'),
        ("nose, Food, Drink, tial", "nose, food, drink, tail"),
        ('["Wing","nose"]', '["wing","nose"]'),
        ('[ "no\\u0073e", "tial", 1.0]', '[ "no\\u0073e", "tail", 1.0]'),
        ("Wing、nose", "wing、nose"),
        ("wing, nose,", "wing, nose,"),
        ("Wingspan", "Wingspan"),
    ],
)
def test_labels_are_spelled_right_and_all_else_stays(written: str, right: str) -> None:
    assert respelled(written, RIGHT, ("food, drink", "nose")) == right


LABELS = st.lists(st.sampled_from(["wing", "tail fin", "nose", "C#", "cabin"]), min_size=1)


@given(LABELS, st.sampled_from([JSON, *SEPARATORS]))
def test_what_is_written_is_read_again(labels: list[str], form: str) -> None:
    assert set_elements(write_set(labels, form)) == tuple(dict.fromkeys(labels))


def mixed(*answers: str) -> list[str]:
    return list(answers) * 8


@pytest.mark.parametrize(
    ("answers", "form"),
    [
        (mixed("wing, tail", "tail", "tail, nose", "nose, wing"), ","),
        (mixed("wing; tail", "tail", "tail;nose", "wing"), ";"),
        (mixed("wing\ntail", "tail", "nose\nwing", "nose"), "\n"),
        (mixed('["wing", "tail"]', '["tail"]', '["nose"]', "[]"), JSON),
    ],
)
def test_answers_of_a_few_labels_are_sets(answers: list[str], form: str) -> None:
    found = as_sets(answers)
    assert found is not None
    assert (found.labels, found.form) == (("nose", "tail", "wing"), form)


@pytest.mark.parametrize(
    "answers",
    [
        mixed("wing", "tail", "nose"),
        mixed("Yes, please", "No, thanks", "Yes, please", "Maybe"),
        mixed("Rome, Italy", "Milan, Italy", "Lyon, France", "Paris, France"),
        [f"It opens at {n}, closes at {n + 8}, daily" for n in range(32)],
        [f"name{n}, tag{n}" for n in range(32)],
        mixed("The wing is bent, and the tail, which is long, has come off again", "tail"),
        mixed('{"a": 1, "b": 2}', '{"a": 2, "b": 1}'),
        [],
    ],
    ids=["one each", "politeness", "places", "sentences", "names", "long", "objects", "none"],
)
def test_other_answers_with_commas_are_no_sets(answers: list[str]) -> None:
    assert as_sets(answers) is None


def test_declared_labels_make_sets_even_where_the_order_is_always_the_same() -> None:
    answers = mixed("wing, tail", "wing, nose", "wing")
    assert as_sets(answers) is None
    found = as_sets(answers, ("wing", "tail", "nose"))
    assert found is not None


def test_a_model_is_told_how_sets_are_written() -> None:
    assert "commas between them" in how_to_answer(["wing, tail"])
    assert "a JSON list" in how_to_answer(['["wing"]'])
