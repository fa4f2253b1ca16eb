"""A chat engine that says what it is told to: for tests and dry runs, in this process.

A word with the white space before it counts as a token.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import TypeAlias

from tunewise.serving.engine.checks import check_request
from tunewise.serving.engine.stops import StopFilter
from tunewise.serving.protocol import (
    Capabilities,
    ChatRequest,
    EngineLostError,
    EngineState,
    Piece,
    RefusedError,
    TokenLogprob,
    Weights,
)
from tunewise.types import Usage

Script: TypeAlias = Callable[[ChatRequest], str | Sequence[str]]
"""The answer to a request, or one for each of its n answers. It may raise `RefusedError`."""

LOGPROB = -0.5
"""Of every token, in nats."""
CAPABILITIES = Capabilities(
    engine="scripted", max_top_logprobs=0, schema=True, tools=True, cached_tokens=False
)
_TOKEN = re.compile(r"\s*\S+|\s+$")


class ScriptedChatEngine:
    """Answers from a function, word by word.

    Args:
        script: gives the answers.
        capabilities: what it says it can do; the rest is refused. Other tokens of a position than
            the chosen one are told as none.
        context_tokens: a request whose prompt words and `max_tokens` exceed it is refused.
        slots: requests that run at once; others wait.
        seconds_per_token: how long a token takes. It can be changed at any time.

    Attributes:
        requests: every request so far that was not refused, in order.
        closed: how many streams ended before their answer did.
        told: pieces of answers so far.
    """

    def __init__(
        self,
        script: Script,
        *,
        capabilities: Capabilities = CAPABILITIES,
        context_tokens: int = 8192,
        slots: int = 32,
        seconds_per_token: float = 0.0,
    ) -> None:
        self.capabilities = capabilities
        self.seconds_per_token = seconds_per_token
        self.requests: list[ChatRequest] = []
        self.closed = self.told = 0
        self._script = script
        self._context_tokens = context_tokens
        self._slots = asyncio.Semaphore(slots)
        self._running = self._waiting = self._restarts = 0
        self._ready = False
        self._loaded: dict[Weights, None] = {}
        self._lost: set[asyncio.Event] = set()

    async def start(self) -> None:
        """See `ChatEngine.start`."""
        self._ready = True

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Piece, None]:
        """See `ChatEngine.stream`. The words of the n answers come in turn."""
        check_request(request, self.capabilities)
        prompt = _prompt_tokens(request)
        asked = request.decoding.max_tokens or 1
        if prompt + asked > self._context_tokens:
            raise RefusedError(
                f"The prompt of {prompt} tokens and {asked} of the answer do not fit "
                f"{self._context_tokens}. Shorten the messages, or ask for fewer.",
                param="messages",
                code="context_length_exceeded",
            )
        if not self._ready:
            raise EngineLostError("the engine is closed")
        lost = asyncio.Event()
        self._lost.add(lost)
        self._waiting += 1
        try:
            await self._slots.acquire()
        except BaseException:
            self._lost.discard(lost)
            raise
        finally:
            self._waiting -= 1
        self._running += 1
        whole = False
        try:
            answers = self._answers(request, self._context_tokens - prompt)
            self.requests.append(request)
            self._loaded[request.weights] = None
            for piece in _in_turn(answers, prompt):
                if self.seconds_per_token:
                    await _sleep(self.seconds_per_token, lost)
                if lost.is_set():
                    raise EngineLostError("the engine was lost while it answered")
                self.told += 1
                yield piece
            whole = True
        finally:
            self._running -= 1
            self.closed += not whole
            self._lost.discard(lost)
            self._slots.release()

    async def warm(self, weights: Weights) -> None:
        """See `ChatEngine.warm`."""
        self._loaded[weights] = None

    def state(self) -> EngineState:
        """See `ChatEngine.state`."""
        return EngineState(
            ready=self._ready,
            running=self._running,
            waiting=self._waiting,
            restarts=self._restarts,
            loaded=tuple(self._loaded),
        )

    async def close(self) -> None:
        """See `ChatEngine.close`."""
        self._ready = False
        for lost in self._lost:
            lost.set()

    def lose(self) -> None:
        """All that runs or waits ends with `EngineLostError`, as when the process died."""
        self._restarts += 1
        for lost in self._lost:
            lost.set()

    def _answers(self, request: ChatRequest, room: int) -> list[list[Piece]]:
        said = self._script(request)
        n = request.decoding.n
        texts = [said] * n if isinstance(said, str) else list(said)
        if len(texts) != n:
            raise ValueError(f"the script has {len(texts)} answers to a request for {n}")
        return [_pieces(index, text, request, room) for index, text in enumerate(texts)]


def _prompt_tokens(request: ChatRequest) -> int:
    return sum(len(turn.content.split()) for turn in request.messages)


def _pieces(index: int, text: str, request: ChatRequest, room: int) -> list[Piece]:
    """One piece for every token; the last one says why nothing follows."""
    decoding = request.decoding
    limit = decoding.max_tokens or room
    tokens = _TOKEN.findall(text)
    stops = StopFilter(decoding.stop)
    pieces: list[Piece] = []
    for token in tokens[:limit]:
        shown = stops.feed(token)
        told = (TokenLogprob(text=token, logprob=LOGPROB),) if decoding.logprobs else ()
        pieces.append(Piece(index=index, text=shown, logprobs=() if stops.stopped else told))
        if stops.stopped:
            break
    cut = len(tokens) > limit and not stops.stopped
    last = Piece(index=index, text=stops.flush(), finish_reason="length" if cut else "stop")
    return [*pieces, last]


def _in_turn(answers: Sequence[Sequence[Piece]], prompt: int) -> list[Piece]:
    """The pieces of all answers, one of each after another, with the usage on the last."""
    longest = max(map(len, answers))
    pieces = [
        answer[place] for place in range(longest) for answer in answers if place < len(answer)
    ]
    usage = Usage(prompt_tokens=prompt, completion_tokens=len(pieces) - len(answers))
    last = pieces[-1]
    pieces[-1] = Piece(
        index=last.index, text=last.text, finish_reason=last.finish_reason, usage=usage
    )
    return pieces


async def _sleep(seconds: float, lost: asyncio.Event) -> None:
    """As long, or until it is lost."""
    try:
        await asyncio.wait_for(lost.wait(), seconds)
    except TimeoutError:
        return
