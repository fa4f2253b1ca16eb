import uuid

import pytest

from folders import tickets
from tunewise.pipelines.init.columns import (
    ColumnChoice,
    choose_columns,
    group_columns,
    look_at,
    name_words,
)


def chosen(rows: list[dict[str, object]]) -> tuple[str, str]:
    choice = choose_columns(rows)
    assert choice is not None
    return choice.input.name, choice.output.name


def rows(**columns: object) -> list[dict[str, object]]:
    """Thirty rows; a function gives the value of each."""
    return [
        {name: value(n) if callable(value) else value for name, value in columns.items()}
        for n in range(30)
    ]


def long_text(n: int) -> str:
    return f"This is the text number {n} of somebody who writes {n * 7} words about it"


def label(n: int) -> str:
    return ["red", "green", "blue"][n % 3]


def test_the_text_and_the_final_category_of_a_help_desk_export_are_found() -> None:
    choice = choose_columns(tickets())
    assert isinstance(choice, ColumnChoice)
    assert (choice.input.name, choice.output.name) == ("Ticket text", "Final category")
    assert [column.name for column in choice.other_inputs] == ["Subject"]
    assert [column.name for column in choice.other_outputs] == ["Suggested category"]


@pytest.mark.parametrize(
    ("columns", "wanted"),
    [
        ({"Body": long_text, "Queue": label}, ("Body", "Queue")),
        ({"label": label, "review": long_text}, ("review", "label")),
        ({"col_a": long_text, "col_b": label}, ("col_a", "col_b")),
        ({"Question": lambda n: f"What is {n} and why?", "Answer": long_text},
         ("Question", "Answer")),
        ({"emailBody": long_text, "urgency": lambda n: n % 3, "lang": label},
         ("emailBody", "urgency")),
        ({"text": long_text, "entities": lambda n: {"name": f"n{n}", "size": n}},
         ("text", "entities")),
        ({"message": long_text, "model_prediction_label": label, "human_label": label},
         ("message", "human_label")),
        ({"Beschreibung": long_text, "Kategorie": label}, ("Beschreibung", "Kategorie")),
        ({"id": lambda n: f"a-{n}", "sent": lambda n: f"2025-01-{n + 1:02}", "author": label,
          "comment": long_text, "sentiment": label}, ("comment", "sentiment")),
    ],
)  # fmt: skip
def test_columns_are_told_by_name_length_and_repetition(columns, wanted) -> None:
    assert chosen(rows(**columns)) == wanted


@pytest.mark.parametrize(
    "columns",
    [
        {"text": long_text},
        {"id": lambda n: f"id-{n}", "price": lambda n: f"{n}.50", "day": "2025-01-01"},
        {"text": long_text, "label": "always the same"},
        {"url": lambda n: f"https://example.org/{n}", "mail": lambda n: f"a{n}@example.org"},
    ],
)
def test_where_nothing_can_be_input_and_answer_nothing_is_chosen(columns) -> None:
    assert choose_columns(rows(**columns)) is None


def test_people_and_circumstances_are_no_answers_while_something_else_is() -> None:
    columns = {"text": long_text, "agent": label, "channel": label, "outcome": label}
    assert chosen(rows(**columns)) == ("text", "outcome")


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (lambda n: f"{n}.02.2025 10:{n % 60:02}", "date"),
        (lambda n: f"2025-03-{n % 28 + 1:02}T08:00:00Z", "date"),
        (lambda n: f"{n % 12 + 1}:30", "date"),
        (lambda n: f"3 March {2000 + n}", "date"),
        (lambda n: f"{n}.5 %", "number"),
        (lambda n: n, "number"),
        (lambda n: f"TCK-{n}", "code"),
        (lambda n: f"a{n}@example.org", "address"),
        (lambda n: {"a": n}, "object"),
        (lambda n: f"text {n}", "text"),
        (lambda n: None, "text"),
    ],
)
def test_the_form_of_a_column_is_that_of_nearly_all_its_values(value, form: str) -> None:
    (column,) = look_at(rows(x=value))
    assert column.form == form


def test_a_customer_id_that_repeats_can_be_a_group() -> None:
    groups = group_columns(tickets(400, customers=100), ["Ticket text", "Final category"])
    assert [one.name for one in groups] == ["Customer ID", "Customer name"]
    assert groups[0].usable
    assert groups[0].rows == 400


def test_too_few_groups_are_not_usable() -> None:
    assert not group_columns(tickets(80, customers=30), [])[0].usable


@pytest.mark.parametrize(
    "column",
    [
        {"customer_id": lambda n: f"c{n}"},  # never repeats
        {"customer_id": lambda n: "c1" if n % 2 else f"c{n}"},  # one customer has half of the rows
        {"colour": label},  # no such name
        {"customer_since": lambda n: f"2025-01-0{n % 9 + 1}"},  # a date
        {"customer": lambda n: f"c{n // 2}" if n < 10 else ""},  # mostly empty
    ],
)
def test_other_columns_are_no_groups(column) -> None:
    assert group_columns(rows(**column), []) == []


def test_words_of_a_name_are_found_however_it_is_written() -> None:
    assert name_words("FinalCategory") == name_words("final_category") == {"final", "category"}
    assert name_words("Ticket text (EN)") == {"ticket", "text", "en"}


def unfit(**columns: object) -> dict[str, str]:
    return {column.name: column.unfit for column in look_at(rows(**columns)) if column.unfit}


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("open", 'always "open"'),
        (lambda n: n, "counts the rows"),
        (lambda n: str(n + 7000), "counts the rows"),
        (lambda n: n * n + 3, "another number in each row"),
        (lambda n: str(uuid.UUID(int=n)), "an id in each row"),
        (lambda n: f"2025-01-{n + 1:02}T10:00:00Z", "a time in each row"),
        (lambda n: 1_700_000_000 + n * n, "a time in each row"),
        (lambda n: f"TCK-{n * n}", "another code in each row"),
        (lambda n: f"a{n}@example.org", "another address in each row"),
        ("", "empty"),
    ],
)
def test_a_constant_or_an_id_is_neither_input_nor_answer(value: object, why: str) -> None:
    for name in ("label", "text"):
        columns = {name: value, "body": long_text, "queue": label}
        assert unfit(**columns) == {name: why}
        assert chosen(rows(**columns)) == ("body", "queue")


@pytest.mark.parametrize("name", ["role", "from", "speaker"])
def test_who_speaks_is_no_answer(name: str) -> None:
    speaks = {name: lambda n: ["user", "assistant"][n % 2], "content": long_text}
    assert unfit(**speaks) == {name: "says who speaks"}
    assert choose_columns(rows(**speaks)) is None


def test_numbers_of_their_own_may_be_answers_by_their_name() -> None:
    assert unfit(question=long_text, answer=lambda n: n * n + 3) == {}


def test_lines_that_begin_with_a_time_are_texts() -> None:
    line = lambda n: f"2025-01-01 10:{n:02}:00 the server said {n} things"  # noqa: E731
    assert chosen(rows(line=line, kind=label)) == ("line", "kind")
