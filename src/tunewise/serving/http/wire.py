"""What a client may send, as the official `openai` client writes it.

The client's own types drop what they do not know and take a temperature of 99; these forbid both.
A field that is not here is refused by name, so that nobody believes in an effect that it has not.
Some are taken with the one value that changes nothing, since programs send them always.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    Tag,
    model_validator,
)

from tunewise.types import Message, ToolCall

MAX_N = 16
"""Answers to one prompt."""
MAX_INPUTS = 2048
"""Texts of one request for embeddings, as OpenAI has it."""
_INT64 = 2**63


class Wire(BaseModel):
    """A part of a request: exact types, finite numbers, nothing unknown; null is as if left out."""

    # What stands below a field describes it at /openapi.json.
    model_config = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        given = cast("Mapping[str, object]", value)
        return {key: one for key, one in given.items() if one is not None}


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("holds half of a surrogate pair, which is no character") from None
    return text


Text: TypeAlias = Annotated[str, AfterValidator(_encodable)]
"""JSON can say what no text can hold."""


def _branch(key: str) -> Discriminator:
    """Tells the branches of a union apart by a field. Tags begin with *, so that the place of a
    fault can be told without them (`errors`)."""

    def tag(value: object) -> str:
        named = value.get(key) if isinstance(value, dict) else getattr(value, key, None)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        return f"*{named}"

    return Discriminator(tag, custom_error_type=key, custom_error_message=f"has no known `{key}`")


_word_or_tool = Discriminator(lambda value: "*word" if isinstance(value, str | None) else "*tool")
_one_or_list = Discriminator(lambda value: "*list" if isinstance(value, list) else "*one")


class TextPart(Wire):
    """A text within a message."""

    type: Literal["text"]
    text: Text


Content: TypeAlias = Annotated[
    Annotated[Text, Tag("*one")] | Annotated[list[TextPart], Field(min_length=1), Tag("*list")],
    _one_or_list,
]
"""A text, or several that belong together. Pictures, sounds and files are refused."""


class System(Wire):
    """What the model is told beforehand; `developer` is the newer word for it."""

    role: Literal["system", "developer"]
    content: Content


class User(Wire):
    """What a person says."""

    role: Literal["user"]
    content: Content


def _json_object(text: str) -> str:
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ValueError("has to be a JSON object, as text")
    return text


class Function(Wire):
    """What a call calls, and with what."""

    name: Annotated[Text, Field(min_length=1, max_length=64)]
    arguments: Annotated[Text, AfterValidator(_json_object)]


class Call(Wire):
    """A call that the assistant asked for."""

    id: Text
    type: Literal["function"]
    function: Function


class Assistant(Wire):
    """What the model said before. `annotations` are what came with it from here: they are taken so
    that a message can be sent back as it came."""

    role: Literal["assistant"]
    content: Content | None = None
    tool_calls: Annotated[list[Call], Field(min_length=1)] | None = None
    annotations: list[dict[str, JsonValue]] | None = None

    @model_validator(mode="after")
    def _says_or_calls(self) -> "Assistant":
        if self.content is None and self.tool_calls is None:
            raise ValueError("has neither content nor tool_calls")
        return self


class ToolResult(Wire):
    """What a call gave."""

    role: Literal["tool"]
    content: Content
    tool_call_id: Text


Turn: TypeAlias = Annotated[
    Annotated[System, Tag("*system")]
    | Annotated[System, Tag("*developer")]
    | Annotated[User, Tag("*user")]
    | Annotated[Assistant, Tag("*assistant")]
    | Annotated[ToolResult, Tag("*tool")],
    _branch("role"),
]


def _writable(value: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    """Python reads NaN and Infinity as JSON, which has neither."""
    pending: list[object] = [value]
    while pending:
        one = pending.pop()
        if isinstance(one, float) and not math.isfinite(one):
            raise ValueError("holds a number that JSON lacks")
        if isinstance(one, str):
            _encodable(one)
        if isinstance(one, Mapping):
            pending.extend(cast("Mapping[str, object]", one).keys())
            pending.extend(cast("Mapping[str, object]", one).values())
        elif isinstance(one, list):
            pending.extend(cast("list[object]", one))
    return value


JsonObject: TypeAlias = Annotated[dict[str, JsonValue], AfterValidator(_writable)]


class TextFormat(Wire):
    """Any answer."""

    type: Literal["text"]


class ObjectFormat(Wire):
    """Any JSON object."""

    type: Literal["json_object"]


class NamedSchema(Wire):
    """A JSON schema. Answers keep to it whether or not `strict` is given."""

    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    description: Text | None = None
    schema_: Annotated[JsonObject, Field(alias="schema")]
    strict: bool | None = None


class SchemaFormat(Wire):
    """JSON of a given schema."""

    type: Literal["json_schema"]
    json_schema: NamedSchema


ResponseFormat: TypeAlias = Annotated[
    Annotated[TextFormat, Tag("*text")]
    | Annotated[ObjectFormat, Tag("*json_object")]
    | Annotated[SchemaFormat, Tag("*json_schema")],
    _branch("type"),
]


class ToolFunction(Wire):
    """A function that may be called."""

    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    description: Text | None = None
    parameters: JsonObject | None = None
    """A JSON schema. Arguments keep to it where `tool_choice` requires a call; where the model may
    choose, they are what it writes."""
    strict: Literal[False] | None = None
    """Cannot be promised where the model may choose."""


class ToolOffered(Wire):
    """A tool that may be used."""

    type: Literal["function"]
    function: ToolFunction


class NamedFunction(Wire):
    """The function that has to be called."""

    name: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]


class ToolChosen(Wire):
    """The tool that has to be used."""

    type: Literal["function"]
    function: NamedFunction


class StreamOptions(Wire):
    """What a stream holds besides the answer."""

    include_usage: bool = False
    include_obfuscation: Literal[False] | None = None


_StopText: TypeAlias = Annotated[Text, Field(min_length=1, max_length=1024)]
_Nothing: TypeAlias = Annotated[float, Field(ge=0, le=0)]
"""0, since the engines know no such penalty."""


class ChatCompletionRequest(Wire):
    """A conversation to answer."""

    model: Annotated[Text, Field(min_length=1, max_length=512)]
    """Of `GET /v1/models`: a base model, a version or an alias."""
    messages: Annotated[list[Turn], Field(min_length=1, max_length=4096)]
    """The conversation. The model's own prompt is put around it here."""
    max_completion_tokens: Annotated[int, Field(ge=1, lt=_INT64)] | None = None
    """The longest answer. Left out: that of the run that the model comes from, or what the context
    leaves."""
    max_tokens: Annotated[int, Field(ge=1, lt=_INT64)] | None = None
    """The old name of `max_completion_tokens`."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """Left out: 0, at which models were measured."""
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    """The share of probability that tokens are drawn from. Left out: 1."""
    n: Annotated[int, Field(ge=1, le=MAX_N)] = 1
    """Answers to the conversation."""
    stop: (
        Annotated[
            Annotated[_StopText, Tag("*one")]
            | Annotated[list[_StopText], Field(max_length=4), Tag("*list")],
            _one_or_list,
        ]
        | None
    ) = None
    """Texts before which an answer ends."""
    seed: Annotated[int, Field(ge=-_INT64, lt=_INT64)] | None = None
    """Repeats what is drawn."""
    logprobs: bool = False
    """Whether the log-probability of each token of the answer is told, in nats."""
    top_logprobs: Annotated[int, Field(ge=0, le=20)] = 0
    """How many tokens are told that could have stood in a place, most probable first. It needs
    `logprobs`. The engine `openvino` tells none."""
    response_format: ResponseFormat | None = None
    """Holds while the answer is written, and is validated once more where the answer ends by
    itself. It cannot be had together with `tools`."""
    tools: Annotated[list[ToolOffered], Field(max_length=128)] | None = None
    """What the model may call. It needs a chat template that writes tools, or an adapter that was
    trained with tools here."""
    tool_choice: (
        Annotated[
            Annotated[Literal["none", "auto", "required"], Tag("*word")]
            | Annotated[ToolChosen, Tag("*tool")],
            _word_or_tool,
        ]
        | None
    ) = None
    """`auto`: the model may call. `required`, or a function by its name: it writes one call whose
    arguments match `parameters`. `none`: it is told of no tools."""
    stream: bool = False
    """Whether the answer comes as server-sent events: `data: ` and a chat.completion.chunk each, an
    error in their place where there is one, `data: [DONE]` at the end."""
    stream_options: StreamOptions | None = None
    """Of a stream alone."""

    # Said of a request, without effect on its answer.
    user: Annotated[Text, Field(max_length=512)] | None = None
    """Without effect."""
    safety_identifier: Annotated[Text, Field(max_length=512)] | None = None
    """Without effect."""
    prompt_cache_key: Annotated[Text, Field(max_length=512)] | None = None
    """Without effect."""
    metadata: Annotated[dict[Text, Text], Field(max_length=16)] | None = None
    """Without effect."""

    # Taken with the value that changes nothing.
    frequency_penalty: _Nothing | None = None
    """The engines know none: 0."""
    presence_penalty: _Nothing | None = None
    """The engines know none: 0."""
    logit_bias: Annotated[dict[str, float], Field(max_length=0)] | None = None
    """The engines know none: empty."""
    modalities: Annotated[list[Literal["text"]], Field(min_length=1, max_length=1)] | None = None
    """Answers are texts."""
    parallel_tool_calls: Literal[True] | None = None
    """A model that may call may call several at once."""
    service_tier: Literal["auto", "default"] | None = None
    """There is one."""
    store: Literal[False] | None = None
    """Answers are not kept for a client."""

    @property
    def most_tokens(self) -> int | None:
        """The longest answer asked for, in tokens."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def stops(self) -> tuple[str, ...]:
        """The texts before which an answer ends."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())


class EmbeddingRequest(Wire):
    """`POST /v1/embeddings`. Texts alone: lists of token ids belong to other models' tokenizers."""

    model: Annotated[Text, Field(min_length=1, max_length=512)]
    input: Annotated[
        Annotated[Text, Field(min_length=1), Tag("*one")]
        | Annotated[
            list[Annotated[Text, Field(min_length=1)]],
            Field(min_length=1, max_length=MAX_INPUTS),
            Tag("*list"),
        ],
        _one_or_list,
    ]
    encoding_format: Literal["float", "base64"] = "float"
    user: Annotated[Text, Field(max_length=512)] | None = None

    @property
    def texts(self) -> Sequence[str]:
        """All texts, in order."""
        return [self.input] if isinstance(self.input, str) else self.input


def message_of(turn: System | User | Assistant | ToolResult) -> Message:
    """A turn as Tunewise knows it. Several texts are one, as in rows to learn from."""
    match turn:
        case System():
            return Message(role="system", content=_text(turn.content))
        case User():
            return Message(role="user", content=_text(turn.content))
        case Assistant():
            calls = tuple(
                ToolCall(name=call.function.name, arguments=call.function.arguments, id=call.id)
                for call in turn.tool_calls or ()
            )
            return Message(role="assistant", content=_text(turn.content), tool_calls=calls)
        case ToolResult():
            return Message(role="tool", content=_text(turn.content), tool_call_id=turn.tool_call_id)


def tool_of(tool: ToolOffered) -> dict[str, Any]:
    """A tool as OpenAI describes it, which is how Tunewise knows it."""
    return tool.model_dump(exclude_none=True)


def _text(content: str | list[TextPart] | None) -> str:
    if isinstance(content, list):
        return "".join(part.text for part in content)
    return content or ""
