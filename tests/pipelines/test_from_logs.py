"""Rated requests become examples: which, with what answer, without whose address."""

import json
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from command_line import tunewise
from tunewise.data.read import read_examples
from tunewise.errors import UserError
from tunewise.pipelines.from_logs import FromLogs, examples_from_logs

Line = dict[str, object]


def at(second: int) -> str:
    return f"2026-11-30T00:00:{second:02}.000+00:00"


def asked(
    number: int,
    text: str,
    answer: str | Mapping[str, object],
    *more: str,
    turns: Sequence[Mapping[str, object]] = (),
    tools: Sequence[object] = (),
) -> Line:
    """A line as `ContentLog` writes it: the answer to a text, or several of them."""
    said = [{"content": one} if isinstance(one, str) else one for one in (answer, *more)]
    messages = [*turns, {"role": "user", "content": text}] if text else list(turns)
    return {
        "time": at(number),
        "request_id": f"req_{number}",
        "key": "shop",
        "model": "triage@3",
        "request": {
            "model": "triage@production",
            "messages": messages,
            "temperature": 0.5,
            **({"tools": tools} if tools else {}),
        },
        "response": {
            "id": f"chatcmpl-{number}",
            "object": "chat.completion",
            "choices": [
                {"index": n, "message": {"role": "assistant", **one}, "finish_reason": "stop"}
                for n, one in enumerate(said)
            ],
        },
    }


def said(number: int, time: int, rating: str, correction: str | None = None) -> Line:
    feedback = {"rating": rating} | ({} if correction is None else {"correction": correction})
    return {"time": at(time), "key": "shop", "of": f"chatcmpl-{number}", "feedback": feedback}


def log(file: Path, *lines: Line | str) -> Path:
    text = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    file.write_text("".join(f"{line}\n" for line in text))
    return file


def answers(made: FromLogs) -> dict[str, str]:
    """Id of an example -> its answer."""
    return {str(row["id"]): row["messages"][-1]["content"] for row in made.rows}  # type: ignore[index]


def test_good_answers_and_corrections_are_learned_and_the_rest_is_counted(tmp_path: Path) -> None:
    file = log(
        tmp_path / "log.jsonl",
        asked(1, "where is my parcel?", "delivery"),
        asked(2, "I want my money", "delivery"),
        asked(3, "nonsense", "delivery"),
        asked(4, "hello", "other"),
        asked(5, "bye", "other", "delivery"),
        asked(6, "two", "other", "delivery"),
        asked(7, "silence", ""),
        said(1, 10, "good"),
        said(2, 11, "bad", "refund"),
        said(3, 12, "bad"),
        said(5, 13, "good"),
        said(6, 14, "good", "billing"),
        said(7, 15, "good"),
        said(99, 16, "good"),
    )
    made = examples_from_logs([file])
    assert answers(made) == {
        "chatcmpl-1": "delivery",
        "chatcmpl-2": "refund",
        "chatcmpl-6": "billing",
    }
    assert [row["rated"] for row in made.rows] == ["good", "corrected", "corrected"]
    assert made.corrected == 2
    assert made.left_out == {"bad": 1, "unrated": 1, "several": 1, "unreadable": 1, "lost": 1}
    assert (made.faults, made.notes, made.masked) == ((), (), 0)
    assert made.rows[0] == {
        "id": "chatcmpl-1",
        "time": at(1),
        "model": "triage@3",
        "rated": "good",
        "messages": [
            {"role": "user", "content": "where is my parcel?"},
            {"role": "assistant", "content": "delivery"},
        ],
    }


def test_the_last_word_on_an_answer_counts(tmp_path: Path) -> None:
    file = log(
        tmp_path / "log.jsonl",
        asked(1, "a", "x"),
        asked(2, "b", "x"),
        said(1, 3, "good"),
        said(1, 5, "bad"),
        said(2, 6, "bad"),
        said(2, 6, "bad", "y"),
    )
    made = examples_from_logs([file])
    assert answers(made) == {"chatcmpl-2": "y"}
    assert made.left_out == {"bad": 1}


def test_of_one_input_the_example_is_kept_of_which_something_was_said_last(tmp_path: Path) -> None:
    file = log(
        tmp_path / "log.jsonl",
        asked(1, "Where is it?", "x"),
        asked(2, "where  is it?", "y"),
        asked(3, "where is it? ", "z"),
        said(2, 10, "good"),
        said(1, 11, "bad", "delivery"),
        said(3, 12, "bad"),
    )
    made = examples_from_logs([file])
    assert answers(made) == {"chatcmpl-1": "delivery"}
    assert made.left_out == {"repeated": 1, "bad": 1}


def test_logs_of_several_servers_and_their_older_halves_are_one(tmp_path: Path) -> None:
    log(tmp_path / "a.jsonl.1", asked(1, "a", "x"), asked(2, "b", "x"))
    first = log(tmp_path / "a.jsonl", said(1, 8, "good"), said(2, 9, "good"))
    second = log(tmp_path / "b.jsonl", asked(3, "a", "y"), said(3, 10, "good"))
    (tmp_path / "c.jsonl").touch()
    made = examples_from_logs([second, first, tmp_path / "a.jsonl.1", tmp_path / "c.jsonl"])
    assert answers(made) == {"chatcmpl-2": "x", "chatcmpl-3": "y"}
    assert made.left_out == {"repeated": 1}


def test_what_was_made_is_read_as_it_was_said(tmp_path: Path) -> None:
    tool = {"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}
    call = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"n": 1}'}}
    turns = [
        {"role": "developer", "content": "Be kind."},
        {
            "role": "user",
            "content": [{"type": "text", "text": "hello "}, {"type": "text", "text": "you"}],
        },
        {"role": "assistant", "content": "hello", "annotations": []},
    ]
    seen = [
        {"role": "user", "content": "find one"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "found", "tool_call_id": "c1"},
    ]
    file = log(
        tmp_path / "log.jsonl",
        asked(1, "and now?", {"content": None, "tool_calls": [call]}, turns=turns, tools=[tool]),
        asked(2, "", "here it is", turns=seen, tools=[tool]),
        said(1, 10, "good"),
        said(2, 10, "good"),
    )
    out = tmp_path / "made.jsonl"
    done = tunewise("data", "from-logs", file, "--out", out)
    assert done.code == 0, done.err
    first, second = read_examples(out).examples
    assert first.id == "chatcmpl-1"
    assert first.target == '{"name": "find", "arguments": {"n": 1}}'
    assert [turn.role for turn in first.messages] == ["system", "user", "assistant", "user"]
    assert first.messages[1].content == "hello you"
    assert first.messages[2].weight == 0  # nobody said that it was good
    assert [one["function"]["name"] for one in first.tools] == ["find"]  # type: ignore[index]
    assert second.messages[1].tool_calls[0].arguments == '{"n": 1}'
    assert second.messages[2].tool_call_id == "c1"
    assert second.target == "here it is"
    assert second.metadata["model"] == "triage@3"


def test_personal_data_is_masked_in_every_text_and_json_stays_json(tmp_path: Path) -> None:
    card = "4012888888881881"
    call = {
        "id": "c",
        "type": "function",
        "function": {"name": "f", "arguments": f'{{"n": {card}}}'},
    }
    seen = [
        {"role": "system", "content": "Write to ann.lee@firm.de"},
        {"role": "user", "content": "I am bob.ray@mail.com"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": f"paid with {card}", "tool_call_id": "c"},
    ]
    target = json.dumps({"mail": "bob.ray@mail.com", "card": int(card), "list": [1, None, True]})
    file = log(tmp_path / "log.jsonl", asked(1, "", target, turns=seen), said(1, 2, "good"))
    made = examples_from_logs([file])
    assert made.masked == 1
    text = json.dumps(made.rows, ensure_ascii=False)
    for hidden in ("ann.lee", "bob.ray", card):
        assert hidden not in text
    messages = made.rows[0]["messages"]
    answer = json.loads(messages[-1]["content"])  # type: ignore[index]
    assert answer["list"] == [1, None, True]
    assert messages[1]["content"] == f"I am {answer['mail']}"  # type: ignore[index]
    json.loads(messages[2]["tool_calls"][0]["function"]["arguments"])  # type: ignore[index]
    plain = examples_from_logs([file], show_personal=True)
    assert plain.masked == 0
    assert json.dumps(plain.rows).count(card) == 3


def test_lines_that_cannot_be_read_are_named_and_the_others_used(tmp_path: Path) -> None:
    file = log(
        tmp_path / "log.jsonl",
        asked(1, "a", "x"),
        '{"time": "2026-11-30T00:00:01.000+00:00", "requ',
        {"text": "a row of something else"},
        "[1, 2]",
        said(1, 2, "good"),
    )
    done = tunewise("data", "from-logs", file)
    assert done.code == 1
    assert [json.loads(line)["id"] for line in done.out.splitlines()] == ["chatcmpl-1"]
    for line in (2, 3, 4):
        assert f"log.jsonl:{line}: " in done.err
    assert "1 example: 1 rated good, 0 corrected." in done.err


@pytest.mark.parametrize(
    "content", ["\0\0\0", '{"text": "a"}\n{"text": "b"}\n', "no JSON at all\n"]
)
def test_a_file_that_is_no_log_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(content)
    with pytest.raises(UserError, match=r"rows\.jsonl"):
        examples_from_logs([file])


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    done = tunewise("data", "from-logs", tmp_path / "none.jsonl")
    assert done.code == 1
    assert "none.jsonl: does not exist" in done.err


def test_a_new_log_gives_no_examples(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    file.touch()
    assert examples_from_logs([file]).rows == ()
    log(file, asked(1, "a", "x"))  # a single line, which could be all of a file in one value
    assert examples_from_logs([file]).left_out == {"unrated": 1}


def test_the_file_made_is_its_owners_alone_and_replaces_none(tmp_path: Path) -> None:
    file = log(tmp_path / "log.jsonl", asked(1, "a", "x"), said(1, 2, "good"))
    out = tmp_path / "made.jsonl"
    assert tunewise("data", "from-logs", file, "--out", out).code == 0
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    out.write_text("labelled by hand")
    done = tunewise("data", "from-logs", file, "--out", out)
    assert (done.code, out.read_text()) == (1, "labelled by hand")
    assert "is there already" in done.err
    assert tunewise("data", "from-logs", file, "--out", tmp_path / "no" / "x.jsonl").code == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.jsonl", "made.jsonl"]
