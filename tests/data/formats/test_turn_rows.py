"""Files whose rows are turns, or lists of them: conversations where that is sure, else an error."""

import json
from pathlib import Path

import pytest

from data_files import Write, faults, jsonl, parquet, table
from places import ROOT
from tunewise.data.read import read_examples
from tunewise.project.settings import Data

CASES = ROOT.parent / "shared" / "cases" / "02-turns-as-rows"
met = pytest.mark.skipif(not CASES.exists(), reason="the folder with cases people met is not here")
ASKED = {"role": "user", "content": "Which wax for dry snow?"}
SAID = {"role": "assistant", "content": "The blue one."}
TALK = [ASKED, SAID]
OTHER = [{"from": "human", "value": "And for wet snow?"}, {"from": "gpt", "value": "Yellow."}]
WANTED = [(["Which wax for dry snow?"], "The blue one."), (["And for wet snow?"], "Yellow.")]


def read(path: Path) -> list[tuple[list[str], str]]:
    rows = read_examples(path).examples
    return [([turn.content for turn in row.messages], row.target) for row in rows]


LISTS = {
    "an array of lists": json.dumps([TALK, OTHER]),
    "a pretty array of lists": json.dumps([TALK, OTHER], indent=2),
    "lists in a JSONL": f"{json.dumps(TALK)}\n{json.dumps(OTHER)}\n",
    "lists below a key": json.dumps({"conversations": [TALK, OTHER]}),
}


@pytest.mark.parametrize("raw", LISTS.values(), ids=LISTS.keys())
def test_lists_of_turns_are_conversations(write: Write, raw: str) -> None:
    path = write(raw, "a.json")
    assert read(path) == WANTED
    assert f"{path}: each row is a list of turns; read as a conversation." in (
        read_examples(path).notes
    )


def test_a_list_that_ends_on_a_question_is_named_by_itself(write: Write) -> None:
    raw = "\n".join(["[", f"{json.dumps(TALK)},", json.dumps([*TALK, ASKED]), "]"])
    assert faults(write(raw, "a.json")) == [
        "3: ends on a user turn. End it with the answer wanted."
    ]


FLAT = {
    "turns of role and content": json.dumps(TALK, indent=1),
    "on one line": json.dumps(TALK) + "\n",
    "as JSONL": "".join(json.dumps(turn) + "\n" for turn in TALK),
    "as a table": table(TALK).decode(),
    "with a time beside them": table([{"time": "12:00", **turn} for turn in TALK]).decode(),
    "of a speaker": json.dumps([{"speaker": "Customer", "text": ASKED["content"]}]),
}


@pytest.mark.parametrize("raw", FLAT.values(), ids=FLAT.keys())
def test_turns_as_rows_are_refused_once_with_an_example_of_the_persons_own(
    write: Write, raw: str
) -> None:
    (message,) = faults(write(raw, "a.csv" if raw.startswith(("role", "time")) else "a.json"))
    assert "each row is one turn (" in message
    right = message[message.index("{") : message.rindex("}") + 1]
    assert json.loads(right) == {"messages": [ASKED, {"role": "assistant", "content": "..."}]}
    assert 'in a column "conversation_id"' in message


def test_a_long_first_turn_is_cut_short_and_an_answer_stays_one(write: Write) -> None:
    (message,) = faults(write(json.dumps([{"from": "gpt", "value": "Wax it.  " * 20}]), "a.json"))
    assert '{"role": "assistant", "content": "Wax it. Wax it. Wax it. Wax it. Wax i..."}' in message


@pytest.mark.parametrize("write_rows", [jsonl, table, parquet])
@pytest.mark.parametrize("column", ["conversation_id", "thread", "Session ID", "id"])
def test_turns_that_a_column_puts_together_are_conversations(
    write: Write, write_rows, column: str
) -> None:
    rows = [
        {column: "a", **ASKED, "shop": "Graz", "time": "1"},
        {column: "a", **SAID, "shop": "Graz", "time": "2"},
        {column: "b", "role": "user", "content": "And for wet snow?", "shop": "Linz", "time": "3"},
        {column: "b", "role": "assistant", "content": "Yellow.", "shop": "Linz", "time": "4"},
    ]
    path = write(write_rows(rows), "a.csv" if write_rows is table else "a.jsonl")
    assert read(path) == WANTED
    first = read_examples(path, Data(group="shop")).examples[0]
    assert first.group == "Graz"
    assert "time" not in first.metadata


def test_speakers_of_a_help_desk_are_told_apart(write: Write) -> None:
    raw = "ticket_id,author,body\n7,customer,It leaks.\n7,agent,We send another.\n"
    assert read(write(raw, "a.csv")) == [(["It leaks."], "We send another.")]


def test_turns_that_are_scattered_or_lack_something_are_named(write: Write) -> None:
    raw = "conversation_id,role,content\n1,user,q\n1,assistant,a\n2,user,r\n1,user,s\n"
    assert faults(write(raw, "a.csv")) == [
        '5: the turns of conversation_id "1" do not follow one another. Sort the rows. Rows after '
        "it were not read."
    ]
    raw = "conversation_id,role,content\n1,user,q\n,assistant,a\n2,user,r\n2,assistant,s\n"
    assert faults(write(raw, "a.csv")) == [
        "3: is no turn with a role, a text and a conversation_id. Fill them in."
    ]


def test_columns_that_the_person_named_stay_as_they_are(write: Write) -> None:
    raw = "conversation_id,role,content\n1,user,hello\n1,assistant,a\n"
    rows = read_examples(write(raw, "a.csv"), Data(input="content", output="role")).examples
    assert [row.target for row in rows] == ["user", "assistant"]


def test_a_turn_with_a_label_is_an_example(write: Write) -> None:
    raw = "role,text,label\nuser,hello,greeting\n"
    assert read(write(raw, "a.csv")) == [(["hello"], "greeting")]


@pytest.mark.parametrize("column", ["conversation", "dialog", "dialogue", "turns", "chat"])
def test_a_column_is_a_conversation_where_it_holds_turns(write: Write, column: str) -> None:
    assert read(write(json.dumps({column: TALK}))) == WANTED[:1]
    row = {column: "A: hello\nB: hello", "input": "q", "output": "a"}
    assert read(write(json.dumps(row))) == [(["q"], "a")]


def test_lists_of_two_texts_are_refused_with_their_right_form(write: Write) -> None:
    assert faults(write('[["q", "a"],\n["r", "b"]]', "a.json"))[1] == (
        '2: the row is no object. Write {"input": "r", "output": "b"}.'
    )


@met
def test_the_file_of_turns_that_people_met_is_refused_with_its_own_words() -> None:
    (message,) = faults(CASES / "flat.json")
    assert message.startswith('2: each row is one turn ("from", "value"), not a conversation.')
    assert '{"role": "user", "content": "Which rope is good for glacier walks?"}' in message


@met
def test_the_lists_that_people_met_are_read_but_for_the_one_without_an_answer() -> None:
    assert faults(CASES / "lists.json") == [
        "12: ends on a user turn. End it with the answer wanted."
    ]
