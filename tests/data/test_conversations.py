"""Which turns of a conversation are asked for, which are learnt, and which are only context."""

import json

import pytest

from data_files import Write, parquet
from tunewise.data.read import read_examples
from tunewise.types import Example, Message

Turn = tuple[str, str] | tuple[str, str, int]


def read(write: Write, *turns: Turn) -> Example:
    """The example in a chat of (role, content) or (role, content, weight)."""
    keys = ("role", "content", "weight")
    row = {"messages": [dict(zip(keys, turn, strict=False)) for turn in turns]}
    (example,) = read_examples(write(json.dumps(row))).examples
    return example


def weights(example: Example) -> list[int | None]:
    return [turn.weight for turn in example.messages]


def test_every_answer_is_learnt_unless_it_says_otherwise(write: Write) -> None:
    example = read(
        write,
        ("system", "Be brief."),
        ("user", "Hi"), ("assistant", "Hello"),
        ("user", "Tea?"), ("assistant", "Yes", 0),
        ("user", "Milk?"), ("assistant", "No", 1),
        ("user", "Bye"), ("assistant", "So long"),
    )  # fmt: skip
    assert weights(example) == [None, None, 1, None, 0, None, 1, None]
    assert example.target == "So long"


@pytest.mark.parametrize(
    ("given", "target", "kept"),
    [
        ((1, 1, 1), "c", [None, 1, None, 1, None]),
        ((0, 0, 1), "c", [None, 0, None, 0, None]),
        ((1, 1, 0), "b", [None, 1, None]),
        ((1, 0, 0), "a", [None]),
        ((0, 1, 0), "b", [None, 0, None]),
    ],
)
def test_the_target_is_the_last_answer_of_weight_1(
    write: Write, given: tuple[int, ...], target: str, kept: list[int | None]
) -> None:
    asked = [("user", f"q{n}") for n in range(3)]
    answers = [("assistant", text, weight) for text, weight in zip("abc", given, strict=True)]
    turns = [turn for both in zip(asked, answers, strict=True) for turn in both]
    example = read(write, *turns)
    assert example.target == target
    assert weights(example) == kept


def test_a_weight_of_a_question_says_nothing(write: Write) -> None:
    example = read(write, ("user", "q", 0), ("assistant", "a"))
    assert example.messages == (Message(role="user", content="q"),)


def test_weights_are_read_from_tables_in_columns_with_gaps(write: Write) -> None:
    turns = [
        {"role": "user", "content": "q", "weight": None},
        {"role": "assistant", "content": "a", "weight": 0.0},
        {"role": "user", "content": "r", "weight": None},
        {"role": "assistant", "content": "b", "weight": 1.0},
    ]
    (example,) = read_examples(write(parquet([{"messages": turns, "weight": 1.0}]))).examples
    assert weights(example) == [None, 0, None]
    assert example.target == "b"


def test_answers_within_a_prompt_are_context(write: Write) -> None:
    prompt = [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "a"},
        {"role": "user", "content": "r"},
    ]
    row = {"prompt": prompt, "completion": [{"role": "assistant", "content": "b"}]}
    (example,) = read_examples(write(json.dumps(row))).examples
    assert weights(example) == [None, 0, None]
    assert example.target == "b"


def test_a_greeting_is_context(write: Write) -> None:
    example = read(write, ("assistant", "Welcome!"), ("user", "q"), ("assistant", "a"))
    assert weights(example) == [0, None]
