"""A real server on this machine with a scripted engine, and a catalogue of every kind of model."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field

import httpx2
import numpy as np
import structlog
from fastapi import APIRouter
from numpy.typing import NDArray
from openai import OpenAI

from tunewise.serving.engine.scripted import ScriptedChatEngine
from tunewise.serving.http.access import Access
from tunewise.serving.http.app import create_app
from tunewise.serving.http.contents import ContentLog
from tunewise.serving.http.limits import Limits
from tunewise.serving.http.logs import log_as_json
from tunewise.serving.http.server import Server, address_of, listen
from tunewise.serving.http.service import EmbeddingModel, Service
from tunewise.serving.protocol import (
    Answered,
    Catalogue,
    ChatEngine,
    ChatRequest,
    CountingEmbedder,
    ModelInfo,
    Passage,
    Piece,
    Prompted,
    RefusedError,
    Weights,
)
from tunewise.types import Message, Usage

EMBEDDING = "all-minilm-l6-v2"
TRAINED = "ft:base:org/team:suffix:abc@1"
"""A name with everything that has to be percent-encoded."""
BASE = Weights(base="smollm2-135m-instruct")
PASSAGE = Passage(source="refunds.md#2", text="Refunds take five days.")


@dataclass(frozen=True, kw_only=True)
class Model:
    """A served model whose prompt is what is given here."""

    name: str
    resolved: str
    weights: Weights | None = BASE
    system: str | None = None
    passages: tuple[Passage, ...] = ()
    read: Callable[[str], str] | None = None
    embeds: CountingEmbedder | None = None

    def embedder(self) -> CountingEmbedder | None:
        return self.embeds

    def prepare(self, messages: Sequence[Message]) -> Prompted | Answered:
        if self.weights is None:
            if len(messages) > 1:
                raise RefusedError(f"{self.resolved} answers single messages.", param="messages")
            return Answered(text="refund", usage=Usage(prompt_tokens=4, completion_tokens=1))
        first = (Message(role="system", content=self.system),) if self.system else ()
        return Prompted(
            messages=(*first, *messages), max_tokens=64, passages=self.passages, read=self.read
        )


def behind_steps(text: str) -> str:
    """What stands behind the last colon."""
    return text.rpartition(":")[2].strip()


class FixedCatalogue:
    """Models that are given."""

    def __init__(self) -> None:
        self.served = {
            model.name: model
            for model in (
                Model(name="base", resolved="base"),
                Model(name=BASE.base, resolved=BASE.base),
                Model(name="triage@3", resolved="triage@3", system="Sort the mail."),
                Model(name="triage@production", resolved="triage@3", system="Sort the mail."),
                Model(name="help@1", resolved="help@1", passages=(PASSAGE,)),
                Model(name="steps@1", resolved="steps@1", read=behind_steps),
                Model(name="sorter@1", resolved="sorter@1", weights=None),
                Model(
                    name="ft:base:org/team:suffix:abc@1", resolved="ft:base:org/team:suffix:abc@1"
                ),
            )
        }

    def models(self) -> list[ModelInfo]:
        own = [
            ModelInfo(
                id=name,
                created=1,
                owned_by="tunewise",
                kind="version" if name == model.resolved else "alias",
                resolved=None if name == model.resolved else model.resolved,
            )
            for name, model in self.served.items()
        ]
        return [*own, ModelInfo(id=EMBEDDING, created=1, owned_by="hub", kind="embedding")]

    def find(self, name: str) -> Model | None:
        return self.served.get(name)

    def remove(self, name: str) -> bool:
        return self.served.pop(name, None) is not None


class TwoNumbers:
    """An embedder: a text is (its length, 1), made a unit vector. A word is a token."""

    name = EMBEDDING
    max_tokens = 8

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = np.array([[len(text), 1] for text in texts], dtype=np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def count_tokens(self, text: str) -> int:
        return len(text.split())


class HeldEngine(ScriptedChatEngine):
    """Says a piece only while it is not held."""

    held = True

    async def stream(self, request: ChatRequest) -> AsyncIterator[Piece]:
        async with aclosing(super().stream(request)) as pieces:  # type: ignore[type-var]
            async for piece in pieces:
                while self.held:
                    await asyncio.sleep(0.005)
                yield piece


def echo(request: ChatRequest) -> str:
    """Says what was said last."""
    return request.messages[-1].content


@dataclass
class Served:
    """A server that runs."""

    url: str
    engine: ScriptedChatEngine
    service: Service
    server: Server
    catalogue: FixedCatalogue
    codes: list[int] = field(default_factory=list)

    def client(self, key: str = "any", **options: object) -> OpenAI:
        """The official client, which asks once."""
        return OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0, **options)  # type: ignore[arg-type]

    def http(self, **options: object) -> httpx2.Client:
        """A plain client."""
        return httpx2.Client(base_url=self.url, verify=False, **options)  # type: ignore[arg-type]

    def lose_engine(self) -> None:
        """All that runs in the engine ends with `EngineLostError`."""
        loop = self.server._loop
        assert loop is not None
        loop.call_soon_threadsafe(self.engine.lose)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])


@contextmanager
def serving(
    script: Callable[[ChatRequest], str | Sequence[str]] = echo,
    *,
    engine: ChatEngine | None = None,
    catalogue: Catalogue | None = None,
    access: Access | None = None,
    limits: Limits | None = None,
    contents: ContentLog | None = None,
    embedding: EmbeddingModel | None = None,
    routers: Sequence[APIRouter] = (),
    upload_paths: Sequence[str] = (),
    before: Callable[[], None] = lambda: None,
    beside: Sequence[Callable[[], Coroutine[None, None, None]]] = (),
    wait: bool = True,
) -> Iterator[Served]:
    """A server on a free port of loopback, in a thread.

    Args:
        script: what the engine answers.
        engine: instead of the scripted one.
        catalogue: instead of the fixed one.
        wait: until it is ready.
        access, limits, contents, embedding, routers, upload_paths: see `create_app`.
        before, beside: likewise.
    """
    if not structlog.is_configured():
        log_as_json()
    chosen = engine or ScriptedChatEngine(script)
    fixed = FixedCatalogue()
    app = create_app(
        catalogue=catalogue or fixed,
        engine=chosen,
        access=access or Access(),
        limits=limits,
        embedding=embedding or EmbeddingModel(id=EMBEDDING, load=TwoNumbers),
        contents=contents,
        routers=routers,
        upload_paths=upload_paths,
        before=before,
        beside=beside,
    )
    listening = listen("127.0.0.1", 0)
    url = address_of(listening)
    server = Server(app, listening)
    started = threading.Event()
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(server.run(on_start=started.set)))
    thread.start()
    try:
        assert started.wait(30)
        served = Served(url, chosen, app.state.service, server, fixed, codes)  # type: ignore[arg-type]
        if wait:
            until(lambda: served.service.slots.phase == "ready")
        yield served
    finally:
        server.stop()
        thread.join(30)
        server.stop()
        thread.join(30)
    assert not thread.is_alive()


def until(condition: Callable[[], bool], *, seconds: float = 30) -> None:
    """Waits until something is so; fails where it is not for so long."""
    pause = threading.Event()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("it never came true")
