"""An alias means its new version once that is ready, and its old one as long as it is not."""

import asyncio
import threading
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import structlog

from http_serving import serving, until
from served_models import write_versions
from tunewise.errors import UserError
from tunewise.runs.registry import Registry
from tunewise.serving.catalogue import RegistryCatalogue
from tunewise.serving.engine.scripted import ScriptedChatEngine
from tunewise.serving.protocol import ChatRequest, Piece, RefusedError, Weights
from tunewise.serving.swaps import follow_aliases

BASE = Weights(base="b")


@dataclass
class Next:
    """What an alias is moved to, and what happens to it."""

    name: str
    resolved: str
    happened: list[str]
    weights: Weights | None = BASE
    faults: list[Exception] = field(default_factory=list)

    def load(self) -> None:
        self.happened.append(f"load {self.resolved}")
        if self.faults:
            raise self.faults.pop()


@dataclass
class Holding:
    """Aliases that wait."""

    moved: list[Next]
    happened: list[str]
    faults: list[UserError] = field(default_factory=list)
    too_late: bool = False
    """Whether each was moved again while it was loaded."""

    def waiting(self) -> list[Next]:
        if self.faults:
            raise self.faults.pop()
        return list(self.moved)

    def flip(self, served: Next) -> bool:
        self.happened.append(f"flip {served.name}")
        self.moved.remove(served)
        return not self.too_late


class Warming(ScriptedChatEngine):
    """Writes down what is warmed."""

    def __init__(self, happened: list[str]) -> None:
        super().__init__(lambda request: "")
        self.happened = happened
        self.faults: list[Exception] = []

    async def warm(self, weights: Weights) -> None:
        self.happened.append(f"warm {weights.base}")
        if self.faults:
            raise self.faults.pop()


async def followed(catalogue: Holding, engine: Warming) -> None:
    """Follows until nothing waits."""
    following = asyncio.create_task(follow_aliases(catalogue, engine, every=0.001))
    while catalogue.moved and not following.done():
        await asyncio.sleep(0.001)
    following.cancel()
    with pytest.raises(asyncio.CancelledError):
        await following


def test_a_version_is_loaded_and_warmed_before_its_alias_means_it() -> None:
    happened: list[str] = []
    moved = [
        Next("a@live", "a@2", happened),
        Next("b@live", "b@7", happened, weights=None),
    ]
    asyncio.run(followed(Holding(moved, happened), Warming(happened)))
    assert happened == ["load a@2", "warm b", "flip a@live", "load b@7", "flip b@live"]


@pytest.mark.parametrize(
    "fault", [UserError("the folder is gone"), RefusedError("no such adapter")], ids=str
)
def test_what_cannot_be_made_ready_is_told_once_and_tried_again(fault: Exception) -> None:
    happened: list[str] = []
    catalogue = Holding([Next("a@live", "a@2", happened, faults=[fault, fault])], happened)
    engine = Warming(happened)
    with structlog.testing.capture_logs() as logs:
        asyncio.run(followed(catalogue, engine))
    assert happened == ["load a@2", "load a@2", "load a@2", "warm b", "flip a@live"]
    assert [line["event"] for line in logs] == ["alias_loading", "alias_not_moved", "alias_moved"]
    assert str(fault) in logs[1]["why"]


def test_an_alias_that_was_moved_back_while_its_version_was_loaded_is_not_said_to_have_moved() -> (
    None
):
    happened: list[str] = []
    catalogue = Holding([Next("a@live", "a@2", happened)], happened, too_late=True)
    with structlog.testing.capture_logs() as logs:
        asyncio.run(followed(catalogue, Warming(happened)))
    assert [line["event"] for line in logs] == ["alias_loading"]


def test_a_registry_that_cannot_be_read_is_told_once_and_read_again() -> None:
    happened: list[str] = []
    catalogue = Holding([Next("a@live", "a@2", happened)], happened)
    catalogue.faults = [UserError("damaged"), UserError("damaged")]
    with structlog.testing.capture_logs() as logs:
        asyncio.run(followed(catalogue, Warming(happened)))
    assert happened == ["load a@2", "warm b", "flip a@live"]
    assert [line["event"] for line in logs] == [
        "aliases_not_read",
        "alias_loading",
        "alias_moved",
    ]


def test_an_engine_that_refuses_leaves_the_alias_as_it_was() -> None:
    happened: list[str] = []
    catalogue = Holding([Next("a@live", "a@2", happened)], happened)
    engine = Warming(happened)
    engine.faults = [RefusedError("of another base")]
    asyncio.run(followed(catalogue, engine))
    assert happened == ["load a@2", "warm b", "load a@2", "warm b", "flip a@live"]


class Loading(ScriptedChatEngine):
    """Takes a while to load weights, and answers with none that are not loaded."""

    async def warm(self, weights: Weights) -> None:
        await asyncio.sleep(0.05)
        await super().warm(weights)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Piece, None]:
        if request.weights not in self.state().loaded:
            raise RefusedError("is not loaded yet", param="model")
        async with aclosing(super().stream(request)) as pieces:
            async for piece in pieces:
                yield piece


def test_an_alias_that_moves_under_load_loses_no_request_and_names_who_answered(
    tmp_path: Path,
) -> None:
    registry = Registry(tmp_path / "home")
    write_versions(registry, [f"I am {number}." for number in (1, 2, 3, 4)], base="base-{}")
    registry.point("triage@production", "1")
    catalogue = RegistryCatalogue(registry, held=True)
    engine = Loading(lambda request: request.messages[0].content)
    asyncio.run(engine.warm(Weights(base="base-1")))
    over, answers = threading.Event(), list[tuple[str, str | None]]()
    following = [lambda: follow_aliases(catalogue, engine, every=0.01)]
    with serving(engine=engine, catalogue=catalogue, beside=following) as served:

        def ask_on() -> None:
            with served.client() as client:
                while not over.is_set():
                    got = client.chat.completions.create(
                        model="triage@production", messages=[{"role": "user", "content": "Who?"}]
                    )
                    answers.append((got.model, got.choices[0].message.content))

        with ThreadPoolExecutor(4) as pool:
            asking = [pool.submit(ask_on) for _ in range(4)]
            try:
                for number in (1, 2, 3, 4):
                    registry.point("triage@production", str(number))
                    until(lambda name=f"triage@{number}": bool(answers) and answers[-1][0] == name)
            finally:
                over.set()
            assert [one.result() for one in asking] == [None] * 4
    catalogue.close()
    assert set(answers) == {(f"triage@{number}", f"I am {number}.") for number in (1, 2, 3, 4)}
