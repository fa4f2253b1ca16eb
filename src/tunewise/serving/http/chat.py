"""`POST /v1/chat/completions`: one answer, or a stream of its pieces."""

import json
import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from fastapi import APIRouter, Depends, Request, Response
from fastapi.sse import format_sse_event
from starlette.types import Message, Receive, Scope, Send

from tunewise.chat.tools import read_answer
from tunewise.serving.http.access import needs
from tunewise.serving.http.asking import Asked, ask
from tunewise.serving.http.calls import BeforeCalls
from tunewise.serving.http.errors import failed
from tunewise.serving.http.promises import require_kept
from tunewise.serving.http.replies import (
    AnswerMessage,
    ChatCompletion,
    ChatCompletionChunk,
    Choice,
    ChunkChoice,
    Delta,
    FinishReason,
    ToolCallPart,
    UsageReply,
    annotations_of,
    call_reply,
    logprobs_reply,
    usage_reply,
)
from tunewise.serving.http.service import rate_limited, service_of
from tunewise.serving.http.telemetry import Trace, trace_of
from tunewise.serving.http.wire import ChatCompletionRequest
from tunewise.serving.protocol import EngineLostError, Piece, TokenLogprob
from tunewise.types import ToolCall, Usage

MODEL_HEADER = "x-tunewise-model"
"""Names the version that answered; so does `model` of the body."""

_UNBUFFERED = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
"""What keeps proxies from holding a stream back."""

router = APIRouter()


@router.post(
    "/v1/chat/completions",
    dependencies=[needs("chat"), Depends(rate_limited)],
    response_model=ChatCompletion,
    responses={200: {"content": {"text/event-stream": {}}}},
)
async def chat_completions(body: ChatCompletionRequest, request: Request) -> Response:
    """Answers a conversation. The model's own prompt, examples and passages are applied here."""
    service, trace = service_of(request), trace_of(request)
    trace.operation, trace.streamed = "chat", body.stream
    asked = await ask(service, body)
    trace.model = asked.model
    answering = _Answering(
        asked=asked,
        trace=trace,
        cached_tokens=service.engine.capabilities.cached_tokens,
        body=body,
        keeps_contents=service.contents is not None,
    )
    if not body.stream:
        completion = await answering.whole()
        return Response(
            completion.model_dump_json(),
            media_type="application/json",
            headers={MODEL_HEADER: asked.model},
        )
    # A refusal comes before the first piece, and is an answer of its own.
    first = await answering.first()
    return _EventStream(answering, first, headers={MODEL_HEADER: asked.model})


@dataclass(kw_only=True, slots=True)
class _Written:
    """One of the n answers, as far as it is there."""

    texts: list[str] = field(default_factory=list[str])
    logprobs: list[TokenLogprob] = field(default_factory=list[TokenLogprob])
    reason: FinishReason | None = None
    before_calls: BeforeCalls = field(default_factory=BeforeCalls)

    def add(self, piece: Piece) -> None:
        self.texts.append(piece.text)
        self.logprobs += piece.logprobs
        self.reason = piece.finish_reason or self.reason

    @property
    def text(self) -> str:
        return "".join(self.texts)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Read:
    """An answer that is whole: what is said, and what is called."""

    content: str | None
    calls: tuple[ToolCall, ...]
    reason: FinishReason


@dataclass(kw_only=True, slots=True)
class _Answering:
    """A request while it is answered."""

    asked: Asked
    trace: Trace
    body: ChatCompletionRequest
    cached_tokens: bool
    keeps_contents: bool
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))
    written: dict[int, _Written] = field(default_factory=dict[int, _Written])

    async def whole(self) -> ChatCompletion:
        """The answer at once.

        Raises:
            RefusedError, EngineLostError: see `ChatEngine.stream`.
        """
        async with aclosing(self.asked.pieces) as pieces:
            async for piece in pieces:
                self._add(piece)
        return self._completion()

    async def first(self) -> Piece:
        """The first piece of a stream.

        Raises:
            RefusedError, EngineLostError: see `ChatEngine.stream`.
        """
        try:
            return await anext(self.asked.pieces)
        except StopAsyncIteration:
            raise EngineLostError("the engine said nothing") from None
        except BaseException:
            await self.asked.pieces.aclose()
            raise

    async def chunks(self, first: Piece) -> AsyncGenerator[ChatCompletionChunk]:
        """A stream's events."""
        async with aclosing(self.asked.pieces) as pieces:
            for chunk in self._chunks_of(first):
                yield chunk
            async for piece in pieces:
                for chunk in self._chunks_of(piece):
                    yield chunk
        completion = self._completion()
        if self.body.stream_options is not None and self.body.stream_options.include_usage:
            yield self._chunk((), usage=completion.usage)

    def _chunks_of(self, piece: Piece) -> Sequence[ChatCompletionChunk]:
        begins = piece.index not in self.written
        written = self._add(piece)
        chunks: list[ChatCompletionChunk] = []
        if begins:
            chunks.append(self._delta(piece.index, Delta(role="assistant", content="")))
        text, tokens = self._sayable(written, piece), piece.logprobs
        if self.asked.read is not None:
            tokens = ()
        if text or tokens:
            chunks.append(self._delta(piece.index, Delta(content=text), tokens=tokens))
        if piece.finish_reason is None:
            return chunks
        read = self._read(written)
        calls = [
            ToolCallPart(index=place, **call_reply(call, _call_id()).model_dump())
            for place, call in enumerate(read.calls)
        ]
        rest = "" if self._as_it_comes else (read.content or "")[written.before_calls.shown :]
        if rest or calls:
            delta = Delta(content=rest or None, tool_calls=calls or None)
            chunks.append(self._delta(piece.index, delta))
        return [*chunks, *self._end(piece.index, read.reason, len(read.content or ""))]

    @property
    def _as_it_comes(self) -> bool:
        """Whether all that is written is said."""
        return not self.asked.tools and self.asked.read is None

    def _sayable(self, written: _Written, piece: Piece) -> str:
        """What of a piece can be told before the answer is whole."""
        if self._as_it_comes:
            return piece.text
        return "" if self.asked.read is not None else written.before_calls.feed(piece.text)

    def _end(self, index: int, reason: FinishReason, length: int) -> list[ChatCompletionChunk]:
        annotations = annotations_of(self.asked.passages, length)
        last = Delta() if annotations is None else Delta(annotations=annotations)
        return [self._delta(index, last, reason=reason)]

    def _add(self, piece: Piece) -> _Written:
        if self.trace.first_token is None and (piece.text or piece.logprobs):
            self.trace.first_token = time.perf_counter()
        if piece.usage is not None:
            self.trace.usage = piece.usage
        written = self.written.setdefault(piece.index, _Written())
        written.add(piece)
        return written

    def _read(self, written: _Written) -> _Read:
        reason = written.reason
        if reason is None:
            raise EngineLostError("the engine ended before the answer did")
        if self.asked.schema is not None and reason == "stop":
            require_kept(written.text, self.asked.schema)
        text = written.text if self.asked.read is None else self.asked.read(written.text)
        said = read_answer(text, self.asked.tools)
        if not said.calls:
            return _Read(content=text, calls=(), reason=reason)
        return _Read(content=said.content or None, calls=said.calls, reason="tool_calls")

    def _completion(self) -> ChatCompletion:
        """All answers.

        Raises:
            EngineLostError: one of them has no end.
            ApiError: one of them breaks its schema.
        """
        if len(self.written) < self.body.n:
            raise EngineLostError("the engine ended before the answer did")
        choices = [
            self._choice(index, written, self._read(written))
            for index, written in sorted(self.written.items())
        ]
        completion = ChatCompletion(
            id=self.id,
            created=self.created,
            model=self.asked.model,
            choices=choices,
            usage=usage_reply(self.trace.usage or Usage(), cached_tokens=self.cached_tokens),
        )
        if self.keeps_contents:
            self.trace.contents = {
                "model": self.asked.model,
                "request": self.body.model_dump(mode="json", by_alias=True, exclude_unset=True),
                "response": completion.model_dump(mode="json"),
            }
        return completion

    def _choice(self, index: int, written: _Written, read: _Read) -> Choice:
        calls = [call_reply(call, _call_id()) for call in read.calls]
        message = AnswerMessage(
            content=read.content,
            annotations=annotations_of(self.asked.passages, len(read.content or "")),
            tool_calls=calls or None,
        )
        tokens = logprobs_reply(written.logprobs) if self.body.logprobs else None
        return Choice(index=index, message=message, logprobs=tokens, finish_reason=read.reason)

    def _delta(
        self,
        index: int,
        delta: Delta,
        *,
        tokens: Sequence[TokenLogprob] = (),
        reason: FinishReason | None = None,
    ) -> ChatCompletionChunk:
        logprobs = logprobs_reply(list(tokens)) if self.body.logprobs and tokens else None
        choice = ChunkChoice(index=index, delta=delta, logprobs=logprobs, finish_reason=reason)
        return self._chunk((choice,))

    def _chunk(
        self, choices: Sequence[ChunkChoice], usage: UsageReply | None = None
    ) -> ChatCompletionChunk:
        return ChatCompletionChunk(
            id=self.id,
            created=self.created,
            model=self.asked.model,
            choices=list(choices),
            usage=usage,
        )


class _EventStream(Response):
    """Server-sent events of a completion; an error on the way is an event as well."""

    media_type = "text/event-stream"

    def __init__(self, answering: _Answering, first: Piece, headers: dict[str, str]) -> None:
        super().__init__(headers={**headers, **_UNBUFFERED})
        del self.headers["content-length"]
        self._answering = answering
        self._first = first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        try:
            async with aclosing(self._answering.chunks(self._first)) as chunks:
                await send(start)
                async for chunk in chunks:
                    await send(_event(chunk.model_dump_json()))
        except Exception as error:  # noqa: BLE001 - boundary around one request
            told = failed(error)
            self._answering.trace.ended_by = told.code
            await send(_event(json.dumps(told.body())))
        await send(_event("[DONE]"))
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _event(data: str) -> Message:
    body = format_sse_event(data_str=data)
    return {"type": "http.response.body", "body": body, "more_body": True}


def _call_id() -> str:
    return f"call_{uuid.uuid4().hex}"
