from dataclasses import replace

import pytest

from tunewise.data.fingerprints import content_hash, item_hash, split_fingerprint
from tunewise.types import Example, Message, ToolCall

ROW = Example(
    id="1",
    messages=(
        Message(role="system", content="Be kind."),
        Message(role="user", content="What is it?"),
        Message(
            role="assistant", content="", tool_calls=(ToolCall(name="look", arguments='{"a": 1}'),)
        ),
        Message(role="tool", content="a stove"),
    ),
    target="It is a stove.",
    tools=({"type": "function", "function": {"name": "look"}},),
)


def with_turn(number: int, **changes: object) -> Example:
    turns = list(ROW.messages)
    turns[number] = replace(turns[number], **changes)
    return replace(ROW, messages=tuple(turns))


CHANGED = {
    "the question": with_turn(1, content="What else is it?"),
    "an answer": replace(ROW, target="It is a lamp."),
    "a call": with_turn(2, tool_calls=(ToolCall(name="look", arguments='{"a": 2}'),)),
    "a call's result": with_turn(3, content="a lamp"),
}
RESPELLED = {
    "case and space": with_turn(1, content=" WHAT is\nit?"),
    "the answer's case": replace(ROW, target="it is a stove. "),
    "the system prompt": with_turn(0, content="Be brief."),
    "no system prompt": replace(ROW, messages=ROW.messages[1:]),
    "a weight": with_turn(2, weight=1),
    "the tools": replace(ROW, tools=()),
}
RESPELLED |= {
    "typographic signs": with_turn(1, content="What is\u00a0it\u200b？"),
    "zero-width signs": replace(ROW, target="It is a sto\u200bve."),
}
RENAMED = {
    "id": replace(ROW, id="2"),
    "group": replace(ROW, group="g"),
    "metadata": replace(ROW, metadata={"a": 1}),
}


@pytest.mark.parametrize("what", CHANGED)
def test_another_content_is_another_item(what: str) -> None:
    assert content_hash(CHANGED[what]) != content_hash(ROW)
    assert item_hash(CHANGED[what]) != item_hash(ROW)


@pytest.mark.parametrize("what", RESPELLED)
def test_another_spelling_is_another_content_but_the_same_item(what: str) -> None:
    assert content_hash(RESPELLED[what]) != content_hash(ROW)
    assert item_hash(RESPELLED[what]) == item_hash(ROW)


@pytest.mark.parametrize("what", RENAMED)
def test_what_is_no_content_changes_neither_but_the_fingerprint(what: str) -> None:
    assert content_hash(RENAMED[what]) == content_hash(ROW)
    assert item_hash(RENAMED[what]) == item_hash(ROW)
    assert split_fingerprint({"train": [RENAMED[what]]}) != split_fingerprint({"train": [ROW]})


@pytest.mark.parametrize("other", [*CHANGED.values(), *RESPELLED.values()])
def test_every_change_of_content_changes_the_fingerprint(other: Example) -> None:
    assert split_fingerprint({"train": [other]}) != split_fingerprint({"train": [ROW]})


def test_the_fingerprint_knows_sides_and_order() -> None:
    second = replace(ROW, id="2")
    prints = {
        split_fingerprint({"train": [ROW, second], "test": []}),
        split_fingerprint({"train": [second, ROW], "test": []}),
        split_fingerprint({"train": [ROW], "test": [second]}),
    }
    assert len(prints) == 3


def test_half_a_character_is_no_obstacle() -> None:
    assert content_hash(replace(ROW, target="\ud800")) != content_hash(ROW)


def test_hashes_of_plain_rows_are_those_of_earlier_versions() -> None:
    assert (content_hash(ROW), item_hash(ROW)) == ("676169fa97389621", "d882e7bcc3b53a96")
    accented = replace(ROW, target="Größe: 3 m², naïve")
    assert item_hash(accented) == "adb7158134090235"
