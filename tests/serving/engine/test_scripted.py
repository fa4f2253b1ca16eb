import asyncio
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from small_models import user
from tunewise.serving.engine.scripted import CAPABILITIES, LOGPROB, ScriptedChatEngine
from tunewise.serving.protocol import (
    ChatRequest,
    Decoding,
    EngineLostError,
    Piece,
    RefusedError,
    Weights,
)
from tunewise.types import Usage

BASE = Weights(base="told")
T = TypeVar("T")


def request(text: str = "say it", **decoding: object) -> ChatRequest:
    return ChatRequest(weights=BASE, messages=user(text), decoding=Decoding(**decoding))


async def answered(engine: ScriptedChatEngine, asked: ChatRequest) -> list[Piece]:
    return [piece async for piece in engine.stream(asked)]


def pieces(engine: ScriptedChatEngine, asked: ChatRequest) -> list[Piece]:
    async def run() -> list[Piece]:
        await engine.start()
        return await answered(engine, asked)

    return asyncio.run(run())


def text(pieces: Sequence[Piece], index: int = 0) -> str:
    return "".join(piece.text for piece in pieces if piece.index == index)


async def soon(awaited: Awaitable[T]) -> T:
    return await asyncio.wait_for(awaited, 10)


def test_it_says_what_the_script_says_word_by_word() -> None:
    engine = ScriptedChatEngine(lambda asked: f"I heard: {asked.messages[-1].content}")
    said = pieces(engine, request("a b"))
    assert [piece.text for piece in said] == ["I", " heard:", " a", " b", ""]
    assert said[-1].finish_reason == "stop"
    assert said[-1].usage == Usage(prompt_tokens=2, completion_tokens=4)
    assert [one.messages[-1].content for one in engine.requests] == ["a b"]


def test_an_answer_longer_than_asked_for_is_cut() -> None:
    said = pieces(ScriptedChatEngine(lambda _: "one two three"), request(max_tokens=2))
    assert (text(said), said[-1].finish_reason) == ("one two", "length")


def test_no_part_of_a_stop_string_is_said() -> None:
    engine = ScriptedChatEngine(lambda _: "one two three four")
    said = pieces(engine, request(stop=("o three",), logprobs=True))
    assert (text(said), said[-1].finish_reason) == ("one tw", "stop")


def test_n_answers_come_in_turn_with_one_usage() -> None:
    engine = ScriptedChatEngine(lambda _: ["a b", "c d e"])
    said = pieces(engine, request(n=2))
    assert [piece.index for piece in said] == [0, 1, 0, 1, 0, 1, 1]
    assert (text(said, 0), text(said, 1)) == ("a b", "c d e")
    assert [piece.usage for piece in said if piece.usage] == [
        Usage(prompt_tokens=2, completion_tokens=5)
    ]


def test_the_log_probability_of_each_token_is_told_when_asked_for() -> None:
    said = pieces(ScriptedChatEngine(lambda _: "a b"), request(logprobs=True))
    told = [(one.text, one.logprob) for piece in said for one in piece.logprobs]
    assert told == [("a", LOGPROB), (" b", LOGPROB)]


@pytest.mark.parametrize(
    ("decoding", "field"),
    [
        ({"top_logprobs": 1, "logprobs": True}, "top_logprobs"),
        ({"temperature": float("nan")}, "temperature"),
        ({"max_tokens": 9000}, "messages"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(decoding: dict[str, object], field: str) -> None:
    engine = ScriptedChatEngine(lambda _: "a", capabilities=CAPABILITIES)
    with pytest.raises(RefusedError) as refused:
        pieces(engine, request(**decoding))
    assert refused.value.param == field
    assert engine.requests == []


def test_closing_a_stream_frees_its_slot() -> None:
    async def run() -> None:
        engine = ScriptedChatEngine(lambda _: "a b c", slots=1)
        await engine.start()
        first = engine.stream(request())
        await anext(first)
        second = asyncio.create_task(answered(engine, request()))
        await asyncio.sleep(0)
        assert (engine.state().running, engine.state().waiting) == (1, 1)
        await first.aclose()
        assert text(await soon(second)) == "a b c"
        assert (engine.state().running, engine.state().waiting, engine.closed) == (0, 0, 1)

    asyncio.run(run())


@pytest.mark.parametrize("loses", ["lose", "close"])
def test_what_runs_when_it_is_lost_ends_with_an_error(loses: str) -> None:
    async def run() -> None:
        engine = ScriptedChatEngine(lambda _: "a b c", seconds_per_token=0.0)
        await engine.start()
        stream = engine.stream(request())
        assert (await anext(stream)).text == "a"
        engine.seconds_per_token = 60
        waiting = asyncio.create_task(anext(stream))
        await asyncio.sleep(0)
        if loses == "lose":
            engine.lose()
        else:
            await engine.close()
        with pytest.raises(EngineLostError):
            await soon(waiting)
        assert engine.state().ready == (loses == "lose")
        assert engine.state().restarts == (loses == "lose")

    asyncio.run(run())


def test_it_lists_what_was_warmed_and_asked() -> None:
    async def run() -> None:
        engine = ScriptedChatEngine(lambda _: "a")
        await engine.start()
        tuned = Weights(base="told", adapter=Path("tuned"))
        await engine.warm(tuned)
        await answered(engine, request())
        assert engine.state().loaded == (tuned, BASE)

    asyncio.run(run())
