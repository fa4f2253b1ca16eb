"""Turns requests into answers through any endpoint that speaks OpenAI's chat completions.

Needs the extra `openai`. The key is read from the environment and kept by the client alone: it is
in no message, record or log of ours. This module knows nothing of prices or of the models behind
the endpoint.
"""

import contextlib
import ipaddress
import os
import re
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Literal, cast
from urllib.parse import urlsplit

from tunewise.data.tools import answer_with_calls, answered_calls
from tunewise.errors import UserError
from tunewise.models.engine import Request, Sampling
from tunewise.types import Failure, Generation, Message, ToolCall, Usage

if TYPE_CHECKING:
    from openai.types.chat import (
        ChatCompletion,
        ChatCompletionAssistantMessageParam,
        ChatCompletionMessage,
        ChatCompletionMessageParam,
        ChatCompletionToolUnionParam,
    )

OFFICIAL = "https://api.openai.com/v1"
CHARACTERS_PER_TOKEN = 4
"""English text, roughly; used only where the endpoint does not count."""

_UNKNOWN_PARAMETER = re.compile(r"unsupported|unknown|unrecogni|extra|not permitted", re.IGNORECASE)

Limit = Literal["max_tokens", "max_completion_tokens"]


class OpenAIEngine:
    """A model behind an OpenAI-compatible endpoint.

    Requests of a batch go out side by side, `concurrency` at a time. Connection errors, 408, 409,
    429 and 5xx are tried again by the official client, which waits as long as Retry-After says (up
    to two minutes) or ever longer. What fails for good is a `Failure`.

    Args:
        model: the endpoint's name for the model.
        base_url: where the endpoint is, up to and including `/v1`.
        key_variable: the environment variable that holds the key. An endpoint on this machine
            needs none.
        context_tokens: the context window; a prompt estimated to exceed it is not sent.
        concurrency: requests under way at a time.
        max_retries: how often one request is tried again.
        timeout_seconds: how long one attempt may take.
        send_temperature: False for models that refuse a temperature; they are then not greedy.
        clock: seconds, monotonic.

    Raises:
        UserError: the extra is missing, the address is none, or there is no key.
    """

    def __init__(
        self,
        *,
        model: str,
        base_url: str = OFFICIAL,
        key_variable: str = "OPENAI_API_KEY",
        context_tokens: int = 128_000,
        concurrency: int = 8,
        max_retries: int = 5,
        timeout_seconds: float = 120.0,
        send_temperature: bool = True,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        try:
            import openai  # noqa: PLC0415 - extra `openai`
        except ImportError as missing:
            raise UserError(
                "An endpoint needs the extra `openai`. Run: pip install 'tunewise[openai]'"
            ) from missing
        self.name = "openai"
        self.model = model
        self.base_url = base_url
        self.context_tokens = context_tokens
        self._sdk = openai
        self._key_variable = key_variable
        self._concurrency = concurrency
        self._temperature = send_temperature
        self._clock = clock
        host = urlsplit(base_url).hostname
        if urlsplit(base_url).scheme not in ("http", "https") or not host:
            raise UserError(f"{base_url!r} is no address of an endpoint. Write it like {OFFICIAL}.")
        local = _is_loopback(host)
        self._client = openai.OpenAI(
            api_key=_key(key_variable, base_url, local=local),
            base_url=base_url,
            max_retries=max_retries,
            timeout=timeout_seconds,
            # A proxy from the environment must not stand between us and this very machine.
            http_client=openai.DefaultHttpxClient(trust_env=False) if local else None,
        )
        self._limit: Limit = (
            "max_completion_tokens" if host == urlsplit(OFFICIAL).hostname else "max_tokens"
        )

    def check(self) -> None:
        """Asks for one short answer, so that a refusal shows before any work is done.

        Raises:
            UserError: the endpoint cannot be reached, refuses the key, does not know the model or
                gives no usable answer: what, where and what to do.
        """
        hello = Request(
            messages=(Message(role="user", content="Say OK."),), sampling=Sampling(max_tokens=16)
        )
        try:
            self._read(self._send(hello), hello, self._clock())
        except self._sdk.OpenAIError as error:
            raise UserError(f"{self.model} at {self.base_url}: {self._explain(error)}") from error
        except Exception as error:  # boundary: an endpoint may answer anything
            raise UserError(
                f"{self.model} at {self.base_url}: the answer is no chat completion. "
                "Check that base_url is that of an OpenAI-compatible API, with /v1."
            ) from error

    def generate(self, requests: Sequence[Request]) -> list[Generation | Failure]:
        """See `Engine.generate`. `seconds` is each request's own wall time, retries included."""
        pool = ThreadPoolExecutor(max_workers=self._concurrency)
        try:
            return list(pool.map(self._answer, requests))
        finally:
            pool.shutdown(cancel_futures=True)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """An estimate, one token for four characters and four for each turn.

        The protocol has no way to ask an endpoint for its count before a request is sent.
        """
        return sum(4 + len(turn.content) // CHARACTERS_PER_TOKEN for turn in messages)

    def count_answer_tokens(self, text: str) -> int:
        """An estimate, one token for four characters."""
        return len(text) // CHARACTERS_PER_TOKEN

    @contextlib.contextmanager
    def serving(self) -> Generator[None]:
        """See `Engine.serving`. The endpoint decides about its cache."""
        yield

    def rest(self) -> None:
        """See `Engine.rest`. The model is elsewhere."""

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def _answer(self, request: Request) -> Generation | Failure:
        began = self._clock()
        if request.adapter is not None:
            return Failure(message="an endpoint cannot run an adapter trained here; export it")
        prompt, limit = self.count_tokens(request.messages), request.sampling.max_tokens
        if prompt + limit > self.context_tokens:
            return Failure(
                message=f"the prompt (about {prompt} tokens) and the answer (up to {limit}) do not "
                f"fit into {self.context_tokens} tokens; shorten the prompt or lower max_tokens"
            )
        try:
            return self._read(self._send(request), request, began)
        except self._sdk.OpenAIError as error:
            return Failure(message=self._explain(error), seconds=self._clock() - began)
        except Exception as error:  # noqa: BLE001 - boundary around one request
            return Failure(
                message=f"the endpoint's answer is no chat completion ({type(error).__name__})",
                seconds=self._clock() - began,
            )

    def _send(self, request: Request) -> "ChatCompletion":
        limit = self._limit
        try:
            return self._complete(request, limit)
        except self._sdk.BadRequestError as error:
            # Newer models know only one name for the limit, older servers only the other.
            other: Limit = "max_tokens" if limit != "max_tokens" else "max_completion_tokens"
            said = _said(error)
            if limit not in said or not (other in said or _UNKNOWN_PARAMETER.search(said)):
                raise
            answer = self._complete(request, other)
            self._limit = other
            return answer

    def _complete(self, request: Request, limit: Limit) -> "ChatCompletion":
        sampling, omit = request.sampling, self._sdk.omit
        return self._client.chat.completions.create(
            model=self.model,
            messages=_turns(request.messages),
            tools=cast("list[ChatCompletionToolUnionParam]", list(request.tools)) or omit,
            max_tokens=sampling.max_tokens if limit == "max_tokens" else omit,
            max_completion_tokens=sampling.max_tokens if limit != "max_tokens" else omit,
            temperature=sampling.temperature if self._temperature else omit,
            seed=sampling.seed if sampling.temperature > 0 else omit,
        )

    def _read(
        self, completion: "ChatCompletion", request: Request, began: float
    ) -> Generation | Failure:
        seconds = self._clock() - began
        choice = completion.choices[0]
        said = choice.message
        text = _text(said)
        if choice.finish_reason == "content_filter":
            return Failure(message="the endpoint's content filter withheld it", seconds=seconds)
        if text is None:
            return Failure(message="the endpoint answered without a text", seconds=seconds)
        return Generation(
            text=text,
            usage=self._usage(completion, request, text),
            finish_reason="length" if choice.finish_reason == "length" else "stop",
            seconds=seconds,
        )

    def _usage(self, completion: "ChatCompletion", request: Request, text: str) -> Usage:
        usage = completion.usage
        if usage is None:
            return Usage(
                prompt_tokens=self.count_tokens(request.messages),
                completion_tokens=len(text) // CHARACTERS_PER_TOKEN,
            )
        details = usage.prompt_tokens_details
        return Usage(
            prompt_tokens=int(usage.prompt_tokens),
            cached_tokens=(details.cached_tokens or 0) if details else 0,
            completion_tokens=int(usage.completion_tokens),
        )

    def _explain(self, error: Exception) -> str:
        """What went wrong and what to do, without the key."""
        sdk = self._sdk
        said = self._redacted(_said(error))
        match error:
            case sdk.APITimeoutError():
                return "no answer in time. Try later, or allow more seconds."
            case sdk.APIConnectionError():
                cause = f" ({error.__cause__})" if error.__cause__ else ""
                return f"cannot be reached{cause}. Check base_url and that the server runs."
            case sdk.AuthenticationError() | sdk.PermissionDeniedError():
                return f"refuses the key ({said}). Check the variable {self._key_variable}."
            case sdk.NotFoundError():
                return f"no such model or path ({said}). Check the model's name and base_url."
            case sdk.RateLimitError():
                return f"too many requests or no credit left ({said}). Lower concurrency or wait."
            case sdk.InternalServerError():
                return f"the server failed ({said}). Try later."
            case sdk.BadRequestError():
                return f"refuses the request ({said}). Mend what it names."
            case _:
                return said

    def _redacted(self, text: str) -> str:
        safe = text.replace(self._client.api_key, "[key]")
        return safe if len(safe) <= 300 else f"{safe[:300]}…"


def _said(error: Exception) -> str:
    """The endpoint's own message where there is one."""
    body: object = getattr(error, "body", None)
    inner = cast(Mapping[str, object], body).get("message") if isinstance(body, Mapping) else None
    return inner if isinstance(inner, str) else str(error)


def _text(said: "ChatCompletionMessage") -> str | None:
    """What was said, and what was called, as `Example.target` writes it."""
    calls = [
        ToolCall(name=call.function.name, arguments=call.function.arguments or "{}")
        for call in said.tool_calls or []
        if call.type == "function"
    ]
    if calls:
        return answer_with_calls(said.content or "", calls)
    return said.content if said.content is not None else said.refusal


def _turns(messages: Sequence[Message]) -> "list[ChatCompletionMessageParam]":
    turns: list[ChatCompletionMessageParam] = []
    answers = answered_calls(messages)
    made = 0
    for place, message in enumerate(messages):
        match message.role:
            case "system":
                turns.append({"role": "system", "content": message.content})
            case "assistant":
                turn: ChatCompletionAssistantMessageParam = {
                    "role": "assistant",
                    "content": message.content,
                }
                if message.tool_calls:
                    turn["tool_calls"] = [
                        {
                            "id": f"call_{number}",
                            "type": "function",
                            "function": {"name": call.name, "arguments": call.arguments},
                        }
                        for number, call in enumerate(message.tool_calls, made)
                    ]
                    made += len(message.tool_calls)
                turns.append(turn)
            case "tool":
                answered = f"call_{answers[place]}"
                turns.append({"role": "tool", "content": message.content, "tool_call_id": answered})
            case _:
                turns.append({"role": "user", "content": message.content})
    return turns


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _key(variable: str, base_url: str, *, local: bool) -> str:
    key = os.environ.get(variable, "").strip()
    if not key and not local:
        raise UserError(
            f"{base_url} needs a key, and the environment variable {variable} is not set. "
            f"Run: export {variable}=..."
        )
    return key or "none-needed"
