"""What vllm is sent and what it sends, in the fields of its API; a request in, pieces out.

Read in the sources of vllm (`entrypoints/openai`, `entrypoints/serve/lora`). Three things it would
do otherwise than the engines here, and is told not to: it takes penalties and `top_k` from the
model's generation_config.json, lets a model think whose template can, and refuses `n` without
sampling.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, TypeAdapter

from tunewise.chat.template import DATE
from tunewise.chat.tools import answered_calls
from tunewise.serving.protocol import Decoding, TokenLogprob
from tunewise.types import JsonValue, Message, Tool, Usage

GREEDY = 1e-5
"""Below this temperature vllm does not sample."""
ANY_OBJECT: Mapping[str, JsonValue] = {"type": "object"}
TEMPLATE_SETTINGS = {"enable_thinking": False, "thinking": False, "date_string": DATE}
"""What templates are told, as everywhere here: not to think, and what day it is."""
MAX_TOP_LOGPROBS = 20
"""What `vllm serve --max-logprobs` is unless somebody says otherwise."""


class _Said(BaseModel):
    """A part of what vllm says; it says more."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Card(_Said):
    """A line of `GET /v1/models`."""

    id: str
    root: str | None = None
    """Hub id or path of the weights."""
    parent: str | None = None
    """Of an adapter: its base."""


class Cards(_Said):
    """`GET /v1/models`."""

    data: tuple[Card, ...]


class Tokens(_Said):
    """`POST /tokenize`."""

    tokens: tuple[int, ...]


class Written(_Said):
    """`POST /detokenize`."""

    prompt: str


class Fault(_Said):
    """What an error says."""

    message: str = ""
    type: str = ""
    param: str | None = None
    code: int | str | None = None


class _Alternative(_Said):
    token: str
    logprob: float


class _Token(_Alternative):
    top_logprobs: tuple[_Alternative, ...] = ()


class _Logprobs(_Said):
    content: tuple[_Token, ...] | None = None


class _Delta(_Said):
    content: str | None = None


class ChunkChoice(_Said):
    """What is new of one of the n answers."""

    index: int
    delta: _Delta
    logprobs: _Logprobs | None = None
    finish_reason: str | None = None

    @property
    def tokens(self) -> tuple[TokenLogprob, ...]:
        """Log-probabilities of its tokens."""
        told = (self.logprobs and self.logprobs.content) or ()
        return tuple(
            TokenLogprob(
                text=one.token,
                logprob=one.logprob,
                top=tuple((other.token, other.logprob) for other in one.top_logprobs),
            )
            for one in told
        )


class _PromptDetails(_Said):
    cached_tokens: int | None = None


class UsageTold(_Said):
    """Tokens of a request, all answers together."""

    prompt_tokens: int
    completion_tokens: int = 0
    prompt_tokens_details: _PromptDetails | None = None
    """Only with `--enable-prompt-tokens-details`, and only where some came from the cache."""

    @property
    def tells_cached(self) -> bool:
        """Whether it says how many came from the cache."""
        details = self.prompt_tokens_details
        return details is not None and details.cached_tokens is not None

    def as_usage(self, copies: int) -> Usage:
        """As it is told here.

        Args:
            copies: how often what was said once is given.
        """
        details = self.prompt_tokens_details
        return Usage(
            prompt_tokens=self.prompt_tokens,
            cached_tokens=(details and details.cached_tokens) or 0,
            completion_tokens=copies * self.completion_tokens,
        )


class Chunk(_Said):
    """An event of a stream. An error is one, too."""

    choices: tuple[ChunkChoice, ...] = ()
    usage: UsageTold | None = None
    error: Fault | None = None


CARDS, CHUNK = TypeAdapter(Cards), TypeAdapter(Chunk)
TOKENS, WRITTEN = TypeAdapter(Tokens), TypeAdapter(Written)


class _Refusal(_Said):
    error: Fault | str | None = None
    message: str = ""
    detail: Any = None


_REFUSAL = TypeAdapter(_Refusal)


def fault_of(body: bytes) -> Fault:
    """What a response that is an error says; empty where it is none of vllm's."""
    try:
        said = _REFUSAL.validate_json(body)
    except ValueError:
        return Fault()
    if isinstance(said.error, Fault):
        return said.error
    return Fault(message=said.error or said.message or str(said.detail or ""))


def copies_of(decoding: Decoding) -> int:
    """How many answers one stands for: without sampling they are all the same, and vllm gives one
    only."""
    return decoding.n if decoding.temperature < GREEDY else 1


def chat_body(
    model: str, messages: Sequence[Message], tools: Sequence[Tool], decoding: Decoding
) -> dict[str, Any]:
    """The body of `POST /v1/chat/completions`. Always a stream, so that a hang-up ends it.

    Calls of tools come back as text, as from every engine: `tool_choice` "none" has vllm write the
    tools into the prompt and leave the answer as it is.

    Args:
        model: what vllm calls it.
        messages: to be answered.
        tools: that its template writes.
        decoding: how tokens are chosen.
    """
    body: dict[str, Any] = {
        "model": model,
        "messages": turns_of(messages),
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": decoding.temperature,
        "top_p": decoding.top_p,
        "top_k": -1,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "frequency_penalty": 0.0,
        "presence_penalty": 0.0,
        "n": 1 if copies_of(decoding) > 1 else decoding.n,
        "chat_template_kwargs": TEMPLATE_SETTINGS,
    }
    if decoding.max_tokens is not None:
        body["max_completion_tokens"] = decoding.max_tokens
    if decoding.seed is not None:
        body["seed"] = decoding.seed
    if decoding.stop:
        body["stop"] = list(decoding.stop)
    if decoding.logprobs:
        body |= {"logprobs": True, "top_logprobs": decoding.top_logprobs}
    if decoding.json_schema is not None:
        body["response_format"] = _response_format(decoding.json_schema)
    if tools:
        body |= {"tools": list(tools), "tool_choice": "none"}
    return body


def tokenize_body(model: str, messages: Sequence[Message], tools: Sequence[Tool]) -> dict[str, Any]:
    """The body of `POST /tokenize`: what its template makes of a conversation."""
    given = {"tools": list(tools)} if tools else {}
    return {
        "model": model,
        "messages": turns_of(messages),
        "add_generation_prompt": True,
        "chat_template_kwargs": TEMPLATE_SETTINGS,
        **given,
    }


def turns_of(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """A conversation as the API has it. Calls get new ids, of nine characters: some templates
    insist on that."""
    turns: list[dict[str, Any]] = []
    answers = answered_calls(messages)
    names: list[str] = []
    for place, message in enumerate(messages):
        turn: dict[str, Any] = {"role": message.role, "content": message.content}
        if message.tool_calls:
            turn["tool_calls"] = [
                {
                    "id": _call_id(number),
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments},
                }
                for number, call in enumerate(message.tool_calls, len(names))
            ]
            names += [call.name for call in message.tool_calls]
        if place in answers:
            turn |= {"tool_call_id": _call_id(answers[place]), "name": names[answers[place]]}
        turns.append(turn)
    return turns


def _response_format(schema: Mapping[str, JsonValue]) -> dict[str, Any]:
    if schema == ANY_OBJECT:
        return {"type": "json_object"}
    named = {"name": "answer", "schema": cast("dict[str, Any]", schema), "strict": True}
    return {"type": "json_schema", "json_schema": named}


def _call_id(number: int) -> str:
    return f"call{number:05d}"


def reason_of(said: str) -> Literal["stop", "length"] | None:
    """Why an answer ended, where it is an end that an answer may have."""
    return said if said in ("stop", "length") else None
