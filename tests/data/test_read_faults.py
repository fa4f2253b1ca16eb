"""Every fault of a file, of JSON and CSV and of chats, in its class, with its place and remedy."""

import gzip
import json
import os
from pathlib import Path

import pytest

from command_line import tunewise
from data_files import Write, chat, content, faults, jsonl, parquet
from tunewise.data.formats import text_stream as file_bytes
from tunewise.data.read import read_data, read_examples
from tunewise.errors import UserError
from tunewise.project.settings import Data
from tunewise.types import Message

ROW = {"input": "q", "output": "a"}
LINE = json.dumps(ROW)
JSONL = f"{LINE}\n".encode() * 3
OK = chat(("user", "q"), ("assistant", "a"))
TOOL = {"type": "function", "function": {"name": "f"}}
Raw = bytes | str


def calling(**function: object) -> str:
    """A row whose answer calls a tool."""
    call = {"id": "c", "type": "function", "function": function}
    turns = [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
    ]
    return json.dumps({"messages": turns, "tools": [TOOL]})


ACCEPTED: dict[str, tuple[Raw, str, str]] = {
    # name: (content, name of the file, the note; "" where there is nothing to say)
    "UTF-8 BOM": (b"\xef\xbb\xbf" + JSONL, "a.jsonl", ": read as UTF-8 with a byte order mark."),
    "UTF-16": (JSONL.decode().encode("utf-16"), "a.jsonl", ": read as UTF-16."),
    "UTF-32": (JSONL.decode().encode("utf-32"), "a.jsonl", ": read as UTF-32."),
    "CRLF": (JSONL.replace(b"\n", b"\r\n"), "a.jsonl", ": lines end in CRLF; read as line ends."),
    "lone CR": (JSONL.replace(b"\n", b"\r"), "a.jsonl", ": lines end in CR; read as line ends."),
    "missing final newline": (JSONL.rstrip(), "a.jsonl", ""),
    "blank lines": (JSONL.replace(b"\n", b"\n\n \n"), "a.jsonl", ""),
    "JSON array in a .jsonl": (f"[{LINE},\n{LINE}]", "a.jsonl", ": holds one JSON array instead"),
    "JSON array in a .json": (f"[{LINE},\n{LINE}]", "a.json", ""),
    "pretty-printed objects": (json.dumps(ROW, indent=2), "a.jsonl", ": rows spread over several"),
    "ending .jsonl, content CSV": ("input,output\nq,a\n", "a.jsonl", ": ends in .jsonl, but"),
    "ending .csv, content JSON": (LINE, "a.csv", ": ends in .csv, but holds JSON; read as JSON."),
    "ending .csv, content Parquet": (
        parquet([ROW]), "a.csv", ": ends in .csv, but holds a table in columns; read as such."
    ),
    "gzip without its ending": (gzip.compress(JSONL), "a.jsonl", ": is packed with gzip;"),
    "gzip": (gzip.compress(JSONL), "a.jsonl.gz", ""),
    "semicolons": ("input;output\nq;a\n", "a.csv", ": columns are separated by semicolons"),
    "the id twice": (f'{LINE}\n{LINE}', "a.jsonl", ":2: has an id or a content that"),
    "two user turns running": (
        chat(("user", "q"), ("user", "r"), ("assistant", "a")),
        "a.jsonl", ":1: two user turns running; templates such as Gemma's refuse that.",
    ),
    "several answers": (
        chat(("user", "q"), ("assistant", "a"), ("user", "q"), ("assistant", "a")),
        "a.jsonl", ":1: several answers; those of weight 1 are learnt, the last is asked for.",
    ),
    "turns after the last answer of weight 1": (
        f'{{"messages": [{OK[14:-2]}, {{"role": "user", "content": "r"}}, '
        '{"role": "assistant", "content": "b", "weight": 0}]}',
        "a.jsonl", ":1: the turns after the last answer of weight 1 were left out.",
    ),
    "greeting": (
        chat(("assistant", "Hello!"), ("user", "q"), ("assistant", "a")),
        "a.jsonl", ":1: an answer before any question; it is context, not learnt.",
    ),
    "role developer": (
        chat(("developer", "s"), ("user", "q"), ("assistant", "a")),
        "a.jsonl", ':1: the role "developer" was read as system.',
    ),
    "unknown key of a turn": (
        OK.replace('"q"', '"q", "mood": "good"'),
        "a.jsonl", ':1: the key "mood" of a turn is not used.',
    ),
    "weight of a question": (
        OK.replace('"q"', '"q", "weight": 1'),
        "a.jsonl", ":1: a weight of 1 on a turn that is no assistant's; only answers are learnt.",
    ),
    "a quote that swallows rows": (
        'input,output,n\nq,a,1\n"a,b,1\nc,d,2\ne,f,3\n",g,4\n',
        "a.csv", ":3: looks like several rows in one pair of quotes. Check its quotes.",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("raw", "name", "expected"), ACCEPTED.values(), ids=ACCEPTED.keys())
def test_what_has_a_sure_repair_is_accepted_with_a_note(
    write: Write, raw: Raw, name: str, expected: str
) -> None:
    path = write(raw, name)
    result = read_examples(path)
    assert ("q", "a") in [(text[:1], target) for text, target in content(result.examples)]
    assert all(note.startswith(str(path)) and note.endswith(".") for note in result.notes)
    own = [note.removeprefix(str(path)) for note in result.notes]
    if expected:
        assert any(note.startswith(expected) for note in own), own
    else:
        usual = ("rows read as", "has an id or a content")
        assert all(note.partition(": ")[2].startswith(usual) for note in own), own


FILES: dict[str, tuple[Raw, str]] = {
    "zero bytes": (b"", " is empty. Put one example on each line."),
    "only white space": (b" \n\t\n" * 200_000, " is empty."),
    "Latin-1": (
        '{"input": "a"}\n{"input": "caf\xe9"}'.encode("latin-1"),
        "2: byte 0xE9 is no UTF-8 (as Latin-1: 'é'). Save the file as UTF-8; ",
    ),
    "Latin-1 in an array": (f'[{LINE},\n{{"input": "é", "output": "a"}}]'.encode("latin-1"),
        "2: byte 0xE9 is no UTF-8"),
    "Latin-1 in a table": ("input,output\na,b\né,c\n".encode("latin-1"), "3: byte 0xE9 is no"),
    "UTF-16 without its mark": (JSONL.decode().encode("utf-16-le"), " looks like UTF-16"),
    "damaged UTF-16": (b"\xff\xfe{\x00\x00\xd8", " is damaged: not valid UTF-16"),
    "binary": (bytes(range(256)) * 4, " is binary, not text."),
    "PDF": (b"%PDF-1.7 ...", " is a PDF, not text. Export it as CSV or JSONL."),
    "XLSX": (b"PK\x03\x04....", " is a ZIP or Excel file, not text. Export it as CSV or JSONL."),
    "damaged Parquet": (b"PAR1....", " is damaged (Parquet magic bytes not found in footer."),
    "damaged Arrow": (b"\xff\xff\xff\xff....", " is damaged ("),
    "truncated gzip": (gzip.compress(JSONL * 50)[:-20], " is a damaged or truncated gzip file."),
    "gzip in gzip": (gzip.compress(gzip.compress(JSONL)), " is gzip inside gzip, not text."),
    "no rows": ("[]", "1: holds no rows. Put one example on each line."),
    "a table of nothing but its header": ("input,output\n", "1: holds no rows."),
    "prose": ("Just a sentence", "1: is not JSON at column 1"),
}  # fmt: skip
JSON: dict[str, tuple[Raw, str]] = {
    "trailing comma": ('{"input": "a", "output": "b",}', "1: is not JSON at column 30 "),
    "comma after a row": (f"{LINE},\n", "Remove the comma too many."),
    "two rows on a line": (OK + OK, "Put each row on a line of its own."),
    "single quotes": ("{'input': 'a'}", "Use double quotes."),
    "Python literals": ('{"input": "a", "output": None}', "Write null, true or false,"),
    "raw line break in a text": ('{"input": "a\tb", "output": "c"}', r"Write \n for a line break"),
    "half a last line": (f'{OK}\n{{"messages": [{{"role": "us', "2: is not JSON at column "),
    "half a last line, told": (f'{OK}\n{{"messages": [', "It seems cut off."),
    "array not closed": (f"[{OK}", "1: the array is not closed. Add ] at the end."),
    "array with a comma too many": (f"[{OK},\n{OK},\n]", "3: has a comma too few or too many."),
    "array without a comma": (f"[{OK}\n{OK}]", "2: has a comma too few or too many."),
    "array cut off": (f"[{OK},\n{OK[:30]}", "2: is not JSON at column "),
    "more after the array": (f"[{OK}] {OK}", "1: more follows after the array. Remove it."),
    "NaN": ('{"input": "a", "output": NaN}', "1: holds NaN, which is no JSON."),
    "-Infinity": ('{"input": "a", "output": -Infinity}', "1: holds -Infinity,"),
    "NaN in an array": (f'[{LINE},\n{{"n": NaN}},\n{{"n": NaN}}]', "3: holds NaN, which"),
    "1e999": ('{"input": "a", "output": 1e999}', "1: holds 1e999, which is no JSON."),
    "5,000 digits": ('{"input": "a", "output": ' + "1" * 5000 + "}", "a number of 5000 digits."),
    "duplicate keys": ('{"input": "a", "input": "b"}', '1: has the key "input" twice.'),
    "deep nesting": ('{"input": ' + "[" * 100_000, "1: is nested deeper than 100 levels."),
    "deep but closed": ('{"input": "a", "output": ' + "[" * 200 + "]" * 200 + "}", "1: is nested"),
    "deep array": ("[" * 100_000, "1: is nested deeper than 100 levels."),
    "lone surrogate": ('{"input": "a\\ud800", "output": "b"}', "1: holds half a character"),
    "NUL": ('{"input": "a\0", "output": "b"}', "1: holds a NUL character. Remove it."),
    "escaped NUL": ('{"input": "a\\u0000", "output": "b"}', "1: holds a NUL character."),
    "a row that is no object": ('["a", "b"]\n["c", "d"]', "1: the row is no object."),
    "an array of texts": ('["a", "b"]', "1: the row is no object."),
    "a text": ('"a"\n', "1: the row is no object."),
    "an empty object": ("{}", "1: the row is empty. Write an input and an answer."),
    "unknown columns": ('{"mesages": []}', 'Did you mean "messages"?'),
    "mixed schemas": (f'{OK}\n{LINE}', "2: is written as input -> output, but line 1 as chat"),
}  # fmt: skip
CSV: dict[str, tuple[Raw, str]] = {
    "unclosed quote that swallows rows": ('input,output\na,b\n"c,d\ne,f\n', "3: a quote is not"),
    "a quote within a cell": ('input,output\n"a"b,c\n', "2: a quote is not closed or stands"),
    "ragged": ("input,output\na,b\nc\nd,e,f\n", "3: has 1 cells, the header has 2."),
    "no header": ("where is it?,delivery\nbroken,defect\n", "a table needs a header line."),
    "a column twice": ("input,input\na,b\n", '1: the header names "input" more than once.'),
    "a value in a column without a name": (
        "input,output,,\na,b,,\nc,d,,e\n", '3: has "e" in column 4, which has no name. Name it in'
    ),
    "a remark below the table": (
        "input,output\na,b\n\nFor use in the office only.\n",
        "4: has 1 cells, the header has 2. Check its quotes. If it is a remark or a total below",
    ),
    "NUL in a table": ("input,output\na,b\nc\0,d\n", "3: holds a NUL character. Remove it."),
    "empty cell": ("input,output\na,\n", "2: output is empty. Fill it in, or remove the row."),
}  # fmt: skip
CHAT: dict[str, tuple[Raw, str]] = {
    "no messages": ('{"turns": []}', "none known as input and answer."),
    "empty list": ('{"messages": []}', "1: messages is no list of turns."),
    "messages as text": ('{"messages": "hi"}', "1: messages is no list of turns."),
    "messages as broken JSON": ('{"messages": "[{"}', "1: messages is no JSON"),
    "turn as text": ('{"messages": ["hi"]}', "1: turn 1 is no object."),
    "no role": ('{"messages": [{"content": "hi"}]}', "1: turn 1 has no role."),
    "role Assistant": (chat(("user", "q"), ("Assistant", "a")), 'Did you mean "assistant"?'),
    "role human": (chat(("human", "q"), ("assistant", "a")), 'Did you mean "user"?'),
    "role xyz": (chat(("xyz", "q"), ("assistant", "a")), "Write one of system, user, assistant."),
    "null content": (chat(("user", "q"), ("assistant", None)), "1: content of turn 2 is null."),
    "number as content": (chat(("user", 3), ("assistant", "a")), "content of turn 1 is no text."),
    "picture": (chat(("user", [{"type": "image_url"}]), ("assistant", "a")), "more than text."),
    "empty assistant turn": (chat(("user", "q"), ("assistant", "")), "assistant turn 2 is empty."),
    "no assistant turn": (chat(("user", "q")), "1: has no assistant turn. Add the answer wanted."),
    "ends on user": (chat(("user", "q"), ("assistant", "a"), ("user", "r")), "ends on a user"),
    "no user turn": (chat(("system", "q"), ("assistant", "a")), "no user turn stands before"),
    "system turn not first": (
        chat(("user", "q"), ("system", "s"), ("user", "r"), ("assistant", "a")),
        "1: has a system turn that is not the first. Move it to the front.",
    ),
    "tool call with bad JSON": (
        calling(name="f", arguments='{"a": '), 'the arguments of "f" in turn 2 is no JSON ('
    ),
    "tool call with NaN": (calling(name="f", arguments='{"a": NaN}'), 'in turn 2 holds NaN'),
    "tool call with a list": (calling(name="f", arguments="[1]"), "in turn 2 are no JSON object."),
    "tool call without a name": (calling(arguments="{}"), "a tool call of turn 2 has no name."),
    "tools that are no list": (
        chat(("user", "q"), ("assistant", "a"), tools="a hammer"), "1: tools is no JSON ("
    ),
    "tool without a name": (
        chat(("user", "q"), ("assistant", "a"), tools=[{"type": "function"}]), "tool 1 has no name."
    ),
    "tool that is no function": (
        chat(("user", "q"), ("assistant", "a"), tools=[{**TOOL, "type": "file"}]),
        'tool 1 is of the type "file". Keep functions only.',
    ),
    "a result that nobody asked for": (
        chat(("user", "q"), ("tool", "t"), ("assistant", "a")),
        "turn 2 is a tool's result, but no call stands before it.",
    ),
    "bad weight": (OK.replace('"a"', '"a", "weight": 0.5'), "1: turn 2 has a bad weight. Write 0"),
    "weight as text": (OK.replace('"a"', '"a", "weight": "1"'), "1: turn 2 has a bad weight."),
    "weight true": (OK.replace('"a"', '"a", "weight": true'), "1: turn 2 has a bad weight."),
    "bad weight of a row": (chat(("user", "q"), ("assistant", "a"), weight=2), "the row has a bad"),
    "all weights 0": (OK.replace('"a"', '"a", "weight": 0'), "1: all its answers have weight 0,"),
    "weight 0 of a row": (chat(("user", "q"), ("assistant", "a"), weight=0), "1: its weight is 0,"),
}  # fmt: skip
COLUMNS: dict[str, tuple[Raw, str]] = {
    "empty answer": ('{"input": "a", "output": " "}', "1: output is empty."),
    "null answer": ('{"input": "a", "output": null}', "1: output is empty."),
    "structured input": ('{"input": ["a"], "output": "b"}', "1: input is no text."),
    "bad choices": ('{"question": "a", "choices": ["b", "c"], "answer": 2}', "none of the"),
    "bad id": ('{"id": [], "input": "a", "output": "b"}', "1: id is neither text nor whole"),
    "system prompt as a list": (
        '{"prompt": "a", "completion": "b", "system": []}', "1: system is no text."
    ),
}  # fmt: skip
ERRORS = {**FILES, **JSON, **CSV, **CHAT, **COLUMNS}


@pytest.mark.parametrize(("raw", "expected"), ERRORS.values(), ids=ERRORS.keys())
def test_an_error_is_named_with_its_place_and_remedy(write: Write, raw: Raw, expected: str) -> None:
    found = faults(write(raw))
    assert any(expected in line for line in found), found
    assert all(line.rstrip().endswith((".", "?")) for line in found)


@pytest.mark.parametrize("raw", [raw for raw, _ in ERRORS.values()], ids=ERRORS.keys())
def test_an_error_ends_the_command_and_nothing_is_written(write: Write, raw: Raw) -> None:
    path = write(raw, "data/rows.jsonl")
    done = tunewise("decide", path)
    assert (done.code, done.out) == (1, "")
    said = done.err.removeprefix("Reading the examples of data ...\n")
    assert said.startswith(f"error: {path}")
    assert "Traceback" not in done.err
    assert [file.name for file in path.parent.iterdir()] == ["rows.jsonl"]


def test_two_kinds_of_line_ends_and_a_mark_are_all_noted(write: Write) -> None:
    path = write(b"\xef\xbb\xbf" + f"{LINE}\r\n{LINE}\r{LINE}\n".encode())
    notes = "\n".join(read_examples(path).notes)
    assert "byte order mark" in notes
    assert "CRLF" in notes
    assert "end in CR;" in notes


def test_paths_that_are_no_file_are_named(tmp_path: Path) -> None:
    assert "is a folder" in faults(tmp_path)[0]
    assert "does not exist" in faults(tmp_path / "gone.jsonl")[0]
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert "cannot be read" in faults(loop)[0]
    os.mkfifo(tmp_path / "pipe")
    assert "is no ordinary file" in faults(tmp_path / "pipe")[0]


def test_a_file_that_may_not_be_read_is_named(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(self: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied")

    path = write(JSONL)
    monkeypatch.setattr(Path, "open", refused)  # the superuser may read everything
    assert faults(path) == [" cannot be read (Permission denied). Check the path and its rights."]


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (JSONL + b'{"input": "' + b"x" * 100_000_001, 4),
        (b"[" + LINE.encode() + b',\n{"input": "' + b"x" * 100_000_001, 2),
        (b'input,output\na,b\n"' + b"x" * 100_000_001, 3),
    ],
    ids=["jsonl", "array", "csv"],
)
def test_a_row_of_100_mb_is_refused_with_its_line(write: Write, raw: bytes, line: int) -> None:
    (found,) = faults(write(raw))
    assert found.startswith(f"{line}: ")
    assert "is longer than 100 MB" in found
    assert found.endswith("Rows after it were not read.")


def test_a_long_row_below_that_is_read(write: Write) -> None:
    long = "x" * (3 * file_bytes.CHUNK)
    for raw in (f'{{"input": "{long}", "output": "a"}}', f"input,output\n{long},a\n"):
        assert content(read_examples(write(raw)).examples) == [(long, "a")]


def test_every_row_is_blamed_up_to_twenty_of_a_kind_then_counted(write: Write) -> None:
    rows = [chat(("user", "q"))] * 25 + ["{'a'}"] * 2 + [OK]
    found = faults(write("\n".join(rows)))
    assert [int(line.split(":")[0]) for line in found[:20]] == list(range(1, 21))
    assert [line.split(":")[0] for line in found[20:22]] == ["26", "27"]
    assert found[22:] == [" 5 more rows: no answer."]


def test_a_message_is_one_line_whatever_it_quotes(write: Write) -> None:
    (found,) = faults(write('{"a\\n\\u2028\\u001bb": 1, "a\\n\\u2028\\u001bb": 2}'))
    assert found == '1: has the key "a   b" twice. Keep one of them.'
    row = OK.replace('"q"', '"q", "mo\\nod": "good"')
    assert ':1: the key "mo od" of a turn is not used.' in read_examples(write(row)).notes[-1]


def test_rows_after_a_refused_one_are_read_in_every_layout(write: Write) -> None:
    bad = '{"input": "a", "output": NaN}'
    for raw in (f"{bad}\n{LINE}\n{bad}", f"[{bad},\n{LINE},\n{bad}]"):
        assert [line.split(":")[0] for line in faults(write(raw))] == ["1", "3"]


def test_notes_name_the_first_row_and_count_the_others(write: Write) -> None:
    twice = chat(("user", "q"), ("user", "r"), ("assistant", "a"))
    path = write(f"{OK}\n{twice}\n{OK}\n{twice}\n{twice}".replace('"a"', '"a"', 1))
    (note,) = [note for note in read_examples(path).notes if "Gemma" in note]
    assert note.startswith(f"{path}:2: two user turns running")
    assert note.endswith("The same in 2 more rows.")


def test_the_faults_of_all_files_come_together(write: Write) -> None:
    data = Data(
        train=(write("{}", "a.jsonl"), write(b"", "c.jsonl")), test=(write("[]", "b.jsonl"),)
    )
    with pytest.raises(UserError) as caught:
        read_data(data)
    assert [line.split("/")[-1].split(" ")[0] for line in str(caught.value).splitlines()] == [
        "a.jsonl:1:", "c.jsonl:", "b.jsonl:1:",
    ]  # fmt: skip


def test_a_row_of_weight_0_that_is_named_in_the_project_is_refused(write: Write) -> None:
    path = write("input,output,w\na,b,1\nc,d,0\ne,f,\ng,h,x\n", "rows.csv")
    first, second = faults(path, weight="w")
    assert first.startswith("3: its weight is 0, so that nothing is learnt.")
    assert second.startswith("5: the row has a bad weight. Write 0 or 1.")


def test_messages_are_plain_records(write: Write) -> None:
    assert read_examples(write(OK)).examples[0].messages == (Message(role="user", content="q"),)


def test_what_is_accepted_reads_like_the_clean_file(write: Write) -> None:
    clean = read_examples(write(jsonl([ROW] * 3))).examples
    for name in ("UTF-8 BOM", "UTF-16", "CRLF", "lone CR", "missing final newline", "blank lines"):
        assert read_examples(write(ACCEPTED[name][0])).examples == clean
