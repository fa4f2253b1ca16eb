"""Tools and their calls: from the ways they are written into text, and back."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewise.chat.tools import (
    SaidAndCalled,
    answer_with_calls,
    answered_calls,
    as_plain,
    canonical_answer,
    read_answer,
)
from tunewise.data.layouts.tools import read_calls, read_tools
from tunewise.types import Message, Tool, ToolCall

TOOLS: tuple[Tool, ...] = (
    {"type": "function", "function": {"name": "weather"}},
    {"type": "function", "function": {"name": "stop"}},
)
BONN = ToolCall(name="weather", arguments='{"place": "Bonn"}')
STOP = ToolCall(name="stop", arguments="{}")
ONE = '{"name": "weather", "arguments": {"place": "Bonn"}}'
TWO = f'[{ONE}, {{"name": "stop", "arguments": {{}}}}]'

WRITTEN = {
    "plain": ONE,
    "Hermes and Qwen": f"<tool_call>\n{ONE}\n</tool_call>",
    "Llama 3.1": '{"name": "weather", "parameters": {"place": "Bonn"}}',
    "Llama with a tag": '<|python_tag|>{"name": "weather", "parameters": {"place": "Bonn"}}',
    "Mistral": f"[TOOL_CALLS] [{ONE}]",
    "a code fence": f"```json\n{ONE}\n```",
    "a list of one": f"[{ONE}]",
    "indented": json.dumps(json.loads(ONE), indent=2),
}


@pytest.mark.parametrize("text", WRITTEN.values(), ids=WRITTEN.keys())
def test_a_call_is_found_however_a_model_writes_it(text: str) -> None:
    assert read_answer(text, TOOLS) == SaidAndCalled("", (BONN,))
    assert canonical_answer(text, TOOLS) == ONE


def test_several_calls_and_what_is_said_before_them_are_found() -> None:
    stop = '{"name": "stop", "arguments": {}}'
    text = f"I look.\n<tool_call>\n{ONE}\n</tool_call>\n<tool_call>\n{stop}\n</tool_call>"
    for answer in (text, f"I look.\n{TWO}"):
        assert read_answer(answer, TOOLS) == SaidAndCalled("I look.", (BONN, STOP))
        assert canonical_answer(answer, TOOLS) == f"I look.\n{TWO}"


@pytest.mark.parametrize(
    "text",
    [
        "It is mild.",
        '{"name": "Anna", "arguments": {}}',
        '{"name": "weather"}',
        '{"name": "weather", "arguments": "Bonn"}',
        '{"name": "weather", "arguments": {"place": "Bo',
        "{" * 5_000,
        "",
    ],
)
def test_an_answer_without_a_call_stays_as_it_is(text: str) -> None:
    assert canonical_answer(text, TOOLS) == text


def test_without_tools_nothing_is_a_call() -> None:
    assert read_answer(ONE, ()) == SaidAndCalled(ONE, ())


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)
calls = st.builds(
    ToolCall,
    name=st.sampled_from(["weather", "stop"]),
    arguments=st.dictionaries(st.text(), values, max_size=3).map(
        lambda found: json.dumps(found, ensure_ascii=False)
    ),
)


@given(found=st.lists(calls, min_size=1, max_size=3))
def test_calls_survive_being_written(found: list[ToolCall]) -> None:
    assert read_answer(answer_with_calls("", found), TOOLS) == SaidAndCalled("", tuple(found))


def test_tools_and_calls_are_read_from_all_ways_of_writing_them() -> None:
    bare = {"name": "weather"}
    for written in ([{"type": "function", "function": bare}], [bare], json.dumps([bare])):
        assert read_tools(written) == TOOLS[:1]
    for nothing in (None, "", []):
        assert read_tools(nothing) == ()
        assert read_calls(nothing, 1) == ()
    for arguments in ('{"place": "Bonn"}', {"place": "Bonn"}, '{"place":"Bonn"}'):
        call = {"name": "weather", "arguments": arguments}
        for written in (call, [call], [{"function": call}], json.dumps(call)):
            assert read_calls(written, 1) == (BONN,)


TALK = (
    Message(role="user", content="q"),
    Message(role="assistant", content="", tool_calls=(BONN, STOP)),
    Message(role="tool", content="12"),
    Message(role="tool", content="done"),
    Message(role="assistant", content="", tool_calls=(STOP,)),
    Message(role="tool", content="again"),
)


def test_results_without_ids_answer_the_calls_before_them_in_order() -> None:
    assert answered_calls(TALK) == {2: 0, 3: 1, 5: 2}


def test_tools_as_text_are_the_same_for_every_model() -> None:
    system = Message(role="system", content="Be brief.")
    plain = as_plain((system, *TALK), TOOLS)
    assert [(turn.role, turn.content) for turn in plain[1:]] == [
        ("user", "q"),
        ("assistant", TWO),
        ("user", "Result of weather: 12\nResult of stop: done"),
        ("assistant", '{"name": "stop", "arguments": {}}'),
        ("user", "Result of stop: again"),
    ]
    assert plain[0].content == (
        "Be brief.\n\nYou can call these functions:\n"
        '[{"name": "weather"}, {"name": "stop"}]\n'
        'To call one, answer with JSON alone: {"name": "...", "arguments": {...}}. '
        "To call several, answer with a list of such objects."
    )
    assert as_plain(TALK, TOOLS)[0].content == plain[0].content.removeprefix("Be brief.\n\n")


def test_a_conversation_without_tools_stays_as_it_is() -> None:
    talk = (Message(role="user", content="q"), Message(role="assistant", content="a", weight=1))
    assert as_plain(talk, ()) == talk
