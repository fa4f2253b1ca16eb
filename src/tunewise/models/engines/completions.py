"""Turns what endpoints send as a chat completion into a text, a usage and a status.

The protocol is OpenAI's, and servers write it differently: content in parts, counts that are null,
arguments as objects, failures with status 200.
"""

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, cast

from tunewise.chat.tools import answer_with_calls
from tunewise.text.answer_text import split_thoughts
from tunewise.types import ToolCall, Usage

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion, ChatCompletionMessage

_SPOKEN = ("text", "output_text", None)
"""Types of the parts of a content that are the answer; thoughts are parts of other types."""


class Response(Protocol):
    """The part of an HTTP client's response that is used here."""

    status_code: int

    def read(self) -> bytes:
        """The whole body, kept for whoever reads next."""
        ...

    def json(self) -> object:
        """The body as a JSON value."""
        ...


def text_of(said: "ChatCompletionMessage") -> str | None:
    """What was said, and what was called, as `Example.target` writes it; None: neither.

    A refusal is what was said where there is no other text.

    Raises:
        TypeError: the content is neither a text nor a list of parts.
    """
    content = _content(said.content)
    calls, broken = _calls(said)
    if broken:
        return "\n".join([*filter(None, [content]), *broken])
    if calls:
        return answer_with_calls(content or "", calls)
    if content is None or not content.strip():
        return said.refusal or content
    return content


def _content(content: object) -> str | None:
    if not isinstance(content, list):
        if content is None or isinstance(content, str):
            return content
        raise TypeError(f"content is {type(content).__name__}")
    parts = cast("list[object]", content)
    texts = [part if isinstance(part, str) else _text_part(part) for part in parts]
    spoken = [text for text in texts if text is not None]
    return "".join(spoken) if spoken else None


def _text_part(part: object) -> str | None:
    text = _fields(part).get("text")
    return text if _fields(part).get("type") in _SPOKEN and isinstance(text, str) else None


def _calls(said: "ChatCompletionMessage") -> tuple[list[ToolCall], list[str]]:
    """The calls, and as plain text those whose arguments are no JSON."""
    calls: list[ToolCall] = []
    broken: list[str] = []
    for call in said.tool_calls or []:
        function = getattr(call, "function", None)
        if function is None:
            continue
        given: object = function.arguments or {}
        arguments = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
        try:
            json.loads(arguments)
        except ValueError:
            broken.append(f'{{"name": {json.dumps(function.name)}, "arguments": {arguments}}}')
        else:
            calls.append(ToolCall(name=function.name, arguments=arguments))
    return calls, broken


def thoughts_of(said: "ChatCompletionMessage") -> str:
    """What was thought before: in a field of its own, or in tags within the content; or ""."""
    for name in ("reasoning_content", "reasoning"):
        given: object = getattr(said, name, None)
        if isinstance(given, str) and given.strip():
            return given.strip()
    return split_thoughts(text_of(said) or "").thoughts


def usage_of(completion: "ChatCompletion", estimate: Usage) -> Usage:
    """The endpoint's own counts; the estimate for those it does not give.

    Few endpoints count thoughts: their share of what was written, in the estimate, is taken then.
    """
    usage = completion.usage
    if usage is None:
        return estimate
    details = usage.prompt_tokens_details
    written = _count(usage.completion_tokens, estimate.completion_tokens)
    share = estimate.thinking_tokens / max(1, estimate.completion_tokens)
    spent: object = getattr(usage.completion_tokens_details, "reasoning_tokens", None)
    return Usage(
        prompt_tokens=_count(usage.prompt_tokens, estimate.prompt_tokens),
        cached_tokens=_count(details.cached_tokens, 0) if details else 0,
        completion_tokens=written,
        thinking_tokens=min(written, _count(spent or None, round(share * written))),
    )


def _count(given: object, otherwise: int) -> int:
    return int(given) if isinstance(given, int | float) else otherwise


def broke_off(completion: "ChatCompletion") -> str | None:
    """What a gateway says of an answer that failed behind it, if it did."""
    choice = completion.choices[0]
    error: object = getattr(choice, "error", None)
    if error is None and cast("str | None", choice.finish_reason) != "error":
        return None
    return said_in(error) or "no reason given"


def give_status_of_error(response: Response) -> None:
    """Gives a failure that comes with status 200 the status it names.

    Gateways pass a failure behind them on as a success without choices, 429 included. The client
    tries again by the status, and reads the message where it is.
    """
    if response.status_code != 200:
        return
    response.read()
    try:
        body: object = response.json()
    except (ValueError, RecursionError):
        return
    fields = _fields(body)
    error = fields.get("error")
    if error and not fields.get("choices"):
        named = str(_fields(error).get("code"))
        wrong = len(named) == 3 and named.isdecimal() and named[0] in "45"
        response.status_code = int(named) if wrong else 400


def said_in(body: object) -> str | None:
    """The message in an endpoint's error, with what a gateway heard from behind it."""
    if isinstance(body, str):
        return body or None
    message = _fields(body).get("message")
    if not isinstance(message, str):
        return None
    raw = _fields(_fields(body).get("metadata")).get("raw")
    return f"{message}: {raw}" if isinstance(raw, str) and raw.strip() else message


def _fields(value: object) -> Mapping[str, object]:
    """The fields of an object; none where it is something else."""
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}


def estimated_tokens(text: str) -> int:
    """Tokens of a text, roughly, where nobody counts them; English as others have it.

    A token is four ASCII characters, two of the alphabets that UTF-8 writes in two bytes (Cyrillic,
    Greek, Arabic ...), or one sign of three bytes (Chinese, Japanese, Thai, Hindi ...). An emoji is
    two tokens.
    """
    return math.floor(sum(_tokens_of(sign) for sign in text))


def most_tokens(text: str) -> int:
    """Tokens that a text takes at most, roughly: what a limit must leave room for.

    Code, numbers and keys of JSON take up to one token for two characters.
    """
    return math.ceil(2 * sum(_tokens_of(sign) for sign in text))


def _tokens_of(sign: str) -> float:
    code = ord(sign)
    return 0.25 if code < 0x80 else 0.5 if code < 0x800 else 1.0 if code < 0x10000 else 2.0
