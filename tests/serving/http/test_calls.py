"""Calls of tools through the official client: in whatever way a model writes them."""

import json
from collections.abc import Iterator
from dataclasses import replace

import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionChunk

from http_serving import Served, serving
from tunewise.serving.engine.scripted import CAPABILITIES, ScriptedChatEngine
from tunewise.serving.http.calls import BeforeCalls
from tunewise.serving.protocol import ChatRequest, RefusedError

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
CLOCK = {"type": "function", "function": {"name": "clock"}}
KYIV = '{"name": "weather", "arguments": {"city": "Kyiv"}}'
LVIV = '{"name": "weather", "arguments": {"city": "Lviv"}}'
AS_WRITTEN = {
    "hermes and qwen": f"<tool_call>\n{KYIV}\n</tool_call>",
    "several": f"<tool_call>\n{KYIV}\n</tool_call>\n<tool_call>\n{LVIV}\n</tool_call>",
    "llama 3": '<|python_tag|>{"name": "weather", "parameters": {"city": "Kyiv"}}',
    "mistral": f"[TOOL_CALLS] [{KYIV}, {LVIV}]",
    "fenced": f"```json\n{KYIV}\n```",
    "said before": f"Let me look, it is {{quick}}.\n\n<tool_call>\n{KYIV}\n</tool_call>",
    "no call": "It is <b>cold</b> in [Kyiv]. {I think}",
    "no such tool": 'I would use {"name": "radar", "arguments": {}} if I could.',
}


def answer(request: ChatRequest) -> str:
    said = request.messages[-1].content
    if said == "unfit":
        raise RefusedError(
            "The JSON schema of response_format has no type.", param="response_format"
        )
    return AS_WRITTEN.get(said, said)


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(answer) as running:
        yield running


@pytest.fixture
def client(served: Served) -> OpenAI:
    return served.client()


def asked(said: str, **options: object) -> dict:
    turns = [{"role": "user", "content": said}]
    return {"model": "base", "messages": turns, "tools": [WEATHER, CLOCK], **options}


def streamed(client: OpenAI, said: str, **options: object) -> list[ChatCompletionChunk]:
    return list(client.chat.completions.create(**asked(said, **options), stream=True))


@pytest.mark.parametrize(
    ("said", "content", "cities"),
    [
        ("hermes and qwen", None, ["Kyiv"]),
        ("several", None, ["Kyiv", "Lviv"]),
        ("llama 3", None, ["Kyiv"]),
        ("mistral", None, ["Kyiv", "Lviv"]),
        ("fenced", None, ["Kyiv"]),
        ("said before", "Let me look, it is {quick}.", ["Kyiv"]),
        ("no call", AS_WRITTEN["no call"], []),
        ("no such tool", AS_WRITTEN["no such tool"], []),
    ],
)
def test_calls_are_read_whole_and_streamed_in_the_same_way(
    client: OpenAI, said: str, content: str | None, cities: list[str]
) -> None:
    got = client.chat.completions.create(**asked(said)).choices[0]
    calls = got.message.tool_calls or []
    assert got.message.content == content
    assert [json.loads(call.function.arguments)["city"] for call in calls] == cities
    assert got.finish_reason == ("tool_calls" if cities else "stop")
    chunks = [chunk.choices[0] for chunk in streamed(client, said)]
    assert "".join(one.delta.content or "" for one in chunks) == (content or "")
    deltas = [call for one in chunks for call in one.delta.tool_calls or ()]
    assert [json.loads(call.function.arguments)["city"] for call in deltas] == cities  # type: ignore[union-attr, arg-type]
    assert [call.index for call in deltas] == list(range(len(cities)))
    assert len({call.id for call in deltas}) == len(cities)
    assert chunks[-1].finish_reason == got.finish_reason


def test_what_is_said_before_a_call_is_streamed_as_it_comes(client: OpenAI) -> None:
    said = [chunk.choices[0].delta.content for chunk in streamed(client, "one two three {")]
    assert [one for one in said if one] == ["one", " two", " three", " {"]


def test_what_is_shown_early_takes_nothing_of_a_call() -> None:
    before = BeforeCalls()
    assert [before.feed(one) for one in ("It is", " ", "so.\n", "\n<tool", "{}")] == [
        "It is",
        "",
        " so.",
        "",
        "",
    ]
    assert before.shown == len("It is so.")


def test_a_call_that_is_required_has_a_schema(served: Served, client: OpenAI) -> None:
    got = client.chat.completions.create(**asked(KYIV, tool_choice="required")).choices[0]
    assert got.finish_reason == "tool_calls"
    schema = served.engine.requests[-1].decoding.json_schema
    assert schema is not None
    first, second = schema["anyOf"]  # type: ignore[misc]
    assert first["properties"] == {  # type: ignore[index, call-overload]
        "name": {"const": "weather"},
        "arguments": WEATHER["function"]["parameters"],  # type: ignore[index]
    }
    assert second["properties"]["arguments"] == {"type": "object"}  # type: ignore[index, call-overload]


def test_a_function_that_is_chosen_is_the_one_that_is_called(
    served: Served, client: OpenAI
) -> None:
    choice = {"type": "function", "function": {"name": "weather"}}
    got = client.chat.completions.create(**asked(KYIV, tool_choice=choice)).choices[0]
    assert got.message.tool_calls[0].function.name == "weather"  # type: ignore[index]
    request = served.engine.requests[-1]
    assert request.decoding.json_schema["properties"]["name"] == {"const": "weather"}  # type: ignore[index]
    assert len(request.tools) == 2  # the model is told of all


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("said", "choice", "param"),
    [
        ("hi", {"type": "function", "function": {"name": "radar"}}, "tool_choice"),
        ("hi", {"type": "custom", "function": {"name": "weather"}}, "tool_choice.type"),
        ("hi", "sometimes", "tool_choice"),
        ("unfit", "required", "tools"),
    ],
)
def test_a_choice_that_cannot_be_made_is_refused(
    client: OpenAI, said: str, choice: object, param: str, stream: bool
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**asked(said, tool_choice=choice, stream=stream))
    assert caught.value.param == param


def test_an_engine_without_schemas_requires_no_call() -> None:
    unable = replace(CAPABILITIES, schema=False)
    with serving(engine=ScriptedChatEngine(answer, capabilities=unable)) as running:
        with pytest.raises(openai.BadRequestError) as caught:
            running.client().chat.completions.create(**asked("hi", tool_choice="required"))
        assert caught.value.param == "tool_choice"
