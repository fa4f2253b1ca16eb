"""What a client gets, in the shapes of OpenAI's API."""

from typing import Annotated, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, Field

from tunewise.serving.protocol import ModelInfo, Passage, TokenLogprob
from tunewise.types import ToolCall, Usage

FinishReason: TypeAlias = Literal["stop", "length", "tool_calls"]
LEAST_LOGPROB = -9999.0
"""What stands for a token that cannot come: JSON has no infinity, and OpenAI sends this."""


_Field = TypeVar("_Field")
_IfAny: TypeAlias = Annotated[_Field | None, Field(exclude_if=lambda value: value is None)]
"""A field that is left out where there is nothing to say, instead of null."""


class ErrorDetail(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorReply(BaseModel):
    """The body of every error."""

    error: ErrorDetail


class PromptDetails(BaseModel):
    """Prompt tokens, in part."""

    cached_tokens: int


class CompletionDetails(BaseModel):
    """Tokens of answers, in part."""

    reasoning_tokens: int


class UsageReply(BaseModel):
    """Tokens of one request."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: _IfAny[PromptDetails] = None
    """None: the engine cannot tell how many came from its cache."""
    completion_tokens_details: _IfAny[CompletionDetails] = None


class Alternative(BaseModel):
    """A token that could have stood there."""

    token: str
    logprob: float
    """In nats."""
    bytes: list[int]
    """Of its text in UTF-8."""


class LogprobEntry(Alternative):
    """A token of the answer."""

    top_logprobs: list[Alternative]


class Logprobs(BaseModel):
    """The tokens of an answer, or of a part of it."""

    content: list[LogprobEntry]
    refusal: None = None


class FunctionReply(BaseModel):
    """What is to be called, and with what: a JSON object as text."""

    name: str
    arguments: str


class ToolCallReply(BaseModel):
    """A call that the model asks for."""

    id: str
    type: Literal["function"] = "function"
    function: FunctionReply


class ToolCallPart(ToolCallReply):
    """The same within a stream."""

    index: int


class Citation(BaseModel):
    """A passage that the model was given for its answer."""

    start_index: int = 0
    end_index: int
    """In characters: the passage was there for the whole answer."""
    title: str
    url: str
    """The document, as the model's folder names it: `refunds.md#2`."""
    text: str
    """The passage itself. OpenAI has no such field."""


class Annotation(BaseModel):
    """Where an answer comes from: the one kind that OpenAI's client knows."""

    type: Literal["url_citation"] = "url_citation"
    url_citation: Citation


class AnswerMessage(BaseModel):
    """One answer."""

    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: None = None
    annotations: _IfAny[list[Annotation]] = None
    tool_calls: _IfAny[list[ToolCallReply]] = None


class Choice(BaseModel):
    """One of the n answers."""

    index: int
    message: AnswerMessage
    logprobs: Logprobs | None = None
    finish_reason: FinishReason


class ChatCompletion(BaseModel):
    """`POST /v1/chat/completions`, unstreamed."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    """The version that answered, whatever name it was asked by."""
    choices: list[Choice]
    usage: UsageReply


class Delta(BaseModel):
    """What is new."""

    role: _IfAny[Literal["assistant"]] = None
    content: _IfAny[str] = None
    tool_calls: _IfAny[list[ToolCallPart]] = None
    annotations: _IfAny[list[Annotation]] = None


class ChunkChoice(BaseModel):
    """What is new of one of the n answers."""

    index: int
    delta: Delta
    logprobs: Logprobs | None = None
    finish_reason: FinishReason | None = None


class ChatCompletionChunk(BaseModel):
    """One event of a stream."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: _IfAny[UsageReply] = None


class EmbeddingEntry(BaseModel):
    """The vector of one text."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str
    """Numbers, or base64 of their little-endian float32."""


class EmbeddingUsage(BaseModel):
    """Tokens of all texts together."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingReply(BaseModel):
    """`POST /v1/embeddings`."""

    object: Literal["list"] = "list"
    data: list[EmbeddingEntry]
    model: str
    usage: EmbeddingUsage


class ModelReply(BaseModel):
    """`GET /v1/models/{id}`. The last two fields are ours."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    kind: Literal["base", "version", "alias", "embedding"]
    resolved: _IfAny[str] = None
    """The version that an alias stands for."""


class ModelList(BaseModel):
    """`GET /v1/models`."""

    object: Literal["list"] = "list"
    data: list[ModelReply]
    has_more: bool = False
    first_id: str | None
    last_id: str | None


class ModelDeleted(BaseModel):
    """`DELETE /v1/models/{id}`."""

    id: str
    object: Literal["model"] = "model"
    deleted: Literal[True] = True


class Status(BaseModel):
    """`GET /health`, `GET /ready`."""

    status: Literal["ok", "ready"]


def usage_reply(usage: Usage, *, cached_tokens: bool) -> UsageReply:
    """Tokens as OpenAI tells them.

    Args:
        usage: of the request, all answers together.
        cached_tokens: whether the engine knows them, so that none is 0.
    """
    return UsageReply(
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        total_tokens=usage.total,
        prompt_tokens_details=PromptDetails(cached_tokens=usage.cached_tokens)
        if cached_tokens or usage.cached_tokens
        else None,
        completion_tokens_details=CompletionDetails(reasoning_tokens=usage.thinking_tokens),
    )


def logprobs_reply(tokens: list[TokenLogprob]) -> Logprobs:
    """Log-probabilities of the tokens of an answer."""
    return Logprobs(
        content=[
            LogprobEntry(
                token=token.text,
                logprob=max(token.logprob, LEAST_LOGPROB),
                bytes=list(token.text.encode()),
                top_logprobs=[
                    Alternative(
                        token=text, logprob=max(logprob, LEAST_LOGPROB), bytes=list(text.encode())
                    )
                    for text, logprob in token.top
                ],
            )
            for token in tokens
        ]
    )


def annotations_of(passages: tuple[Passage, ...], length: int) -> list[Annotation] | None:
    """Passages as annotations of an answer of so many characters; None where there are none."""
    return [
        Annotation(
            url_citation=Citation(
                end_index=length, title=passage.source, url=passage.source, text=passage.text
            )
        )
        for passage in passages
    ] or None


def call_reply(call: ToolCall, id: str) -> ToolCallReply:
    """A call under an id of its own."""
    return ToolCallReply(id=id, function=FunctionReply(name=call.name, arguments=call.arguments))


def model_reply(model: ModelInfo) -> ModelReply:
    """A line of the list of models."""
    return ModelReply(
        id=model.id,
        created=model.created,
        owned_by=model.owned_by,
        kind=model.kind,
        resolved=model.resolved,
    )
