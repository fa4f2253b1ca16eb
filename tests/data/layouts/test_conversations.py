"""Which turns of a conversation are asked for, which are learnt, and which are only context."""

import json

import pytest

from data_files import Write, parquet
from tunewise.data.read import read_examples
from tunewise.errors import UserError
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


def tickets(write: Write, *rows: list[tuple[str, str]]) -> tuple[Example, ...]:
    """The examples in ShareGPT conversations of (from, value), with the tool `lookup`."""
    tools = json.dumps([{"name": "lookup", "parameters": {"type": "object"}}])
    written = [
        {"conversations": [{"from": who, "value": said} for who, said in row], "tools": tools}
        for row in rows
    ]
    return read_examples(write("\n".join(map(json.dumps, written)))).examples


def call(number: int) -> tuple[str, str]:
    return "function_call", json.dumps({"name": "lookup", "arguments": {"order": number}})


TWO_CALLS = [
    ("human", "Where are orders 7 and 8?"),
    call(7), call(8),
    ("observation", "7 left"), ("observation", "8 waits"),
    ("gpt", "7 is on its way, 8 is not."),
]  # fmt: skip


def test_calls_that_follow_each_other_are_kept_and_learnt(write: Write) -> None:
    (example,) = tickets(write, TWO_CALLS)
    roles = ["user", "assistant", "assistant", "tool", "tool"]
    assert [turn.role for turn in example.messages] == roles
    made = [c.arguments for turn in example.messages for c in turn.tool_calls]
    assert made == ['{"order": 7}', '{"order": 8}']
    assert weights(example) == [None, 1, 1, None, None]
    assert example.target == "7 is on its way, 8 is not."


def test_later_questions_behind_calls_are_kept_and_both_answers_learnt(write: Write) -> None:
    more = [("human", "And 9?"), call(9), ("observation", "9 left"), ("gpt", "It left.")]
    (example,) = tickets(write, [*TWO_CALLS, *more])
    assert weights(example) == [None, 1, 1, None, None, 1, None, 1, None]
    assert example.messages[5].content == "7 is on its way, 8 is not."
    assert example.target == "It left."


def test_an_answer_before_any_question_and_two_questions_running_are_kept(write: Write) -> None:
    greeted, twice = tickets(
        write,
        [("gpt", "Hello!"), ("human", "Is it open?"), ("gpt", "Until six.")],
        [("human", "About order 7."), ("human", "Where is it?"), ("gpt", "On its way.")],
    )
    assert [turn.content for turn in greeted.messages] == ["Hello!", "Is it open?"]
    assert [turn.content for turn in twice.messages] == ["About order 7.", "Where is it?"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (
            [
                ("human", "Hi"),
                ("gpt", "Hello"),
                ("system", "Closed."),
                ("human", "?"),
                ("gpt", "!"),
            ],
            "has a system turn that is not the first. Move it to the front.",
        ),
        (TWO_CALLS[:-1], "ends on a tool turn. End it with the answer wanted."),
    ],
)
def test_what_cannot_be_learnt_is_refused_by_line_and_never_left_out(
    write: Write, row: list[tuple[str, str]], said: str
) -> None:
    with pytest.raises(UserError) as caught:
        tickets(write, TWO_CALLS, row, TWO_CALLS)
    (line,) = str(caught.value).splitlines()
    assert line.endswith(f":2: {said}")
