"""Equivalent files read into equal records, whatever their format."""

import datetime
import decimal
import io
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from data_files import FORMATS, Rows, Write, chat, content, jsonl, parquet
from tunewise.data.read import read_examples, read_preferences, read_texts
from tunewise.errors import UserError
from tunewise.project.settings import Data
from tunewise.types import Example, Message, Preference, Text, ToolCall

PAIRS = [("Where is my parcel?", "delivery"), ("It broke, “twice”\nsorry; really", "defect")]
ROWS = [{"input": question, "output": answer} for question, answer in PAIRS]
JSONL = jsonl(ROWS)


def turns(role: str, text: str, *values: object) -> list[dict[str, object]]:
    names = ("user", "assistant") if role == "role" else ("human", "gpt")
    return [{role: name, text: value} for name, value in zip(names, values, strict=True)]


SHAPES: dict[str, Rows] = {
    "OpenAI chat": [{"messages": turns("role", "content", *pair)} for pair in PAIRS],
    "OpenAI chat in parts": [
        {"messages": turns("role", "content", *([{"type": "text", "text": t}] for t in pair))}
        for pair in PAIRS
    ],
    "OpenAI chat with weights": [
        {"messages": [{**turn, "weight": 1} for turn in turns("role", "content", *pair)]}
        for pair in PAIRS
    ],
    "ShareGPT": [{"conversations": turns("from", "value", *pair)} for pair in PAIRS],
    "conversations with roles": [
        {"conversations": turns("role", "content", *pair)} for pair in PAIRS
    ],
    "Alpaca": [{"instruction": q, "input": "", "output": a} for q, a in PAIRS],
    "Alpaca without input": [{"instruction": q, "response": a} for q, a in PAIRS],
    "prompt and completion": [{"prompt": q, "completion": a} for q, a in PAIRS],
    "prompt and response": [{"prompt": q, "response": a} for q, a in PAIRS],
    "prompt and completion as turns": [
        {"prompt": both[:1], "completion": both[1:]}
        for both in (turns("role", "content", *pair) for pair in PAIRS)
    ],
    "text and label": [{"text": q, "label": a} for q, a in PAIRS],
    "question and answer": [{"question": q, "answer": a} for q, a in PAIRS],
    "input and target": [{"input": q, "target": a} for q, a in PAIRS],
}  # fmt: skip


TABLES = [name for name in FORMATS if "csv" in name or "tsv" in name]
CASES = [
    (shape, name)
    for shape in SHAPES
    for name in FORMATS
    # A prompt in a cell is a text, which may well begin with a bracket.
    if not (shape == "prompt and completion as turns" and name in TABLES)
]


@pytest.mark.parametrize("ending", ["jsonl", "csv", "txt", "parquet"])
@pytest.mark.parametrize("written", FORMATS.values(), ids=FORMATS.keys())
def test_equivalent_files_read_into_equal_examples(
    write: Write, written: Callable[[Rows], bytes], ending: str
) -> None:
    read = read_examples(write(written(ROWS), f"rows.{ending}")).examples
    assert read == read_examples(write(JSONL)).examples
    assert content(read) == PAIRS


@pytest.mark.parametrize(("shape", "name"), CASES)
def test_equivalent_rows_read_into_equal_examples(write: Write, shape: str, name: str) -> None:
    # A table of one column has no separator to be known by, only its file's name.
    path = write(FORMATS[name](SHAPES[shape]), "rows.csv" if name in TABLES else "rows.jsonl")
    assert read_examples(path).examples == read_examples(write(JSONL)).examples


WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"place": {"type": "string"}}},
    },
}
ASKED = Message(role="user", content="Weather in Bonn?")
CALL = ToolCall(name="weather", arguments='{"place": "Bonn"}', id="c1")
CALLED = Message(role="assistant", content="", weight=1, tool_calls=(CALL,))
TOLD = Message(role="tool", content="12 degrees", tool_call_id="c1")
OPENAI_CALL = {
    "id": "c1",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"place": "Bonn"}'},
}
TOOL_TURNS = [
    {"role": "user", "content": "Weather in Bonn?"},
    {"role": "assistant", "content": None, "tool_calls": [OPENAI_CALL]},
    {"role": "tool", "content": "12 degrees", "tool_call_id": "c1"},
    {"role": "assistant", "content": "Mild."},
]
OBJECT_CALL = {"id": "c1", "function": {"name": "weather", "arguments": {"place": "Bonn"}}}
WITH_TOOLS: dict[str, Rows] = {
    "OpenAI": [{"messages": TOOL_TURNS, "tools": [WEATHER]}],
    "tools as JSON text": [{"messages": TOOL_TURNS, "tools": json.dumps([WEATHER])}],
    "bare tools": [{"messages": TOOL_TURNS, "tools": [WEATHER["function"]]}],
    "OpenAI's older functions": [{"messages": TOOL_TURNS, "functions": [WEATHER["function"]]}],
    "arguments as an object": [
        {
            "messages": [
                TOOL_TURNS[0],
                {"role": "assistant", "content": "", "tool_calls": [OBJECT_CALL]},
                *TOOL_TURNS[2:],
            ],
            "tools": [WEATHER],
        }
    ],
}  # fmt: skip


@pytest.mark.parametrize("written", FORMATS.values(), ids=FORMATS.keys())
@pytest.mark.parametrize("rows", WITH_TOOLS.values(), ids=WITH_TOOLS.keys())
def test_tools_calls_and_results_read_into_equal_examples(
    write: Write, rows: Rows, written: Callable[[Rows], bytes]
) -> None:
    (example,) = read_examples(write(written(rows))).examples
    assert example.messages == (ASKED, CALLED, TOLD)
    assert example.target == "Mild."
    assert example.tools == (WEATHER,)
    assert example.metadata == {}


def test_sharegpt_writes_calls_and_results_as_turns(write: Write) -> None:
    call = json.dumps({"name": "weather", "arguments": {"place": "Bonn"}})
    told = [
        {"from": "human", "value": "Weather in Bonn?"},
        {"from": "function_call", "value": call},
        {"from": "observation", "value": "12 degrees"},
        {"from": "gpt", "value": "Mild."},
    ]
    row = {"conversations": told, "tools": json.dumps([WEATHER["function"]])}
    (example,) = read_examples(write(json.dumps(row))).examples
    assert [turn.role for turn in example.messages] == ["user", "assistant", "tool"]
    assert example.messages[1].tool_calls == (
        ToolCall(name="weather", arguments='{"place": "Bonn"}'),
    )
    assert example.tools == (WEATHER,)


@pytest.mark.parametrize(
    ("calls", "content", "target"),
    [
        ([OPENAI_CALL], None, '{"name": "weather", "arguments": {"place": "Bonn"}}'),
        (
            [OPENAI_CALL, OPENAI_CALL],
            "",
            '[{"name": "weather", "arguments": {"place": "Bonn"}}, '
            '{"name": "weather", "arguments": {"place": "Bonn"}}]',
        ),
        (
            [OPENAI_CALL],
            "Let me look.",
            'Let me look.\n{"name": "weather", "arguments": {"place": "Bonn"}}',
        ),
    ],
)
def test_an_answer_that_calls_tools_is_json(
    write: Write, calls: list[object], content: str | None, target: str
) -> None:
    answer = {"role": "assistant", "content": content, "tool_calls": calls}
    row = {"messages": [TOOL_TURNS[0], answer], "tools": [WEATHER]}
    assert read_examples(write(json.dumps(row))).examples[0].target == target


PREFERRED = [("Name a colour.", "Red, for one.", "No."), ("And “another”?", "Blue", "Red")]
PREFERENCES: dict[str, Rows] = {
    "OpenAI": [
        {
            "input": {"messages": [{"role": "user", "content": q}], "tools": []},
            "preferred_output": [{"role": "assistant", "content": a}],
            "non_preferred_output": [{"role": "assistant", "content": b}],
        }
        for q, a, b in PREFERRED
    ],
    "prompt, chosen, rejected": [
        {"prompt": q, "chosen": a, "rejected": b} for q, a, b in PREFERRED
    ],
    "turns": [
        {
            "prompt": [{"role": "user", "content": q}],
            "chosen": [{"role": "assistant", "content": a}],
            "rejected": [{"role": "assistant", "content": b}],
        }
        for q, a, b in PREFERRED
    ],
    "whole conversations": [
        {
            "chosen": turns("role", "content", q, a),
            "rejected": turns("role", "content", q, b),
        }
        for q, a, b in PREFERRED
    ],
    "whole conversations beside the prompt": [
        {
            "prompt": q,
            "chosen": turns("role", "content", q, a),
            "rejected": turns("role", "content", q, b),
        }
        for q, a, b in PREFERRED
    ],
}


@pytest.mark.parametrize("written", [jsonl, parquet, lambda rows: json.dumps(rows).encode()])
@pytest.mark.parametrize("rows", PREFERENCES.values(), ids=PREFERENCES.keys())
def test_equivalent_preferences_read_into_equal_ones(
    write: Write, rows: Rows, written: Callable[[Rows], bytes]
) -> None:
    read = read_preferences([write(written(rows))]).rows
    assert [(p.messages, p.chosen, p.rejected) for p in read] == [
        ((Message(role="user", content=q),), a, b) for q, a, b in PREFERRED
    ]
    assert all(isinstance(p, Preference) and p.metadata == {} for p in read)
    assert len({p.id for p in read}) == 2


def test_preferences_keep_group_system_turn_and_other_columns(write: Write) -> None:
    row = {"prompt": "q", "chosen": "a", "rejected": "b", "who": 7, "system": "Be brief."}
    path = write(json.dumps(row))
    (read,) = read_preferences([path], Data(group="who")).rows
    assert read.group == "7"
    assert read.metadata == {"who": 7}
    assert read.messages[0] == Message(role="system", content="Be brief.")


def test_a_preference_between_equal_answers_is_noted(write: Write) -> None:
    path = write('{"prompt": "q", "chosen": "a", "rejected": "a"}')
    assert f"{path}:1: chosen and rejected are the same" in read_preferences([path]).notes[-1]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "q", "chosen": "a"}, "rejected is empty or no text."),
        ({"prompt": "", "chosen": "a", "rejected": "b"}, "prompt is empty or no text."),
        ({"chosen": "a", "rejected": "b"}, "has no prompt. Add what the two answers"),
        ({"prompt": [], "chosen": "a", "rejected": "b"}, "prompt is no list of turns."),
        (
            {
                "chosen": turns("role", "content", "q", "a"),
                "rejected": turns("role", "content", "r", "b"),
            },
            "chosen and rejected answer different turns.",
        ),
        (
            {"prompt": "q", "chosen": [{"role": "user", "content": "a"}], "rejected": "b"},
            "chosen ends on a user turn.",
        ),
        (
            {"prompt": turns("role", "content", "q", "a"), "chosen": "b", "rejected": "c"},
            "the prompt ends on a turn of assistant. End it on user.",
        ),
    ],
)
def test_a_faulty_preference_is_named(write: Write, row: dict[str, object], message: str) -> None:
    path = write(json.dumps(row))
    with pytest.raises(UserError) as caught:
        read_preferences([path])
    assert str(caught.value).startswith(f"{path}:1: {message}")


def test_rows_with_preferences_and_a_chat_are_read_as_what_is_wanted(write: Write) -> None:
    row = {
        "prompt": "q",
        "chosen": "a",
        "rejected": "b",
        "messages": turns("role", "content", "q", "a"),
    }
    path = write(json.dumps(row))
    assert content(read_examples(path).examples) == [("q", "a")]
    assert read_preferences([path]).rows[0].rejected == "b"


TEXTS = ["Once upon a time, a fox.\n\nIt slept.", "The end"]


@pytest.mark.parametrize("written", FORMATS.values(), ids=FORMATS.keys())
def test_equivalent_texts_read_into_equal_ones(
    write: Write, written: Callable[[Rows], bytes]
) -> None:
    rows = [{"text": text, "from": "a book"} for text in TEXTS]
    read = read_texts([write(written(rows))]).rows
    assert [text.text for text in read] == TEXTS
    assert all(isinstance(text, Text) and text.metadata == {"from": "a book"} for text in read)
    assert read == read_texts([write(jsonl(rows))]).rows


@pytest.mark.parametrize(
    ("name", "raw"), [("a.txt", b"%s"), ("a.md", b"\xef\xbb\xbf%s\n\n"), ("a", b"%s")]
)
def test_a_file_of_prose_is_one_text(write: Write, name: str, raw: bytes) -> None:
    (read,) = read_texts([write(raw % TEXTS[0].encode(), name)]).rows
    assert read.text == TEXTS[0]


def test_several_files_of_prose_are_several_texts(write: Write) -> None:
    paths = [write(text, f"{n}.txt") for n, text in enumerate(TEXTS)]
    result = read_texts(paths)
    assert [text.text for text in result.rows] == TEXTS
    assert list(result.places.values()) == [f"{path}:1" for path in paths]


def test_a_long_prose_is_cut_at_blank_lines(write: Write) -> None:
    paragraph = "words " * 50_000 + "end"
    whole = "\n\n".join([paragraph] * 9)
    result = read_texts([write(whole, "book.txt")])
    assert len(result.rows) == 3
    assert "\n\n".join(text.text for text in result.rows) == whole
    assert list(result.places.values())[1].endswith("book.txt:9")
    assert "read as several texts" in result.notes[0]


PREFERENCE = '{"prompt": "a", "chosen": "b", "rejected": "c"}'
TEXT = '{"text": "a"}'
OK = chat(("user", "q"), ("assistant", "a"))
RATED = '{"prompt": "a", "completion": "b", "label": false}'


@pytest.mark.parametrize(
    ("read", "row", "message"),
    [
        (read_examples, PREFERENCE, "holds preference pairs, which methods such as DPO learn"),
        (read_examples, TEXT, "holds plain texts, which continued pre-training learns from."),
        (read_examples, RATED, "holds answers rated good or bad, which methods such as KTO"),
        (lambda path: read_preferences([path]), OK, "holds examples (an input and its answer)."),
        (lambda path: read_preferences([path]), TEXT, "holds plain texts"),
        (lambda path: read_texts([path]), OK, "holds examples"),
        (lambda path: read_texts([path]), PREFERENCE, "holds preference pairs"),
    ],
)  # fmt: skip
def test_rows_of_another_kind_are_named_for_what_they_are(
    write: Write, read: Callable[[Path], object], row: str, message: str
) -> None:
    path = write(f"{row}\n{row}")
    with pytest.raises(UserError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}:1: {message}")
    assert " Give " in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("row", "named", "answer"),
    [
        ({"frage": "wo?", "antwort": {"ort": "Köln"}}, {"input": "frage", "output": "antwort"},
         '{"ort": "Köln"}'),
        ({"turns": [{"role": "user", "content": "wo?"}, {"role": "assistant", "content": "da"}]},
         {"messages": "turns"}, "da"),
        ({"input": "x", "output": "y", "question": "wo?", "reply": "da"},
         {"input": "question", "output": "reply"}, "da"),
        ({"input": "wo?", "output": "da", "w": 1}, {"weight": "w"}, "da"),
    ],
)  # fmt: skip
def test_columns_can_be_named(
    write: Write, row: dict[str, object], named: dict[str, str], answer: str
) -> None:
    result = read_examples(write(json.dumps(row)), Data(**named))
    assert content(result.examples) == [("wo?", answer)]


def test_columns_of_preferences_and_texts_can_be_named(write: Write) -> None:
    path = write('{"q": "wo?", "good": "da", "bad": "dort", "body": "Es war einmal"}')
    (pair,) = read_preferences([path], Data(input="q", chosen="good", rejected="bad")).rows
    assert (pair.messages[0].content, pair.chosen, pair.rejected) == ("wo?", "da", "dort")
    (text,) = read_texts([path], Data(text="body")).rows
    assert text.text == "Es war einmal"


@pytest.mark.parametrize(
    ("rows", "note"),
    [
        (SHAPES["OpenAI chat"], "rows read as chat (messages)."),
        (SHAPES["ShareGPT"], "rows read as chat (conversations)."),
        (SHAPES["Alpaca"], "rows read as Alpaca (instruction, input -> output)."),
        (SHAPES["text and label"], "rows read as text -> label."),
        (SHAPES["prompt and completion"], "rows read as prompt -> completion."),
    ],
)
def test_the_mapping_that_was_inferred_is_noted(write: Write, rows: Rows, note: str) -> None:
    path = write(jsonl(rows))
    assert f"{path}: {note}" in read_examples(path).notes


def test_the_system_column_of_rows_for_models_becomes_a_system_turn(write: Write) -> None:
    for row in (
        {"instruction": "q", "output": "a"},
        {"prompt": "q", "completion": "a"},
        {"conversations": turns("from", "value", "q", "a")},
        {"prompt": turns("role", "content", "q", "a")[:1], "completion": "a"},
    ):
        (example,) = read_examples(write(json.dumps({**row, "system": "Be brief."}))).examples
        assert example.messages == (
            Message(role="system", content="Be brief."),
            Message(role="user", content="q"),
        )
        assert example.metadata == {}


def test_labels_that_hugging_face_keeps_as_numbers_get_their_names(write: Write) -> None:
    features = {
        "text": {"_type": "Value"},
        "label": {"_type": "ClassLabel", "names": ["no", "yes"]},
    }
    info = json.dumps({"info": {"features": features}})
    schema = pyarrow.schema(
        [("text", pyarrow.string()), ("label", pyarrow.int64())], metadata={"huggingface": info}
    )
    rows = pyarrow.Table.from_pylist([{"text": "q", "label": 1}, {"text": "r", "label": 0}], schema)
    out = io.BytesIO()
    pyarrow.parquet.write_table(rows, out)
    result = read_examples(write(out.getvalue()))
    assert content(result.examples) == [("q", "yes"), ("r", "no")]
    assert any("numbers of 2 labels; read as their names" in note for note in result.notes)


def test_a_table_in_columns_may_hold_dates_decimals_and_gaps(write: Write) -> None:
    row = {
        "input": "q",
        "output": decimal.Decimal("3"),
        "when": datetime.date(2024, 2, 1),
        "share": float("nan"),
        "picture": b"\x89PNG",
        "about": {"known": 1, "unknown": None},
    }
    result = read_examples(write(parquet([row])))
    (example,) = result.examples
    assert example.target == "3"
    assert example.metadata == {
        "when": "2024-02-01", "share": None, "picture": None, "about": {"known": 1},
    }  # fmt: skip
    assert any("bytes" in note and "left out" in note for note in result.notes)


def test_examples_are_plain_records(write: Write) -> None:
    (example,) = read_examples(write(OK)).examples
    assert example == Example(
        id=example.id, messages=(Message(role="user", content="q"),), target="a"
    )
