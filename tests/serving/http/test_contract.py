"""Our request and response models beside those of the official client, field by field."""

import typing

import pytest
from openai.types import CreateEmbeddingResponse, EmbeddingCreateParams, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk, completion_create_params
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from tunewise.serving.http import replies
from tunewise.serving.http.wire import ChatCompletionRequest, EmbeddingRequest

CHAT = completion_create_params.CompletionCreateParamsBase
NOT_HERE = {
    "audio",
    "function_call",
    "functions",
    "moderation",
    "prediction",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning_effort",
    "verbosity",
    "web_search_options",
}
"""Fields of the client that are refused by name. One that the client gets anew fails the test
below: then somebody decides what to do with it."""
MESSAGES = [
    {"role": "developer", "content": "Be brief."},
    {"role": "system", "content": [{"type": "text", "text": "Be kind."}]},
    {"role": "user", "content": "hello"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        ],
    },
    {"role": "tool", "tool_call_id": "1", "content": "4"},
]
FIELDS: dict[str, object] = {
    "messages": MESSAGES,
    "model": "base",
    "frequency_penalty": 0.0,
    "logit_bias": {},
    "logprobs": True,
    "max_completion_tokens": 5,
    "max_tokens": 5,
    "metadata": {"a": "b"},
    "modalities": ["text"],
    "n": 2,
    "parallel_tool_calls": True,
    "presence_penalty": 0,
    "prompt_cache_key": "k",
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True},
    },
    "safety_identifier": "s",
    "seed": 3,
    "service_tier": "auto",
    "stop": ["a", "b"],
    "store": False,
    "stream": True,
    "stream_options": {"include_usage": True},
    "temperature": 0.5,
    "tool_choice": "auto",
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    "top_logprobs": 2,
    "top_p": 0.9,
    "user": "u",
}
OTHERS: list[tuple[str, object]] = [
    ("stop", "a"),
    ("stop", None),
    ("response_format", {"type": "text"}),
    ("response_format", {"type": "json_object"}),
    ("tool_choice", "none"),
    ("service_tier", "default"),
    ("stream", False),
]


def of_client(typed_dict: type) -> set[str]:
    return set(typing.get_type_hints(typed_dict))


def test_every_field_of_the_client_is_known_or_refused_on_purpose() -> None:
    ours = set(ChatCompletionRequest.model_fields)
    theirs = of_client(CHAT) | {"stream"}
    assert ours <= theirs, "a field that the client cannot send"
    assert theirs - ours == NOT_HERE
    assert of_client(EmbeddingCreateParams) - set(EmbeddingRequest.model_fields) == {"dimensions"}


def test_every_field_is_tried() -> None:
    assert set(FIELDS) == set(ChatCompletionRequest.model_fields)


@pytest.mark.parametrize(("field", "value"), [*FIELDS.items(), *OTHERS], ids=str)
def test_what_the_client_may_send_is_taken(field: str, value: object) -> None:
    stream = {"stream": False} if field != "stream" else {}
    asked = {"model": "m", "messages": MESSAGES, **stream, field: value}
    theirs = TypeAdapter(
        completion_create_params.CompletionCreateParams, config=ConfigDict(extra="forbid")
    )
    theirs.validate_python(asked)
    read = ChatCompletionRequest.model_validate(asked)
    assert getattr(read, field) is not None or value is None


@pytest.mark.parametrize("field", sorted(NOT_HERE))
def test_what_is_refused_is_refused_by_name(field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        ChatCompletionRequest.model_validate({"model": "m", "messages": MESSAGES, field: "x"})
    assert [fault["loc"] for fault in refused.value.errors()] == [(field,)]


@pytest.mark.parametrize(
    ("ours", "theirs", "added"),
    [
        (replies.ChatCompletion, ChatCompletion, set()),
        (replies.ChatCompletionChunk, ChatCompletionChunk, {"annotations", "text"}),
        (replies.EmbeddingReply, CreateEmbeddingResponse, set()),
        (replies.ModelReply, Model, {"kind", "resolved"}),
    ],
)
def test_a_response_has_no_field_that_the_client_lacks_but_those_that_are_said(
    ours: type[BaseModel], theirs: type[BaseModel], added: set[str]
) -> None:
    allowed = {"text"} | added
    assert extra_fields(ours, theirs) <= allowed


def extra_fields(ours: type[BaseModel], theirs: type[BaseModel]) -> set[str]:
    """Names of fields, at any depth, that the other model does not have in the same place."""
    extra = set(ours.model_fields) - set(theirs.model_fields)
    for name, field in ours.model_fields.items():
        if name in theirs.model_fields:
            inner, other = (
                models_in(field.annotation),
                models_in(theirs.model_fields[name].annotation),
            )
            if inner and other:
                extra |= extra_fields(inner[0], other[0])
    return extra


def models_in(annotation: object) -> list[type[BaseModel]]:
    """The pydantic models within a type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in models_in(part)]
