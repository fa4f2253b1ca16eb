"""Turns a request for a chat completion into what an engine is asked, or refuses it by field."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass

from tunewise.chat.tools import tool_name
from tunewise.serving.http.calls import call_schema
from tunewise.serving.http.errors import ApiError
from tunewise.serving.http.service import Service
from tunewise.serving.http.wire import (
    ChatCompletionRequest,
    ObjectFormat,
    SchemaFormat,
    ToolChosen,
    message_of,
    tool_of,
)
from tunewise.serving.protocol import (
    Answered,
    Capabilities,
    ChatRequest,
    Decoding,
    Passage,
    Piece,
    Prompted,
    RefusedError,
    ServedModel,
)
from tunewise.types import JsonValue, Tool


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A request that is ready to be answered."""

    model: str
    """The version that answers."""
    pieces: AsyncGenerator[Piece]
    passages: tuple[Passage, ...] = ()
    tools: tuple[Tool, ...] = ()
    read: Callable[[str], str] | None = None
    """What is said -> the answer, which can be told only once it is whole; None: the same."""
    schema: Mapping[str, JsonValue] | None = None
    """What an answer that ends by itself has to match."""


async def ask(service: Service, body: ChatCompletionRequest) -> Asked:
    """Finds the model, has it make its prompt, and gives what the engine will say.

    Raises:
        ApiError: 404 where there is no such model; 400, which names the field, where it cannot do
            what is asked.
        RefusedError: the model cannot answer such a conversation.
    """
    _require_consistent(body)
    messages = tuple(message_of(turn) for turn in body.messages)

    def prepare() -> tuple[ServedModel, Prompted | Answered]:
        model = service.catalogue.find(body.model)
        if model is None:
            raise unknown_model(body.model)
        return model, model.prepare(messages)

    model, prepared = await service.in_thread(prepare)
    if isinstance(prepared, Answered):
        _require_plain(body, prepared)
        return Asked(model=model.resolved, pieces=_said(prepared))
    _require_capable(body, service.engine.capabilities)
    if prepared.read is not None:
        _require_readable(body)
    if model.weights is None:
        raise TypeError(f"{model.resolved} asks a language model and names none")
    tools = () if body.tool_choice == "none" else tuple(tool_of(tool) for tool in body.tools or ())
    callable_ = _callable(body, tools)
    forced = bool(tools) and body.tool_choice not in (None, "auto")
    schema = call_schema(callable_) if forced else _schema(body)
    request = ChatRequest(
        weights=model.weights,
        messages=prepared.messages,
        tools=tools,
        decoding=_decoding(body, prepared.max_tokens, schema),
    )
    pieces = _closing(service, request, model.resolved)
    return Asked(
        model=model.resolved,
        pieces=_of_tools(pieces) if forced else pieces,
        passages=prepared.passages,
        tools=callable_,
        read=prepared.read,
        # Whoever gives stop strings may have had it cut anywhere.
        schema=None if body.stops else schema,
    )


def _callable(body: ChatCompletionRequest, tools: tuple[Tool, ...]) -> tuple[Tool, ...]:
    """The tools that may be called: all, or the one that was chosen.

    Raises:
        ApiError: there is no tool of that name.
    """
    if not isinstance(body.tool_choice, ToolChosen):
        return tools
    name = body.tool_choice.function.name
    chosen = tuple(tool for tool in tools if tool_name(tool) == name)
    if not chosen:
        raise _refused("tool_choice", f"there is no tool {name!r} in tools")
    return chosen


async def _of_tools(pieces: AsyncGenerator[Piece]) -> AsyncGenerator[Piece]:
    """The same; what is refused of the schema of a call is a fault of the tools."""
    async with aclosing(pieces):
        try:
            async for piece in pieces:
                yield piece
        except RefusedError as error:
            if error.param != "response_format":
                raise
            raise RefusedError(
                f"tools: their parameters make up the form of the call. {error.message}",
                param="tools",
                code=error.code,
            ) from error


def unknown_model(name: str) -> ApiError:
    """There is no model of that name."""
    return ApiError(
        404,
        f"There is no model {name!r} here. GET /v1/models lists those that there are.",
        param="model",
        code="model_not_found",
    )


async def _closing(service: Service, request: ChatRequest, model: str) -> AsyncGenerator[Piece]:
    """What the engine says. Closing this closes the engine's iterator, which frees its slot.

    Args:
        model: the version that is asked, which a refusal of its weights names.
    """
    pieces = service.engine.stream(request)
    try:
        async for piece in pieces:
            yield piece
    except RefusedError as error:
        if error.param != "model":
            raise
        raise RefusedError(f"{model}: {error.message}", param="model", code=error.code) from error
    finally:
        close = getattr(pieces, "aclose", None)
        if close is not None:
            await close()


async def _said(answered: Answered) -> AsyncGenerator[Piece]:
    yield Piece(text=answered.text, finish_reason="stop", usage=answered.usage)


def _decoding(
    body: ChatCompletionRequest, max_tokens: int | None, schema: Mapping[str, JsonValue] | None
) -> Decoding:
    return Decoding(
        max_tokens=body.most_tokens or max_tokens,
        temperature=0.0 if body.temperature is None else body.temperature,
        top_p=1.0 if body.top_p is None else body.top_p,
        seed=body.seed,
        stop=body.stops,
        n=body.n,
        logprobs=body.logprobs,
        top_logprobs=body.top_logprobs,
        json_schema=schema,
    )


def _schema(body: ChatCompletionRequest) -> dict[str, JsonValue] | None:
    match body.response_format:
        case SchemaFormat(json_schema=named):
            return {**named.schema_}
        case ObjectFormat():
            return {"type": "object"}
        case _:
            return None


def _require_consistent(body: ChatCompletionRequest) -> None:
    if body.top_logprobs and not body.logprobs:
        raise _refused("top_logprobs", "needs `logprobs: true`")
    if body.stream_options is not None and not body.stream:
        raise _refused("stream_options", "needs `stream: true`")
    if body.tool_choice is not None and not body.tools:
        raise _refused("tool_choice", "needs `tools`")
    if body.max_tokens and body.max_completion_tokens not in (None, body.max_tokens):
        raise _refused("max_tokens", "is the old name of max_completion_tokens; give one of them")


def _require_capable(body: ChatCompletionRequest, engine: Capabilities) -> None:
    """Refuses what the engine cannot do."""
    if body.top_logprobs > engine.max_top_logprobs:
        most = engine.max_top_logprobs or "none, but the chosen token's"
        raise _refused(
            "top_logprobs", f"the engine {engine.engine} tells at most {most}", code=True
        )
    if _schema(body) is not None and not engine.schema:
        raise _refused(
            "response_format", f"the engine {engine.engine} cannot enforce a form", code=True
        )
    if body.tools and body.tool_choice != "none" and not engine.tools:
        raise _refused("tools", f"the engine {engine.engine} knows no tools", code=True)
    if body.tool_choice not in (None, "auto", "none") and not engine.schema:
        raise _refused(
            "tool_choice", f"the engine {engine.engine} cannot enforce a call", code=True
        )
    if body.tools and body.tool_choice != "none" and _schema(body) is not None:
        raise _refused("response_format", "calls of tools have a form of their own; give one")


def _require_readable(body: ChatCompletionRequest) -> None:
    """Refuses what concerns the text that a model writes, where the answer is read out of it."""
    asked = {
        "response_format": _schema(body) is not None,
        "tools": bool(body.tools) and body.tool_choice != "none",
        "logprobs": body.logprobs,
        "stop": bool(body.stops),
    }
    for field, given in asked.items():
        if given:
            why = f"{body.model} writes steps before its answer, which alone is given"
            raise _refused(field, why, code=True)


def _require_plain(body: ChatCompletionRequest, answered: Answered) -> None:
    """Refuses what makes sense only where a language model writes the answer."""
    without = f"{body.model} asks no language model"
    asked = {
        "n": body.n > 1,
        "logprobs": body.logprobs,
        "response_format": _schema(body) is not None,
        "tools": bool(body.tools) and body.tool_choice != "none",
        "stop": any(stop in answered.text for stop in body.stops),
    }
    for field, given in asked.items():
        if given:
            raise _refused(field, without, code=True)
    if (body.most_tokens or answered.usage.completion_tokens) < answered.usage.completion_tokens:
        field = "max_completion_tokens" if body.max_completion_tokens else "max_tokens"
        raise _refused(field, f"{without}, and its answers are given whole", code=True)


def _refused(field: str, why: str, *, code: bool = False) -> ApiError:
    return ApiError(
        400,
        f"{field}: {why}.",
        param=field,
        code="unsupported_parameter" if code else "invalid_value",
    )
