"""The official client, unmodified, asks for chat completions of a real server."""

import json
from collections.abc import Iterator

import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel

from http_serving import PASSAGE, Served, serving
from tunewise.serving.engine.scripted import ScriptedChatEngine
from tunewise.serving.protocol import Capabilities, ChatRequest

ASKED = [{"role": "user", "content": "one two three"}]
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}},
}


def answer(request: ChatRequest) -> str | list[str]:
    """What was said last, and for n answers so many of them; a call where that was asked for."""
    said = request.messages[-1].content
    if said == "call":
        return 'Let me look. {"name": "weather", "arguments": {"city": "Kyiv"}}'
    n = request.decoding.n
    return said if n == 1 else [f"{said} {place}" for place in range(n)]


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(answer) as running:
        yield running


@pytest.fixture
def client(served: Served) -> OpenAI:
    return served.client()


def streamed(client: OpenAI, **options: object) -> list[ChatCompletionChunk]:
    options = {"model": "base", "messages": ASKED, **options}
    return list(client.chat.completions.create(stream=True, **options))  # type: ignore[call-overload]


def test_an_answer_names_the_version_that_gave_it(client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="triage@production", messages=[{"role": "user", "content": "hello there"}]
    )
    got = raw.parse()
    assert got.model == raw.headers["x-tunewise-model"] == "triage@3"
    assert got.choices[0].message.content == "hello there"
    assert got.choices[0].finish_reason == "stop"
    assert (got.usage.prompt_tokens, got.usage.completion_tokens) == (5, 2)  # type: ignore[union-attr]
    assert raw.headers["x-request-id"].startswith("req_")
    ChatCompletion.model_validate_json(raw.text)


def test_the_models_own_prompt_is_applied(served: Served, client: OpenAI) -> None:
    client.chat.completions.create(model="triage@3", messages=ASKED)  # type: ignore[arg-type]
    turns = [(turn.role, turn.content) for turn in served.engine.requests[-1].messages]
    assert turns == [("system", "Sort the mail."), ("user", "one two three")]


def test_a_stream_joined_is_the_answer(client: OpenAI) -> None:
    chunks = streamed(client)
    whole = client.chat.completions.create(model="base", messages=ASKED)  # type: ignore[arg-type]
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == "one two three"
    assert whole.choices[0].message.content == "one two three"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert {c.id for c in chunks} == {chunks[0].id}
    assert all(chunk.usage is None for chunk in chunks)


def test_a_stream_ends_with_its_usage_where_that_is_asked_for(client: OpenAI) -> None:
    *chunks, last = streamed(client, stream_options={"include_usage": True})
    assert last.choices == []
    assert last.usage is not None
    assert (last.usage.prompt_tokens, last.usage.completion_tokens) == (3, 3)
    assert all(chunk.choices for chunk in chunks)


def test_the_events_of_a_stream_are_what_openai_sends(served: Served) -> None:
    body = {"model": "triage@3", "messages": ASKED, "stream": True}
    with served.http() as http:
        got = http.post("/v1/chat/completions", json=body)
    assert got.headers["content-type"].startswith("text/event-stream")
    assert got.headers["x-tunewise-model"] == "triage@3"
    events = got.text.removesuffix("\n\n").split("\n\n")
    assert events[-1] == "data: [DONE]"
    for event in events[:-1]:
        ChatCompletionChunk.model_validate_json(event.removeprefix("data: "))


def test_n_answers_come_apart(client: OpenAI) -> None:
    got = client.chat.completions.create(model="base", messages=ASKED, n=3)  # type: ignore[arg-type]
    assert [one.message.content for one in got.choices] == [f"one two three {n}" for n in range(3)]
    texts = {0: "", 1: "", 2: ""}
    for chunk in streamed(client, n=3):
        texts[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert list(texts.values()) == [one.message.content for one in got.choices]


def test_every_field_reaches_the_engine(served: Served, client: OpenAI) -> None:
    client.chat.completions.create(
        model="base",
        messages=[
            {"role": "developer", "content": "Be brief."},
            {
                "role": "user",
                "content": [{"type": "text", "text": "a "}, {"type": "text", "text": "b"}],
            },
        ],
        max_completion_tokens=5,
        temperature=0.7,
        top_p=0.9,
        seed=11,
        stop=["x", "y"],
        logprobs=True,
        user="someone",
        frequency_penalty=0,
        store=False,
    )
    asked = served.engine.requests[-1]
    assert [(turn.role, turn.content) for turn in asked.messages] == [
        ("system", "Be brief."),
        ("user", "a b"),
    ]
    decoding = asked.decoding
    assert (decoding.max_tokens, decoding.temperature, decoding.top_p) == (5, 0.7, 0.9)
    assert (decoding.seed, decoding.stop, decoding.logprobs) == (11, ("x", "y"), True)


def test_without_a_word_answers_are_as_long_and_as_certain_as_they_were_measured(
    served: Served, client: OpenAI
) -> None:
    client.chat.completions.create(model="base", messages=ASKED)  # type: ignore[arg-type]
    decoding = served.engine.requests[-1].decoding
    assert (decoding.max_tokens, decoding.temperature) == (64, 0.0)


def test_the_old_name_of_the_longest_answer_cuts_too(client: OpenAI) -> None:
    got = client.chat.completions.create(model="base", messages=ASKED, max_tokens=2)  # type: ignore[arg-type]
    assert got.choices[0].message.content == "one two"
    assert got.choices[0].finish_reason == "length"


def test_logprobs_come_with_their_tokens(client: OpenAI) -> None:
    got = client.chat.completions.create(model="base", messages=ASKED, logprobs=True)  # type: ignore[arg-type]
    tokens = got.choices[0].logprobs.content  # type: ignore[union-attr]
    assert [one.token for one in tokens] == ["one", " two", " three"]  # type: ignore[union-attr]
    assert {one.logprob for one in tokens} == {-0.5}  # type: ignore[union-attr]
    assert bytes(tokens[1].bytes) == b" two"  # type: ignore[index, arg-type]
    parts = [c.choices[0].logprobs for c in streamed(client, logprobs=True)]
    assert [one.token for part in parts if part for one in part.content or ()] == [
        "one",
        " two",
        " three",
    ]


class Mail(BaseModel):
    """What `parse` makes a schema of."""

    label: str
    urgent: bool


def test_parse_sends_a_schema_and_reads_the_answer(served: Served, client: OpenAI) -> None:
    text = '{"label": "refund", "urgent": true}'
    got = client.chat.completions.parse(
        model="base", messages=[{"role": "user", "content": text}], response_format=Mail
    )
    assert got.choices[0].message.parsed == Mail(label="refund", urgent=True)
    schema = served.engine.requests[-1].decoding.json_schema
    assert schema is not None
    assert schema["required"] == ["label", "urgent"]


def test_json_mode_is_a_schema_of_any_object(served: Served, client: OpenAI) -> None:
    client.chat.completions.create(
        model="base",
        messages=[{"role": "user", "content": "{}"}],
        response_format={"type": "json_object"},
    )
    assert served.engine.requests[-1].decoding.json_schema == {"type": "object"}


def test_a_call_is_no_text(served: Served, client: OpenAI) -> None:
    asked = {"model": "base", "messages": [{"role": "user", "content": "call"}], "tools": [WEATHER]}
    got = client.chat.completions.create(**asked).choices[0]  # type: ignore[call-overload]
    call = got.message.tool_calls[0]
    assert got.finish_reason == "tool_calls"
    assert (call.type, call.function.name) == ("function", "weather")
    assert json.loads(call.function.arguments) == {"city": "Kyiv"}
    assert served.engine.requests[-1].tools == (WEATHER,)
    parts = [chunk.choices[0] for chunk in streamed(client, **asked)]
    deltas = [call for part in parts for call in part.delta.tool_calls or ()]
    assert [(one.index, one.function.name) for one in deltas] == [(0, "weather")]  # type: ignore[union-attr]
    assert parts[-1].finish_reason == "tool_calls"


def test_a_call_and_its_result_go_back_as_they_came(served: Served, client: OpenAI) -> None:
    first = [{"role": "user", "content": "call"}]
    got = client.chat.completions.create(model="base", messages=first, tools=[WEATHER])  # type: ignore[arg-type, call-overload]
    message = got.choices[0].message
    result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "rain"}
    client.chat.completions.create(
        model="base",
        messages=[*first, message, result],
        tools=[WEATHER],  # type: ignore[list-item]
    )
    turns = served.engine.requests[-1].messages
    assert [turn.role for turn in turns] == ["user", "assistant", "tool"]
    assert turns[1].tool_calls[0].id == turns[2].tool_call_id == message.tool_calls[0].id


def test_passages_are_annotations_and_can_be_sent_back(client: OpenAI) -> None:
    got = client.chat.completions.create(model="help@1", messages=ASKED)  # type: ignore[arg-type]
    message = got.choices[0].message
    cited = message.annotations[0].url_citation  # type: ignore[index]
    assert (cited.url, cited.model_extra["text"]) == (PASSAGE.source, PASSAGE.text)  # type: ignore[index]
    assert (cited.start_index, cited.end_index) == (0, len("one two three"))
    again = client.chat.completions.create(
        model="help@1",
        messages=[*ASKED, message, {"role": "user", "content": "why"}],  # type: ignore[list-item]
    )
    assert again.choices[0].message.content == "why"


def test_a_stream_has_its_annotations_at_its_end(client: OpenAI) -> None:
    last = streamed(client, model="help@1")[-1].choices[0]
    assert last.delta.model_extra is not None
    assert last.delta.model_extra["annotations"][0]["url_citation"]["text"] == PASSAGE.text
    with client.chat.completions.stream(model="help@1", messages=ASKED) as stream:  # type: ignore[arg-type]
        final = stream.get_final_completion()
    assert final.choices[0].message.content == "one two three"


def test_a_model_without_a_language_model_answers_the_same_way(client: OpenAI) -> None:
    got = client.chat.completions.create(model="sorter@1", messages=ASKED)  # type: ignore[arg-type]
    assert got.choices[0].message.content == "refund"
    assert got.usage.completion_tokens == 1  # type: ignore[union-attr]
    chunks = streamed(client, model="sorter@1")
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "refund"


def test_an_answer_behind_steps_is_given_without_them(client: OpenAI) -> None:
    asked = [{"role": "user", "content": "first this, then that. Answer: refund"}]
    got = client.chat.completions.create(model="steps@1", messages=asked)  # type: ignore[arg-type]
    assert got.choices[0].message.content == "refund"
    parts = [c.choices[0].delta.content for c in streamed(client, model="steps@1", messages=asked)]
    assert [part for part in parts if part] == ["refund"]


REFUSED: list[tuple[dict, str]] = [
    ({"temperature": 99}, "temperature"),
    ({"top_p": 0}, "top_p"),
    ({"n": 0}, "n"),
    ({"n": 17}, "n"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_tokens": 3, "max_completion_tokens": 4}, "max_tokens"),
    ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
    ({"stop": [""]}, "stop[0]"),
    ({"top_logprobs": 2}, "top_logprobs"),
    ({"logprobs": True, "top_logprobs": 2}, "top_logprobs"),
    ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
    ({"frequency_penalty": 0.5}, "frequency_penalty"),
    ({"presence_penalty": -1}, "presence_penalty"),
    ({"logit_bias": {"5": 1}}, "logit_bias"),
    ({"modalities": ["audio"]}, "modalities[0]"),
    ({"reasoning_effort": "low"}, "reasoning_effort"),
    ({"tool_choice": "auto"}, "tool_choice"),
    ({"stream_options": {"include_usage": True}}, "stream_options"),
    ({"store": True}, "store"),
    ({"messages": []}, "messages"),
    ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0]"),
    ({"messages": [{"role": "user"}]}, "messages[0].content"),
    ({"messages": [{"role": "assistant"}]}, "messages[0]"),
    ({"messages": [{"role": "user", "content": "x", "name": "Eve"}]}, "messages[0].name"),
    (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
        "messages[0].content[0].type",
    ),
    ({"response_format": {"type": "xml"}}, "response_format"),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a b", "schema": {}}}},
        "response_format.json_schema.name",
    ),
    ({"response_format": {"type": "json_object"}, "tools": [WEATHER]}, "response_format"),
    ({"extra_body": {"logprob": True}}, "logprob"),
    ({"model": "sorter@1", "n": 2}, "n"),
    ({"model": "sorter@1", "logprobs": True}, "logprobs"),
    ({"model": "sorter@1", "response_format": {"type": "json_object"}}, "response_format"),
    ({"model": "sorter@1", "tools": [WEATHER]}, "tools"),
    ({"model": "sorter@1", "stop": "und"}, "stop"),
    ({"model": "sorter@1", "messages": ASKED * 2}, "messages"),
    ({"model": "steps@1", "stop": "x"}, "stop"),
    ({"model": "steps@1", "logprobs": True}, "logprobs"),
    ({"model": "steps@1", "response_format": {"type": "json_object"}}, "response_format"),
    ({"messages": [{"role": "user", "content": "x " * 9000}]}, "messages"),
]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("fields", "param"), REFUSED, ids=lambda value: str(value)[:50])
def test_what_cannot_be_done_is_refused_by_its_field(
    client: OpenAI, fields: dict, param: str, stream: bool
) -> None:
    if stream and "stream_options" in fields:
        pytest.skip("a stream may have them")
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(
            **{"model": "base", "messages": ASKED, "stream": stream, **fields}  # type: ignore[arg-type]
        )
    assert caught.value.param == param
    assert caught.value.body["type"] == "invalid_request_error"  # type: ignore[index]
    assert param in caught.value.message or caught.value.code == "context_length_exceeded"


def test_all_faults_are_told_together(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match=r"temperature.*top_p.*surprise"):
        client.chat.completions.create(
            model="base",
            messages=ASKED,  # type: ignore[arg-type]
            temperature=3,
            top_p=2,
            extra_body={"surprise": 1},
        )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tools", [WEATHER]),
        ("response_format", {"type": "json_object"}),
    ],
)
def test_an_engine_that_cannot_is_named(field: str, value: object) -> None:
    unable = Capabilities(
        engine="plain", max_top_logprobs=0, schema=False, tools=False, cached_tokens=False
    )
    with serving(engine=ScriptedChatEngine(answer, capabilities=unable)) as running:
        asked = {"model": "base", "messages": ASKED, field: value}
        with pytest.raises(openai.BadRequestError, match="plain") as caught:
            running.client().chat.completions.create(**asked)
        assert caught.value.param == field
        without = {**asked, "tool_choice": "none"}
        if field == "tools":  # offered, but not to be used
            assert running.client().chat.completions.create(**without).choices


def test_null_is_as_if_left_out(served: Served) -> None:
    body = {"model": "base", "messages": ASKED, "temperature": None, "stop": None, "tools": None}
    with served.http() as http:
        assert http.post("/v1/chat/completions", json=body).status_code == 200


@pytest.mark.parametrize(
    ("body", "headers", "told"),
    [
        (
            b'{"model": "base", "messages": []}',
            {"Content-Type": "application/x-www-form-urlencoded"},
            "The body has to be JSON, and be called so: send Content-Type: application/json.",
        ),
        (
            b'{"model": "base" "messages": []}',
            {"Content-Type": "application/json"},
            "The body is no JSON: Expecting ',' delimiter, after 17 characters.",
        ),
        (
            b'{"model": "base", "messages": [{"role": "user", "content": "?"}], "temprature": 1}',
            {"Content-Type": "application/json"},
            "temprature: this server does not know it. Did you mean temperature?",
        ),
        (
            b'{"model": "base", "messages": [{"role": "user", "content": "?"}], "zebra": 1}',
            {"Content-Type": "application/json"},
            "zebra: this server does not know it. Leave it out.",
        ),
    ],
)
def test_a_slip_is_told_with_its_place_and_what_to_do(
    served: Served, body: bytes, headers: dict[str, str], told: str
) -> None:
    with served.http() as http:
        got = http.post("/v1/chat/completions", content=body, headers=headers)
    assert got.status_code == 400
    assert got.json()["error"]["message"] == told


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "invalid_json"),
        (b"[1]", "invalid_value"),
        (
            b'{"model": "base", "messages": [{"role": "user", "content": "\\ud800"}]}',
            "invalid_value",
        ),
        (b'{"model": "base", "messages": [], "temperature": NaN}', "invalid_value"),
        (b"[" * 100_000, "invalid_value"),
        (b"\xff\xfe", "invalid_value"),
        (b"", "missing_required_parameter"),
    ],
)
def test_a_body_that_is_none_is_a_400(served: Served, body: bytes, code: str) -> None:
    with served.http() as http:
        got = http.post(
            "/v1/chat/completions", content=body, headers={"Content-Type": "application/json"}
        )
    assert got.status_code == 400
    assert set(got.json()["error"]) == {"message", "type", "param", "code"}
