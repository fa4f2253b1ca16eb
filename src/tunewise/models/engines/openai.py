"""Turns requests into answers through any endpoint that speaks OpenAI's chat completions.

Needs the extra `openai`. The key is read from the environment and kept by the client alone: it is
in no message, record or log of ours.
"""

import contextlib
import ipaddress
import os
import re
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Literal, NamedTuple, cast
from urllib.parse import urlsplit

from tunewise.chat.tools import answered_calls
from tunewise.errors import UserError
from tunewise.models.engines.completions import (
    broke_off,
    estimated_tokens,
    give_status_of_error,
    most_tokens,
    said_in,
    text_of,
    thoughts_of,
    usage_of,
)
from tunewise.models.engines.protocol import Request, Sampling
from tunewise.project.settings import THINKING_TOKENS
from tunewise.text.answer_text import split_thoughts
from tunewise.types import Failure, Generation, Message, Usage

if TYPE_CHECKING:
    from openai.types.chat import (
        ChatCompletion,
        ChatCompletionAssistantMessageParam,
        ChatCompletionMessageParam,
        ChatCompletionToolUnionParam,
    )

OFFICIAL = "https://api.openai.com/v1"
ROOM_TO_THINK = 4096
"""Tokens allowed beyond the answer's own once a model was seen to spend those on thoughts."""

_UNKNOWN_PARAMETER = re.compile(r"unsupported|unknown|unrecogni|extra|not permitted", re.IGNORECASE)

Limit = Literal["max_tokens", "max_completion_tokens"]
Effort = Literal["none", "minimal", "low", "medium"]


class _Form(NamedTuple):
    """How a request is written: models and servers refuse one parameter or another."""

    limit: Limit
    temperature: bool
    """Whether it is sent; without it answers are not greedy."""
    room: int = 0
    """Tokens beyond the answer's, for thoughts."""
    template: bool = False
    """Whether thinking is switched by `chat_template_kwargs` (vLLM, SGLang, llama.cpp)."""
    effort: Effort | None = None
    """`reasoning_effort` (OpenAI, Ollama, gateways); None: not sent."""


class OpenAIEngine:
    """A model behind an OpenAI-compatible endpoint.

    Requests of a batch go out side by side, `concurrency` at a time. Connection errors, 408, 409,
    429 and 5xx are tried again by the official client, which waits as long as Retry-After says (up
    to two minutes) or ever longer. What fails for good is a `Failure`.

    A parameter that the model refuses (a temperature, the name of the limit) is left out or renamed
    from then on. A model that spends the whole limit on thoughts gets room for them from then on.

    Args:
        model: the endpoint's name for the model.
        base_url: where the endpoint is, up to and including `/v1`.
        key_variable: the environment variable that holds the key. An endpoint on this machine
            needs none.
        context_tokens: the context window; a prompt estimated to exceed it is not sent.
        concurrency: requests under way at a time.
        max_retries: how often one request is tried again.
        timeout_seconds: how long one attempt may take.
        thinking: whether the model is asked to think; None: as the endpoint has it.
        thinking_tokens: what an answer may spend on thoughts, where it is asked to.
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
        thinking: bool | None = None,
        thinking_tokens: int = THINKING_TOKENS,
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
        self.thinking_tokens = thinking_tokens if thinking else 0
        self._thinking = thinking
        self._sdk = openai
        self._key_variable = key_variable
        self._concurrency = concurrency
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
            http_client=openai.DefaultHttpxClient(
                # A proxy from the environment must not stand between us and this very machine.
                trust_env=not local,
                event_hooks={"response": [give_status_of_error]},
            ),
        )
        official = host == urlsplit(OFFICIAL).hostname
        self._form = _Form(
            "max_completion_tokens" if official else "max_tokens",
            temperature=True,
            template=thinking is not None and not official,
            effort="none" if thinking is False else "medium" if thinking and official else None,
        )

    @property
    def caveat(self) -> str | None:
        """What a reader of its answers should know, as far as it has shown: half a sentence."""
        if self._form.temperature:
            return None
        return "it takes no temperature, so that another run may get other answers"

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
            made = self._ask(hello, self._clock())
        except self._sdk.OpenAIError as error:
            raise UserError(f"{self.model} at {self.base_url}: {self._explain(error)}") from error
        except Exception as error:  # boundary: an endpoint may answer anything
            raise UserError(
                f"{self.model} at {self.base_url}: the answer is no chat completion. "
                "Check that base_url is that of an OpenAI-compatible API, with /v1."
            ) from error
        if self._thinking and not (self._form.template or self._form.effort):
            raise UserError(
                f"{self.model} at {self.base_url}: takes neither chat_template_kwargs nor "
                'reasoning_effort, so it cannot be asked to think. Write thinking = "auto".'
            )
        if isinstance(made, Failure):
            raise UserError(
                f"{self.model} at {self.base_url}: {made.message}. "
                "Check that the model answers questions in text."
            )

    def generate(self, requests: Sequence[Request]) -> list[Generation | Failure]:
        """See `Engine.generate`. `seconds` is each request's own wall time, retries included."""
        pool = ThreadPoolExecutor(max_workers=self._concurrency)
        try:
            return list(pool.map(self._answer, requests))
        finally:
            pool.shutdown(cancel_futures=True)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """An estimate (`estimated_tokens`), with four for each turn.

        The protocol has no way to ask an endpoint for its count before a request is sent.
        """
        return sum(4 + estimated_tokens(turn.content) for turn in messages)

    def count_answer_tokens(self, text: str) -> int:
        """An estimate from above (`most_tokens`): limits made of it must not cut an answer."""
        return most_tokens(text)

    @contextlib.contextmanager
    def prefix_caching(self) -> Generator[None]:
        """See `Engine.prefix_caching`. The endpoint decides about its cache."""
        yield

    def unload(self) -> None:
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
            return self._ask(request, began)
        except self._sdk.OpenAIError as error:
            return Failure(message=self._explain(error), seconds=self._clock() - began)
        except Exception as error:  # noqa: BLE001 - boundary around one request
            return Failure(
                message=f"the endpoint's answer is no chat completion ({type(error).__name__})",
                seconds=self._clock() - began,
            )

    def _ask(self, request: Request, began: float) -> Generation | Failure:
        form = self._form
        made = self._read(self._send(request, form), request, began)
        if made is None and not form.room and self._thinking is not False:
            self._form = self._form._replace(room=ROOM_TO_THINK)
            made = self._read(self._send(request, self._form), request, began)
        return made or Failure(
            message="it was cut before an answer began: the model thinks too long, or the prompt "
            "fills its context; let it think less, or give the server a larger context",
            seconds=self._clock() - began,
        )

    def _send(self, request: Request, form: _Form) -> "ChatCompletion":
        tried = {form}
        while True:
            try:
                completion = self._complete(request, form)
            except (self._sdk.BadRequestError, self._sdk.UnprocessableEntityError) as error:
                form = _otherwise(form, error, thinking=self._thinking)
                if form in tried:
                    raise
                tried.add(form)
            else:
                self._form = form._replace(room=self._form.room)
                return completion

    def _complete(self, request: Request, form: _Form) -> "ChatCompletion":
        sampling, omit = request.sampling, self._sdk.omit
        limit = sampling.max_tokens
        if form.room:
            free = self.context_tokens - self.count_tokens(request.messages)
            limit = max(limit, min(limit + form.room, free))
        switches = {"enable_thinking": self._thinking, "thinking": self._thinking}
        return self._client.chat.completions.create(
            model=self.model,
            messages=api_turns(request.messages),
            tools=cast("list[ChatCompletionToolUnionParam]", list(request.tools)) or omit,
            max_tokens=limit if form.limit == "max_tokens" else omit,
            max_completion_tokens=limit if form.limit != "max_tokens" else omit,
            temperature=sampling.temperature if form.temperature else omit,
            seed=sampling.seed if sampling.temperature > 0 else omit,
            reasoning_effort=form.effort or omit,
            extra_body={"chat_template_kwargs": switches} if form.template else None,
        )

    def _read(
        self, completion: "ChatCompletion", request: Request, began: float
    ) -> Generation | Failure | None:
        """What the answer is; None: it was cut before it began."""
        seconds = self._clock() - began
        if (why := broke_off(completion)) is not None:
            return Failure(message=f"the answer broke off ({self._redacted(why)})", seconds=seconds)
        choice = completion.choices[0]
        text = text_of(choice.message)
        if choice.finish_reason == "content_filter":
            return Failure(message="the endpoint's content filter withheld it", seconds=seconds)
        thoughts = thoughts_of(choice.message)
        if choice.finish_reason == "length" and _only_thoughts(text):
            if not self.thinking_tokens:
                return None
            text = f"<think>\n{thoughts}"  # what was allowed for thoughts is spent: no answer
        if text is None:
            return Failure(message="the endpoint answered without a text", seconds=seconds)
        estimate = Usage(
            prompt_tokens=self.count_tokens(request.messages),
            completion_tokens=estimated_tokens(text if thoughts in text else thoughts + text),
            thinking_tokens=estimated_tokens(thoughts),
        )
        return Generation(
            text=text,
            usage=usage_of(completion, estimate),
            finish_reason="length" if choice.finish_reason == "length" else "stop",
            seconds=seconds,
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
    return said_in(getattr(error, "body", None)) or str(error)


def _otherwise(form: _Form, error: Exception, *, thinking: bool | None) -> _Form:
    """The request written as the refusal wants it; the same form if it says nothing of that."""
    said = f"{_said(error)} {getattr(error, 'param', None) or ''}"
    # Newer models know only one name for the limit, older servers only the other.
    other: Limit = "max_tokens" if form.limit != "max_tokens" else "max_completion_tokens"
    if form.limit in said and (other in said or _UNKNOWN_PARAMETER.search(said)):
        return form._replace(limit=other)
    if form.temperature and "temperature" in said:
        return form._replace(temperature=False)
    if form.template and "chat_template_kwargs" in said:
        return form._replace(template=False, effort="medium" if thinking else form.effort)
    if form.effort and "reasoning_effort" in said:
        # Older models think a little at least. One that refuses the parameter does not think.
        less: Mapping[Effort, Effort] = {"none": "minimal", "minimal": "low"}
        return form._replace(effort=None if form.template else less.get(form.effort))
    return form


def _only_thoughts(text: str | None) -> bool:
    """Whether a text that was cut holds no answer yet."""
    return not (split_thoughts(text or "").answer or "").strip()


def api_turns(messages: Sequence[Message]) -> "list[ChatCompletionMessageParam]":
    """A conversation as the API has it; calls are numbered from `call_0`."""
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
