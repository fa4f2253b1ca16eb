"""A file that is one JSON value, and logs of requests: the same rows, however they are laid out."""

import json

import pytest

from data_files import Write, content, faults
from tunewise.data.read import read_examples

ROWS = [{"input": "dry snow", "output": "blue"}, {"input": "wet snow", "output": "yellow"}]
WANTED = [("dry snow", "blue"), ("wet snow", "yellow")]
COLUMNS = {name: [row[name] for row in ROWS] for name in ROWS[0]}
LAID_OUT = {
    "data": ({"data": ROWS}, 'the rows lie in "data"; read as such.'),
    "rows": ({"rows": ROWS}, 'the rows lie in "rows"'),
    "train": ({"train": ROWS}, 'the rows lie in "train"'),
    "any name": ({"wax": ROWS}, 'the rows lie in "wax"'),
    "a version beside it": ({"version": 1, "data": ROWS}, '"version" beside it: not used.'),
    "rows of a viewer": (
        {"features": [{"name": "input"}],
         "rows": [{"row_idx": n, "row": row} for n, row in enumerate(ROWS)]},
        'the rows lie in "rows"',
    ),
    "a list a column": (COLUMNS, "holds a list for each column; read as rows."),
    "pandas, columns": (
        {name: {str(n): cell for n, cell in enumerate(cells)} for name, cells in COLUMNS.items()},
        "holds a value for each row number, as pandas writes columns; read as rows.",
    ),
    "pandas, split": (
        {"columns": ["input", "output"], "index": [0, 1],
         "data": [list(row.values()) for row in ROWS]},
        'holds "columns" and "data" apart, as pandas splits a table; joined.',
    ),
    "pandas, table": ({"schema": {"fields": []}, "data": ROWS}, '"schema" beside it: not used.'),
    "pandas, index": ({"0": ROWS[0], "1": ROWS[1]}, "holds an object for each id; read as rows."),
    "an array on one line": (ROWS, "is one JSON array on one line; read as its rows."),
}  # fmt: skip


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(("value", "noted"), LAID_OUT.values(), ids=LAID_OUT.keys())
def test_rows_are_found_however_a_file_lays_them_out(
    write: Write, value: object, noted: str, indent: int | None
) -> None:
    path = write(json.dumps(value, indent=indent) + "\n", "a.json")
    result = read_examples(path)
    assert content(result.examples) == WANTED
    assert len(set(result.places.values())) == 2
    assert indent == 2 or any(noted in note for note in result.notes), result.notes


def test_rows_below_a_key_are_named_by_their_lines(write: Write) -> None:
    raw = json.dumps({"by": ["me", {"you": 1}], "data": [*ROWS, {"input": "ice"}]}, indent=1)
    line = raw.splitlines().index('   "input": "ice"')
    (message,) = faults(write(raw, "a.json"))
    assert message.startswith(f"{line}: has the columns")


def test_an_id_for_each_row_is_kept(write: Write) -> None:
    rows = {f"w{n}": row for n, row in enumerate([*ROWS, {"input": "ice", "output": "none"}])}
    result = read_examples(write(json.dumps(rows), "a.json"))
    assert [row.id for row in result.examples] == ["w0", "w1", "w2"]


def test_several_lists_of_rows_are_refused_by_name(write: Write) -> None:
    message = '1: holds several lists of rows: "train", "test". Write each into a file of its own'
    assert faults(write(json.dumps({"train": ROWS, "test": ROWS}), "a.json"))[0].startswith(message)


def test_columns_of_different_lengths_are_refused_with_them(write: Write) -> None:
    assert faults(write('{"input": ["a", "b", "c"], "output": ["x", "y"]}', "a.json")) == [
        '1: holds columns of different lengths ("input" 3, "output" 2). Give each row all its '
        "values."
    ]


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]},
        {"prompt": [{"role": "user", "content": "q"}],
         "completion": [{"role": "assistant", "content": "a"}]},
        {"input": "q", "output": "a", "entities": [{"name": "x"}]},
        {"inputs": {"text": "q"}, "outputs": {"text": "a"}},
    ],
)  # fmt: skip
def test_a_file_of_one_row_is_one_row(write: Write, row: dict[str, object]) -> None:
    assert content(read_examples(write(json.dumps(row), "a.json")).examples) == [("q", "a")]


ASKED = {"messages": [{"role": "user", "content": "dry snow"}], "temperature": 0}
SAID = {"role": "assistant", "content": "blue", "refusal": None}
LOGS = {
    "request and response": {"request": ASKED, "response": {"choices": [{"message": SAID}]}},
    "with their frames": {
        "request": {"body": ASKED}, "response": {"status": 200, "body": {"choices": [
            {"index": 0, "message": SAID, "finish_reason": "stop"}]}},
    },
    "the newer API": {
        "request": {"input": "dry snow"},
        "response": {"output": [{"type": "reasoning"}, {
            "type": "message", "role": "assistant",
            "content": [{"type": "output_text", "text": "blue"}]}]},
    },
    "a run of turns": {"inputs": ASKED, "outputs": {"message": SAID}},
    "a run of texts": {"inputs": {"question": "dry snow"}, "outputs": {"answer": "blue"}},
}  # fmt: skip


@pytest.mark.parametrize("row", LOGS.values(), ids=LOGS.keys())
def test_logged_requests_with_one_answer_are_examples(write: Write, row: object) -> None:
    assert content(read_examples(write(json.dumps(row))).examples) == [("dry snow", "blue")]


HALVES = {
    "a request of a batch": ({"custom_id": "1", "body": ASKED}, ("dry snow", "...")),
    "a response of a batch": (
        {"custom_id": "1", "response": {"body": {"choices": [{"message": SAID}]}}}, ("...", "blue")
    ),
    "two answers": (
        {"request": ASKED, "response": {"choices": [{"message": SAID}, {"message": SAID}]}},
        ("dry snow", '{"choices": [{"message": {"role": "as...'),
    ),
    "a run of many values": (
        {"inputs": {"question": "dry snow"}, "outputs": {"a": "blue", "b": "red"}},
        ("dry snow", '{"a": "blue", "b": "red"}'),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("row", "example"), HALVES.values(), ids=HALVES.keys())
def test_half_a_log_is_refused_with_its_right_form(
    write: Write, row: object, example: tuple[str, str]
) -> None:
    (message,) = faults(write(json.dumps(row)))
    turns = [{"role": "user", "content": example[0]}, {"role": "assistant", "content": example[1]}]
    assert json.dumps({"messages": turns}, ensure_ascii=False) in message
