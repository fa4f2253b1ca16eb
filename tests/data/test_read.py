"""Rows become examples with ids, groups, places and metadata; a file is never held in memory."""

import csv
import json
import os
import tracemalloc
from pathlib import Path

import pytest

from data_files import FORMATS, Write, chat, content, faults, jsonl
from places import ROOT
from tunewise.data.formats import text_stream as file_bytes
from tunewise.data.read import read_data, read_examples, stream_examples
from tunewise.data.read_log import Reading
from tunewise.errors import UserError
from tunewise.project.settings import Data

OK = chat(("user", "q"), ("assistant", "a"))


def test_a_system_turn_and_earlier_answers_are_context(write: Write) -> None:
    row = chat(
        ("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello"), ("user", "Bye"),
        ("assistant", "So long"),
    )  # fmt: skip
    result = read_examples(write(row))
    assert [turn.role for turn in result.examples[0].messages] == [
        "system", "user", "assistant", "user",
    ]  # fmt: skip
    assert result.examples[0].target == "So long"
    assert any(":1: several answers" in note for note in result.notes)


def test_alpaca_input_follows_the_instruction(write: Write) -> None:
    path = write('{"instruction": "Translate.", "input": "Hund", "output": "dog"}')
    assert content(read_examples(path).examples) == [("Translate.\n\nHund", "dog")]


@pytest.mark.parametrize("cell", [False, True])
@pytest.mark.parametrize(
    ("asked", "answer"), [("instruction", "output"), ("prompt", "response"), ("input", "output")]
)
def test_a_history_is_the_turns_before_the_question(
    write: Write, asked: str, answer: str, cell: bool
) -> None:
    # hiyouga/LlamaFactory#3351: a conversation whose earlier turns lie in a column of their own.
    history: object = [["Hi", "Hello, which order?"], ["Number 7", "It left today."]]
    row = {asked: "When is it here?", answer: "On Friday.", "history": history, "tag": "x"}
    if cell:
        row["history"] = json.dumps(history)
    (example,) = read_examples(write(json.dumps(row))).examples
    assert [(turn.role, turn.content, turn.weight) for turn in example.messages] == [
        ("user", "Hi", None),
        ("assistant", "Hello, which order?", 1),
        ("user", "Number 7", None),
        ("assistant", "It left today.", 1),
        ("user", "When is it here?", None),
    ]
    assert example.target == "On Friday."
    assert example.metadata == {"tag": "x"}


def test_a_system_turn_stands_before_the_history(write: Write) -> None:
    row = {
        "instruction": "And you?",
        "output": "Fine.",
        "system": "Be brief.",
        "history": [["Hi", "Yo"]],
    }
    (example,) = read_examples(write(json.dumps(row))).examples
    assert [turn.content for turn in example.messages] == ["Be brief.", "Hi", "Yo", "And you?"]


@pytest.mark.parametrize("history", ["asthma since 2011", "", None, 3, "[[not JSON", []])
def test_a_history_that_is_no_list_of_turns_stays_metadata(write: Write, history: object) -> None:
    row = {"instruction": "Sum up.", "output": "Fine.", "history": history}
    (example,) = read_examples(write(json.dumps(row))).examples
    assert len(example.messages) == 1
    assert example.metadata["history"] == history


@pytest.mark.parametrize(
    "history", [["Hi", "Yo"], [["Hi"]], [["Hi", None]], [["Hi", ""]], [{"q": 1}]]
)
def test_a_history_without_pairs_is_an_error_by_line(write: Write, history: object) -> None:
    row = {"instruction": "Sum up.", "output": "Fine.", "history": history}
    with pytest.raises(UserError, match=r":1: history is no list of pairs\. Write \[\["):
        read_examples(write(json.dumps(row)))


def test_multiple_choice_keeps_its_choices(write: Write) -> None:
    path = write('{"question": "2 + 2?", "choices": ["3", "4"], "answer": 1}')
    assert content(read_examples(path).examples) == [("2 + 2?\nA. 3\nB. 4", "B")]


def test_other_columns_become_metadata_and_name_the_document(write: Write) -> None:
    path = write('{"input": "q", "output": 3, "meta": {"doc": "a.md", "n": [1]}, "n": 2}')
    row = read_examples(path).examples[0]
    assert row.target == "3"
    assert row.metadata == {"doc": "a.md", "document": "a.md", "meta.n": [1], "n": 2}


@pytest.mark.parametrize(
    ("columns", "document"),
    [
        ({"document": "faq/returns.html"}, "faq/returns.html"),
        ({"doc": "tent 4.2 manual.pdf", "source": "b.md"}, "tent 4.2 manual.pdf"),
        ({"document": "Tents are sold. So are bags.", "doc": "a.md"}, "a.md"),
        ({"source": "a.md"}, "a.md"),
        ({"source": "a.md", "doc": None}, None),
        ({"source": "newsroom"}, None),
        ({"source": "https://shop.example/a.html"}, None),
        ({"doc": "version 1.5"}, None),
        ({"document": 7}, None),
    ],
)
def test_the_document_is_a_files_name_and_source_counts_only_alone(
    write: Write, columns: dict[str, object], document: str | None
) -> None:
    path = write(json.dumps({"input": "q", "output": "a", **columns}))
    assert read_examples(path).examples[0].metadata.get("document") == document


def test_rows_can_be_grouped_by_a_document_that_is_no_file(write: Write) -> None:
    path = write('{"input": "q", "output": "a", "document": "policy 17"}')
    assert read_examples(path, Data(group="document")).examples[0].group == "policy 17"


def test_the_group_comes_from_the_row_or_its_meta(write: Write) -> None:
    path = write(
        '{"input": "q", "output": "a", "customer": 7}\n'
        '{"input": "r", "output": "a", "meta": {"customer": "eight"}}\n'
        '{"input": "s", "output": "a"}'
    )
    result = read_examples(path, Data(group="customer"))
    assert [row.group for row in result.examples] == ["7", "eight", None]
    assert any("1 rows have no customer" in note for note in result.notes)
    assert 'Did you mean "customer"?' in faults(path, group="custmer")[0]


def test_ids_are_the_rows_own_or_stay_when_rows_are_added(write: Write) -> None:
    row = '{"input": "q", "output": "a"}'
    before = read_examples(write(f"{row}\n{row}")).examples
    after = read_examples(write(f'{{"id": 5, "input": "n", "output": "a"}}\n{row}\n{row}')).examples
    assert after[0].id == "5"
    assert [row.id for row in after[1:]] == [row.id for row in before]
    assert before[1].id == f"{before[0].id}-2"


def test_places_give_the_line_where_each_row_begins(write: Write) -> None:
    rows = [{"input": "q", "output": "a"}, {"input": "r", "output": "b"}]
    path = write(json.dumps(rows, indent=2))
    assert list(read_examples(path).places.values()) == [f"{path}:2", f"{path}:6"]
    path = write('input,output\n"two\nlines",a\nb,c\n', "rows.csv")
    assert list(read_examples(path).places.values()) == [f"{path}:2", f"{path}:4"]


def test_line_separators_of_unicode_do_not_break_a_row(write: Write) -> None:
    path = write('{"input": "a\u2028b\u0085c", "output": "d"}\n')
    assert content(read_examples(path).examples) == [("a\u2028b\u0085c", "d")]


def test_long_csv_cells_are_read(write: Write) -> None:
    path = write("input,output\n" + "x" * 200_000 + ",a\n")
    assert len(read_examples(path).examples[0].input.text) == 200_000
    assert csv.field_size_limit() == 131_072


MANY = [{"input": f"question {n}: ä\nin two lines", "output": "ab"[n % 2]} for n in range(400)]


@pytest.mark.parametrize("size", [1, 3, 61])
@pytest.mark.parametrize("name", FORMATS)
def test_it_does_not_matter_where_a_chunk_ends(
    write: Write, monkeypatch: pytest.MonkeyPatch, name: str, size: int
) -> None:
    path = write(FORMATS[name](MANY))
    monkeypatch.setattr(file_bytes, "CHUNK", size)
    assert [(row["input"], row["output"]) for row in MANY] == content(read_examples(path).examples)


@pytest.mark.parametrize("name", ["jsonl", "array", "pretty objects", "csv", "gzip", "parquet"])
def test_memory_does_not_grow_with_the_file(write: Write, name: str) -> None:
    rows = [{"input": f"{n} {'x' * 4000}", "output": "a"} for n in range(5_000)]
    path = write(FORMATS[name](rows))
    del rows
    read_examples(write(OK, "warm.jsonl"))
    tracemalloc.start()
    count = sum(1 for _ in stream_examples([path], Data(), Reading()))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 5_000
    assert peak < 8_000_000  # of 20 MB; a batch of Parquet rows is 4


def test_files_of_any_format_follow_one_another(write: Write) -> None:
    paths = [write(OK, "a.jsonl"), write("text,label\nr,b\ns,c\n", "b.csv"), write(OK, "c.json")]
    reading = Reading()
    placed = list(stream_examples(paths, Data(), reading))
    assert [(p.file.name, p.line, p.example.target) for p in placed] == [
        ("a.jsonl", 1, "a"), ("b.csv", 2, "b"), ("b.csv", 3, "c"), ("c.json", 1, "a"),
    ]  # fmt: skip
    assert placed[3].example.id == f"{placed[0].example.id}-2"
    assert f"{paths[1]}: rows read as text -> label." in reading.notes()
    assert reading.fault_count == 0


def test_rows_with_faults_are_left_out_and_the_others_go_on(write: Write) -> None:
    reading = Reading()
    paths = [write(f"{OK}\n{{}}\n{OK}", "a.jsonl"), write(b"", "b.jsonl"), write(OK, "c.jsonl")]
    placed = list(stream_examples(paths, Data(), reading))
    assert [(p.file.name, p.line) for p in placed] == [
        ("a.jsonl", 1), ("a.jsonl", 3), ("c.jsonl", 1),
    ]  # fmt: skip
    assert [line.split(": ")[0] for line in reading.lines()] == [f"{paths[0]}:2", str(paths[1])]


def test_an_id_that_every_row_has_gets_as_many_suffixes(write: Write) -> None:
    rows = [{"id": "x", "input": f"q{n}", "output": "a"} for n in range(2_000)]
    ids = [example.id for example in read_examples(write(jsonl(rows))).examples]
    assert ids == ["x", *(f"x-{n}" for n in range(2, 2_001))]


def test_ids_differ_between_the_files_of_an_own_split(write: Write) -> None:
    parts = read_data(Data(train=(write(OK, "a.jsonl"),), test=(write(OK, "b.jsonl"),)))
    train, test = parts["train"].examples[0], parts["test"].examples[0]
    assert test.id == f"{train.id}-2"
    assert parts["test"].places[test.id].endswith("b.jsonl:1")


SHARED = Path(os.environ.get("TUNEWISE_DATA", ROOT.parent / "shared" / "data"))


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"no public data sets at {SHARED}")
@pytest.mark.parametrize(
    ("name", "train", "test"),
    [("snips_json", 2998, 700), ("banking77", 2999, 1000), ("contoso", 253, 200)],
)
def test_public_data_sets_are_read_whole(name: str, train: int, test: int) -> None:
    parts = read_data(
        Data(train=(SHARED / name / "train.jsonl",), test=(SHARED / name / "test.jsonl",))
    )
    assert [len(parts[part].examples) for part in ("train", "test")] == [train, test]


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"no public data sets at {SHARED}")
def test_the_rows_of_contoso_name_their_document() -> None:
    rows = read_examples(SHARED / "contoso" / "train.jsonl").examples
    assert rows[0].metadata["document"] == "product_01-trailmaster-x4-tent.md"
    folder = SHARED / "contoso" / "docs"
    assert all((folder / str(row.metadata["document"])).is_file() for row in rows)
