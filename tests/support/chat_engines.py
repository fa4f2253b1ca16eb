"""Asking chat engines, and the engine in its own process over the small model."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from small_models import user
from tunewise.models.catalog import LocalModel
from tunewise.serving.engine.capabilities import EngineName
from tunewise.serving.engine.process import ProcessEngine
from tunewise.serving.protocol import ChatEngine, ChatRequest, Decoding, Piece, Weights

CACHE_BYTES = 2**22
"""Of the small model: 1024 blocks."""


@dataclass(frozen=True, kw_only=True)
class Said:
    """One answer."""

    text: str
    reason: str | None


def ask(weights: Weights, text: str, **decoding: object) -> ChatRequest:
    return ChatRequest(
        weights=weights, messages=user(text), decoding=Decoding(**{"max_tokens": 12, **decoding})
    )


async def pieces(engine: ChatEngine, request: ChatRequest) -> list[Piece]:
    return [piece async for piece in engine.stream(request)]


async def said(engine: ChatEngine, request: ChatRequest) -> Said:
    return joined(await pieces(engine, request))


async def all_said(engine: ChatEngine, requests: Sequence[ChatRequest]) -> list[str]:
    """The answers to requests that run at the same time."""
    made = await asyncio.gather(*(said(engine, request) for request in requests))
    return [one.text for one in made]


def joined(pieces: Sequence[Piece], index: int = 0) -> Said:
    own = [piece for piece in pieces if piece.index == index]
    return Said(text="".join(piece.text for piece in own), reason=own[-1].finish_reason)


def small_engine(
    model: LocalModel,
    first: Sequence[Weights] = (),
    *,
    engine: EngineName = "openvino",
    **kept: int,
) -> ProcessEngine:
    """Not started yet. It finds the small model prepared, which it could not prepare itself."""
    settings = {"cache_bytes": CACHE_BYTES, "max_loaded": 3, **kept}
    return ProcessEngine(first, engine=engine, cache=cache_of(model), **settings)


def cache_of(model: LocalModel) -> Path:
    return model.folder.parents[1]


@asynccontextmanager
async def running(engine: ProcessEngine) -> AsyncIterator[ProcessEngine]:
    """The engine, started, and closed at the end."""
    try:
        await engine.start()
        yield engine
    finally:
        await engine.close()


async def until(met: Callable[[], bool], seconds: float = 60) -> None:
    """Waits for something to become true."""
    async with asyncio.timeout(seconds):
        while not met():
            await asyncio.sleep(0.01)
