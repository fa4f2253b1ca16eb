import csv
import gzip
import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tunewise.data.read import read_data, read_examples
from tunewise.errors import UserError
from tunewise.project import Data
from tunewise.types import Example, Message

Write = Callable[..., Path]
PAIRS = [("Where is my parcel?", "delivery"), ("It broke, “twice”\nsorry; really", "defect")]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def _write(content: bytes | str, name: str = "rows.jsonl") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return _write


def chat(*turns: tuple[object, object], **more: object) -> str:
    return json.dumps({"messages": [{"role": r, "content": c} for r, c in turns], **more})


def faults(path: Path, **options: str) -> list[str]:
    with pytest.raises(UserError) as caught:
        read_examples(path, **options)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(str(path)) for line in lines)
    return [line.removeprefix(str(path)).removeprefix(":") for line in lines]


def content(examples: tuple[Example, ...]) -> list[tuple[str, str]]:
    return [(example.input.text, example.target) for example in examples]


def table(delimiter: str) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter).writerows([("input", "output"), *PAIRS])
    return out.getvalue().encode()


ROWS = [{"input": question, "output": answer} for question, answer in PAIRS]
JSONL = "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS).encode()
SAME = {
    "jsonl": JSONL,
    "jsonl with a last line end": JSONL + b"\n",
    "jsonl with CRLF and blank lines": JSONL.replace(b"\n", b"\r\n\r\n"),
    "jsonl with lone CR": JSONL.replace(b"\n", b"\r"),
    "jsonl with a byte order mark": b"\xef\xbb\xbf" + JSONL,
    "jsonl in UTF-16": JSONL.decode().encode("utf-16"),
    "gzip": gzip.compress(JSONL),
    "array": json.dumps(ROWS).encode(),
    "pretty array": json.dumps(ROWS, indent=2).encode(),
    "pretty objects": "\n".join(json.dumps(row, indent=2) for row in ROWS).encode(),
    "csv": table(","),
    "csv with semicolons": table(";"),
    "tsv": table("\t"),
    "gzipped csv": gzip.compress(table(",")),
    "chat": "\n".join(chat(("user", q), ("assistant", a)) for q, a in PAIRS).encode(),
    "chat in parts": "\n".join(
        chat(("user", [{"type": "text", "text": q}]), ("assistant", a)) for q, a in PAIRS
    ).encode(),
    "ShareGPT": json.dumps(
        [
            {"conversations": [{"from": "human", "value": q}, {"from": "gpt", "value": a}]}
            for q, a in PAIRS
        ]
    ).encode(),
    "Alpaca": json.dumps([{"instruction": q, "input": "", "output": a} for q, a in PAIRS]).encode(),
    "prompt and completion": json.dumps(
        [{"prompt": q, "completion": a} for q, a in PAIRS]
    ).encode(),
    "text and label": json.dumps([{"text": q, "label": a} for q, a in PAIRS]).encode(),
}


@pytest.mark.parametrize("raw", SAME.values(), ids=SAME.keys())
@pytest.mark.parametrize("ending", ["jsonl", "csv", "txt"])
def test_equivalent_files_read_into_equal_examples(write: Write, raw: bytes, ending: str) -> None:
    assert (
        read_examples(write(raw, f"rows.{ending}")).examples == read_examples(write(JSONL)).examples
    )


def test_the_mapping_and_every_repair_are_noted(write: Write) -> None:
    notes = "\n".join(read_examples(write(b"\xef\xbb\xbf" + SAME["pretty array"])).notes)
    assert "byte order mark" in notes
    assert "one JSON array" in notes
    assert "rows read as input -> output" in notes
    assert "ends in .jsonl, but holds a table" in read_examples(write(table(","))).notes[0]
    assert "CRLF" in read_examples(write(JSONL.replace(b"\n", b"\r\n"))).notes[0]


def test_columns_can_be_named(write: Write) -> None:
    path = write('{"frage": "wo?", "antwort": {"ort": "Köln", "n": 2}}')
    assert content(read_examples(path, input="frage", output="antwort").examples) == [
        ("wo?", '{"ort": "Köln", "n": 2}')
    ]


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
    assert any("1 row: several answers" in note for note in result.notes)


def test_alpaca_input_follows_the_instruction(write: Write) -> None:
    path = write('{"instruction": "Translate.", "input": "Hund", "output": "dog"}')
    assert content(read_examples(path).examples) == [("Translate.\n\nHund", "dog")]


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
    assert read_examples(path, group="document").examples[0].group == "policy 17"


def test_the_group_comes_from_the_row_or_its_meta(write: Write) -> None:
    path = write(
        '{"input": "q", "output": "a", "customer": 7}\n'
        '{"input": "r", "output": "a", "meta": {"customer": "eight"}}\n'
        '{"input": "s", "output": "a"}'
    )
    result = read_examples(path, group="customer")
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
    path = write(SAME["pretty array"])
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


OK = chat(("user", "q"), ("assistant", "a"))
FAULTS: dict[str, tuple[bytes | str, str]] = {
    "zero bytes": (b"", " is empty. Put one example on each line."),
    "white space": (b" \n\t\n", " is empty."),
    "Latin-1": (
        '{"input": "a"}\n{"input": "caf\xe9"}'.encode("latin-1"),
        "2: byte 0xE9 is no UTF-8",
    ),
    "UTF-16 without mark": (JSONL.decode().encode("utf-16-le"), " looks like UTF-16"),
    "damaged UTF-16": (b"\xff\xfe{\x00\x00\xd8", " is damaged: not valid UTF-16"),
    "binary": (bytes(range(256)) * 4, " is binary, not text."),
    "PDF": (b"%PDF-1.7 ...", " is a PDF, not text. Export it as CSV or JSONL."),
    "XLSX": (b"PK\x03\x04....", " is a ZIP or Excel file"),
    "Parquet": (b"PAR1....", " is a Parquet file"),
    "truncated gzip": (gzip.compress(JSONL * 50)[:-20], " is a damaged or truncated gzip"),
    "NUL": ('{"input": "a\0", "output": "b"}', "1: holds a NUL character"),
    "escaped NUL": ('{"input": "a\\u0000", "output": "b"}', "1: holds a NUL character"),
    "trailing comma": ('{"input": "a", "output": "b",}', "1: is not JSON at column 30"),
    "comma after a row": ('{"input": "a", "output": "b"},\n', "1: is not JSON at column 30"),
    "two rows on a line": (OK + OK, "Put each row on a line of its own"),
    "single quotes": ("{'input': 'a'}", "Use double quotes."),
    "Python literals": ('{"input": "a", "output": None}', "Write null, true or false"),
    "half a last line": (f'{OK}\n{{"messages": [{{"role": "us', "2: is not JSON"),
    "array not closed": (f"[{OK}", "1: the array is not closed. Add ] at the end."),
    "array with a comma too many": (f"[{OK},\n{OK},\n]", "3: has a comma too few or too many"),
    "array without a comma": (f"[{OK}\n{OK}]", "2: has a comma too few or too many"),
    "array cut off": (f"[{OK},\n{OK[:30]}", "2: is not JSON"),
    "more after the array": (f"[{OK}] {OK}", "1: more follows after the array"),
    "NaN": ('{"input": "a", "output": NaN}', "1: holds NaN, which is no JSON"),
    "-Infinity": ('{"input": "a", "output": -Infinity}', "1: holds -Infinity"),
    "1e999": ('{"input": "a", "output": 1e999}', "1: holds 1e999"),
    "5,000 digits": ('{"input": "a", "output": ' + "1" * 5000 + "}", "a number of 5000 digits"),
    "duplicate key": ('{"input": "a", "input": "b"}', '1: has the key "input" twice'),
    "deep nesting": ('{"input": ' + "[" * 100_000, "1: is nested deeper than 100"),
    "deep but closed": ('{"input": "a", "output": ' + "[" * 200 + "]" * 200 + "}", "1: is nested"),
    "deep array": ("[" * 100_000, "1: is nested deeper than 100"),
    "lone surrogate": ('{"input": "a\\ud800", "output": "b"}', "1: holds half a character"),
    "rows that are lists": ('["a", "b"]\n["c", "d"]', "1: the row is no object"),
    "array of texts": ('["a", "b"]', "1: the row is no object"),
    "array of nothing": ("[]", "1: holds no rows"),
    "text": ("Just a sentence", "1: is not JSON at column 1"),
    "ragged": ("input,output\na,b\nc\nd,e,f\n", "3: has 1 cells, the header has 2"),
    "unclosed quote": ('input,output\na,b\n"c,d\ne,f\n', "3: a quote is not closed"),
    "header only": ("input,output\n", "1: holds no rows"),
    "no header": ("where is it?,delivery\nbroken,defect\n", "a table needs a header line"),
    "column twice": ("input,input\na,b\n", '1: the header names "input" more than once'),
    "columns without names": ("input,output,,\na,b,,\n", "1: the header has columns without"),
    "unknown columns": ('{"mesages": []}', 'Did you mean "messages"?'),
    "empty object": ("{}", "1: the row is empty"),
    "empty answer": ('{"input": "a", "output": " "}', "1: output is empty"),
    "null answer": ('{"input": "a", "output": null}', "1: output is empty"),
    "structured input": ('{"input": ["a"], "output": "b"}', "1: input is no text"),
    "preference": ('{"prompt": "a", "chosen": "b", "rejected": "c"}', "1: is a preference pair"),
    "bad choices": ('{"question": "a", "choices": ["b", "c"], "answer": 2}', "none of the choices"),
    "id": ('{"id": [], "input": "a", "output": "b"}', "1: id is neither text nor whole number"),
    "empty list": ('{"messages": []}', "1: messages is no list of turns"),
    "messages as text": ('{"messages": "hi"}', "1: messages is no list of turns"),
    "turn as text": ('{"messages": ["hi"]}', "1: turn 1 is no object"),
    "no role": ('{"messages": [{"content": "hi"}]}', "1: turn 1 has no role"),
    "role Assistant": (chat(("user", "q"), ("Assistant", "a")), 'Did you mean "assistant"?'),
    "role human": (chat(("human", "q"), ("assistant", "a")), 'Did you mean "user"?'),
    "role xyz": (chat(("xyz", "q"), ("assistant", "a")), "Write one of system, user, assistant."),
    "null content": (chat(("user", "q"), ("assistant", None)), "content of turn 2 is null"),
    "number as content": (chat(("user", 3), ("assistant", "a")), "content of turn 1 is no text"),
    "picture": (chat(("user", [{"type": "image_url"}]), ("assistant", "a")), "more than text"),
    "empty assistant": (chat(("user", "q"), ("assistant", "")), "the assistant turn 2 is empty"),
    "no assistant": (chat(("user", "q")), "has no assistant turn"),
    "ends on user": (chat(("user", "q"), ("assistant", "a"), ("user", "r")), "ends on a user turn"),
    "no user": (chat(("system", "q"), ("assistant", "a")), "no user turn stands before the answer"),
    "system later": (
        chat(("user", "q"), ("system", "s"), ("user", "r"), ("assistant", "a")),
        "system turn that is not the first",
    ),
    "tool turn": (chat(("user", "q"), ("tool", "t"), ("assistant", "a")), "is a tool's"),
    "tools": (chat(("user", "q"), ("assistant", "a"), tools=[{}]), "offers tools"),
    "row weight 0": (chat(("user", "q"), ("assistant", "a"), weight=0), "a weight other than 1"),
    "answer weight 0": (OK.replace('"a"', '"a", "weight": 0'), "answer has weight 0"),
    "bad weight": (OK.replace('"a"', '"a", "weight": 0.5'), "turn 2 has a bad weight"),
    "mixed": (f'{OK}\n{{"input": "a", "output": "b"}}', "2: is written as input -> output, but"),
}  # fmt: skip


@pytest.mark.parametrize(("raw", "expected"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_named_with_its_place_and_remedy(
    write: Write, raw: bytes | str, expected: str
) -> None:
    found = faults(write(raw))
    assert any(expected in line for line in found), found
    assert all(line.rstrip().endswith((".", "?")) for line in found)


def test_prose_is_neither_json_nor_a_table(write: Write) -> None:
    assert "is neither JSON nor a table" in faults(write("Just a sentence", "rows.txt"))[0]


def test_two_user_turns_running_are_noted_with_the_template_that_refuses(write: Write) -> None:
    notes = read_examples(write(chat(("user", "q"), ("user", "r"), ("assistant", "a")))).notes
    assert any("Gemma's refuse" in note for note in notes)


def test_a_quote_that_swallows_rows_is_noted(write: Write) -> None:
    path = write('input,output,n\n"a,b,1\nc,d,2\ne,f,3\n",g,4\n')
    assert any(
        "looks like several rows in one pair of quotes" in n for n in read_examples(path).notes
    )


def test_paths_that_are_no_file_are_named(tmp_path: Path) -> None:
    assert "is a folder" in faults(tmp_path)[0]
    assert "does not exist" in faults(tmp_path / "gone.jsonl")[0]
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert "cannot be read" in faults(loop)[0]
    os.mkfifo(tmp_path / "pipe")
    assert "is no ordinary file" in faults(tmp_path / "pipe")[0]


def test_every_row_is_blamed_up_to_twenty_of_a_kind_then_counted(write: Write) -> None:
    rows = [chat(("user", "q"))] * 25 + ["{'a'}"] * 2 + [OK]
    found = faults(write("\n".join(rows)))
    assert [int(line.split(":")[0]) for line in found[:20]] == list(range(1, 21))
    assert [line.split(":")[0] for line in found[20:22]] == ["26", "27"]
    assert found[22:] == [" 5 more rows: no answer."]


def test_the_faults_of_all_files_come_together(write: Write) -> None:
    data = Data(train=write("{}", "a.jsonl"), test=write("[]", "b.jsonl"))
    with pytest.raises(UserError) as caught:
        read_data(data)
    assert "a.jsonl:1" in str(caught.value)
    assert "b.jsonl:1" in str(caught.value)


def test_ids_differ_between_the_files_of_an_own_split(write: Write) -> None:
    parts = read_data(Data(train=write(OK, "a.jsonl"), test=write(OK, "b.jsonl")))
    train, test = parts["train"].examples[0], parts["test"].examples[0]
    assert test.id == f"{train.id}-2"
    assert parts["test"].places[test.id].endswith("b.jsonl:1")


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
words = texts.filter(str.strip)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
quick = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quick
@given(
    rows=st.lists(st.tuples(words, words), min_size=1, max_size=5), indent=st.none() | st.just(1)
)
def test_any_texts_survive_jsonl_json_and_csv(
    write: Write, rows: list[tuple[str, str]], indent: int | None
) -> None:
    objects = [{"input": question, "output": answer} for question, answer in rows]
    out = io.StringIO(newline="")
    csv.writer(out).writerows([("input", "output"), *rows])
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in objects)
    for raw in (lines, json.dumps(objects, indent=indent), out.getvalue()):
        assert content(read_examples(write(raw)).examples) == rows


def survives(path: Path) -> None:
    """Reads, or says where and what: nothing else may happen."""
    message = str(path)
    try:
        assert read_examples(path, group="g").examples
    except UserError as error:
        message = str(error)
    assert message.startswith(str(path))


@quick
@given(
    raw=st.binary(max_size=60),
    start=st.sampled_from(
        [b"", b"[", b"{", b"\xff\xfe", b"\x1f\x8b", b"input,output\n", b'{"input":']
    ),
)
def test_no_bytes_end_in_anything_but_rows_or_a_clear_error(
    write: Write, raw: bytes, start: bytes
) -> None:
    survives(write(start + raw))


@quick
@given(
    row=st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            ["id", "input", "output", "instruction", "g", "meta", "weight", "choices"], values
        ),
    )
    | st.fixed_dictionaries(
        {"messages": values | st.lists(st.dictionaries(
            st.sampled_from(["role", "content", "weight"]),
            values | st.sampled_from(["user", "assistant", "system"]),
        ))}
    )
)  # fmt: skip
@example(row={"conversations": [{"from": "gpt", "value": "a"}]})
def test_no_json_ends_in_anything_but_rows_or_a_clear_error(
    write: Write, row: dict[str, object]
) -> None:
    survives(write(json.dumps(row)))


@quick
@given(body=st.text(st.sampled_from('ab,;\t"\r\n \ufeff'), max_size=40))
def test_no_table_ends_in_anything_but_rows_or_a_clear_error(write: Write, body: str) -> None:
    survives(write(f"input,output,g\n{body}"))


def test_messages_are_plain_records(write: Write) -> None:
    assert read_examples(write(OK)).examples[0].messages == (Message(role="user", content="q"),)


SHARED = Path(os.environ.get("TUNEWISE_DATA", Path(__file__).parents[3] / "shared" / "data"))


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"no public data sets at {SHARED}")
@pytest.mark.parametrize(
    ("name", "train", "test"),
    [("snips_json", 2998, 700), ("banking77", 2999, 1000), ("contoso", 253, 200)],
)
def test_public_data_sets_are_read_whole(name: str, train: int, test: int) -> None:
    parts = read_data(Data(train=SHARED / name / "train.jsonl", test=SHARED / name / "test.jsonl"))
    assert [len(parts[part].examples) for part in ("train", "test")] == [train, test]


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"no public data sets at {SHARED}")
def test_the_rows_of_contoso_name_their_document() -> None:
    rows = read_examples(SHARED / "contoso" / "train.jsonl").examples
    assert rows[0].metadata["document"] == "product_01-trailmaster-x4-tent.md"
    folder = SHARED / "contoso" / "docs"
    assert all((folder / str(row.metadata["document"])).is_file() for row in rows)
