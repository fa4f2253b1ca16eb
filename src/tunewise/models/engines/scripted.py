"""Turns requests into answers given beforehand: a model for tests and dry runs.

The same script gives the same answers, tokens and times. It counts a token for every word.
"""

import contextlib
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import TypeAlias

from tunewise.models.engines.protocol import Request
from tunewise.text.answer_text import split_thoughts
from tunewise.types import Failure, Generation, Message, Usage

Script: TypeAlias = Callable[[Request], str | Failure] | Mapping[str, str] | Sequence[str]
"""How answers are found: a function of the request; a mapping from the text of the last turn; or a
list, taken in the order in which requests come."""


class ScriptedEngine:
    """An engine that says what it was told to.

    Args:
        script: where answers come from. A text that the mapping lacks, or a request beyond the end
            of the list, is a `Failure`.
        context_tokens: a request whose prompt words and `max_tokens` exceed it is a `Failure`.
        failures: text of the last turn -> message of the `Failure` to give instead of an answer.
        seconds: what every generation says it took.
        thinking_tokens: see `Engine.thinking_tokens`.

    Attributes:
        requests: every request so far, in order.
    """

    def __init__(
        self,
        script: Script,
        *,
        context_tokens: int = 8192,
        failures: Mapping[str, str] | None = None,
        seconds: float = 0.0,
        thinking_tokens: int = 0,
    ) -> None:
        self.name = "scripted"
        self.thinking_tokens = thinking_tokens
        self.context_tokens = context_tokens
        self.requests: list[Request] = []
        self._script = script
        self._failures = failures or {}
        self._seconds = seconds
        self._closed = False

    def generate(self, requests: Sequence[Request]) -> list[Generation | Failure]:
        """See `Engine.generate`."""
        if self._closed:
            raise RuntimeError("the engine is closed")
        return [self._answer(request) for request in requests]

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Words in all turns; what white space separates is a word."""
        return sum(len(turn.content.split()) for turn in messages)

    def count_answer_tokens(self, text: str) -> int:
        """Words of the text."""
        return len(text.split())

    @contextlib.contextmanager
    def prefix_caching(self) -> Generator[None]:
        """See `Engine.prefix_caching`. A script knows no cache."""
        yield

    def unload(self) -> None:
        """See `Engine.rest`. A script holds no memory."""

    def close(self) -> None:
        """See `Engine.close`."""
        self._closed = True

    def _answer(self, request: Request) -> Generation | Failure:
        place = len(self.requests)
        self.requests.append(request)
        asked = request.messages[-1].content if request.messages else ""
        if asked in self._failures:
            return Failure(message=self._failures[asked], seconds=self._seconds)
        prompt = self.count_tokens(request.messages)
        limit = request.sampling.max_tokens
        if prompt + limit > self.context_tokens:
            return Failure(
                message=f"the prompt ({prompt} tokens) and the answer (up to {limit}) do not fit "
                f"into {self.context_tokens} tokens; shorten the prompt or lower max_tokens"
            )
        text = self._text(request, asked, place)
        if isinstance(text, Failure):
            return text
        words = text.split()
        cut = len(words) > limit
        said = " ".join(words[:limit]) if cut else text
        return Generation(
            text=said,
            usage=Usage(
                prompt_tokens=prompt,
                completion_tokens=min(len(words), limit),
                thinking_tokens=len(split_thoughts(said).thoughts.split()),
            ),
            finish_reason="length" if cut else "stop",
            seconds=self._seconds,
            seconds_to_first_token=self._seconds,
        )

    def _text(self, request: Request, asked: str, place: int) -> str | Failure:
        if callable(self._script):
            return self._script(request)
        if isinstance(self._script, Mapping):
            if asked in self._script:
                return self._script[asked]
        elif place < len(self._script):
            return self._script[place]
        return Failure(message=f"the script has no answer to {asked[:60]!r}; add one")
