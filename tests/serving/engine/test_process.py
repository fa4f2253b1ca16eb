"""The engine in a process of its own, over a small model with random weights."""

import asyncio
import json
import os
import signal
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import jsonschema
import pytest
from structlog.testing import capture_logs

from chat_engines import (
    all_said,
    ask,
    joined,
    pieces,
    running,
    said,
    small_engine,
    until,
)
from real_logprobs import Real, agree
from small_models import CONTEXT, adapter, merged_folder, user
from tunewise.chat.tokenize import prompt_tokens
from tunewise.models import loading
from tunewise.models.adapters import BASE_FILE
from tunewise.models.catalog import LocalModel
from tunewise.models.engines.openvino import OpenVinoEngine
from tunewise.models.engines.protocol import Request, Sampling
from tunewise.serving.engine.answers import BROKEN
from tunewise.serving.engine.grammars import Grammars
from tunewise.serving.engine.process import ProcessEngine
from tunewise.serving.protocol import ChatRequest, EngineLostError, Piece, RefusedError, Weights
from tunewise.types import Generation

MESSAGES = [
    "zip broke",
    "where is my order? It is late, and I wrote twice",
    "ok",
    "The tent leaks. " * 6,
]
ROUNDING, MERGED_ROUNDING = 0.02, 0.15
"""Nats by which a log-probability may be off; of weights that were rounded to q8_0 when an adapter
was merged into them, and are no whole steps of it as those of the base are."""
T = TypeVar("T")


class Served:
    """A running engine, and the event loop that it lives on."""

    def __init__(self, model: LocalModel) -> None:
        self.runner = asyncio.Runner()
        self.base = Weights(base=model.name)
        self.engine = small_engine(model, [self.base])
        self.run(self.engine.start())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(asyncio.wait_for(work, 120))

    def text(self, text: str, **decoding: object) -> str:
        return self.run(said(self.engine, ask(self.base, text, **decoding))).text

    def close(self) -> None:
        self.run(self.engine.close())
        self.runner.close()


@pytest.fixture(scope="module")
def served(small_llama: LocalModel) -> Iterator[Served]:
    running = Served(small_llama)
    yield running
    running.close()


def decided(
    model: LocalModel, texts: list[str], adapter: Path | None = None, tokens: int = 12
) -> list[str]:
    """What the engine of `decide` answers, without what is no character."""
    engine = OpenVinoEngine(model)
    sampling = Sampling(max_tokens=tokens)
    made = engine.generate(
        [Request(messages=user(text), adapter=adapter, sampling=sampling) for text in texts]
    )
    engine.close()
    return [one.text.replace(BROKEN, "") for one in made if isinstance(one, Generation)]


def test_it_is_ready_with_what_is_served_first(served: Served) -> None:
    state = served.engine.state()
    assert (state.ready, state.restarts) == (True, 0)
    assert served.base in state.loaded


def test_it_answers_as_the_engine_of_decide_does(served: Served, small_llama: LocalModel) -> None:
    requests = [ask(served.base, text) for text in MESSAGES]
    assert served.run(all_said(served.engine, requests)) == decided(small_llama, MESSAGES)


def test_usage_counts_the_prompt_and_the_answer(served: Served, small_llama: LocalModel) -> None:
    tokenizer = loading.load_tokenizer(small_llama.folder)
    made = served.run(pieces(served.engine, ask(served.base, "zip broke", max_tokens=5)))
    assert [piece.usage for piece in made[:-1]] == [None] * (len(made) - 1)
    usage = made[-1].usage
    assert usage is not None
    prompt = prompt_tokens(tokenizer, user("zip broke"))
    assert (usage.prompt_tokens, usage.completion_tokens) == (len(prompt), 5)
    assert made[-1].finish_reason == "length"


def test_without_a_limit_an_answer_may_fill_the_context(served: Served) -> None:
    made = served.run(pieces(served.engine, ask(served.base, "zip", max_tokens=None)))
    assert made[-1].usage is not None
    assert made[-1].finish_reason == "stop" or made[-1].usage.total == CONTEXT


def test_a_stop_string_ends_the_answer_and_no_part_of_it_is_shown(served: Served) -> None:
    whole = served.text("zip broke", max_tokens=40)
    stop = whole[10:14]
    made = served.run(
        pieces(served.engine, ask(served.base, "zip broke", max_tokens=40, stop=(stop,)))
    )
    assert joined(made).text == whole[: whole.index(stop)]
    assert joined(made).reason == "stop"


def test_a_seed_repeats_whatever_else_runs(served: Served) -> None:
    sampled = ask(served.base, "where is my order", temperature=1.0, seed=7)
    others = [ask(served.base, f"{n} boots", temperature=1.0, seed=n) for n in range(15)]
    alone = served.run(said(served.engine, sampled)).text
    beside = served.run(all_said(served.engine, [*others[:8], sampled, *others[8:]]))[8]
    other = served.text("where is my order", temperature=1.0, seed=8)
    assert alone == beside != other


def test_n_answers_are_those_of_seeds_that_follow(served: Served) -> None:
    many = ask(served.base, "where is my order", temperature=1.0, seed=3, n=3)
    made = served.run(pieces(served.engine, many))
    alone = [served.text("where is my order", temperature=1.0, seed=seed) for seed in (3, 4, 5)]
    assert [joined(made, index).text for index in range(3)] == alone
    assert [piece.usage.completion_tokens for piece in made if piece.usage] == [36]


def test_n_greedy_answers_are_the_same(served: Served) -> None:
    made = served.run(pieces(served.engine, ask(served.base, "zip broke", n=2)))
    assert joined(made, 0) == joined(made, 1)
    assert [piece.usage.completion_tokens for piece in made if piece.usage] == [24]
    assert made[-1].usage is not None


def test_log_probabilities_are_those_of_the_model(served: Served, small_llama: LocalModel) -> None:
    request = ask(served.base, "zip broke", logprobs=True, max_tokens=6)
    made = served.run(pieces(served.engine, request))
    told = [one for piece in made for one in piece.logprobs]
    assert agree(told, Real(small_llama.folder), "zip broke", ROUNDING)
    assert len(told) == 6


@pytest.mark.parametrize(
    ("decoding", "field"),
    [
        ({"max_tokens": CONTEXT}, "max_tokens"),
        ({"logprobs": True, "top_logprobs": 2}, "top_logprobs"),
        ({"temperature": -1.0}, "temperature"),
        ({"stop": ("",)}, "stop"),
        ({"json_schema": {"type": "object", "allOf": []}}, "response_format"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(
    decoding: dict[str, Any], field: str, served: Served
) -> None:
    with pytest.raises(RefusedError) as refused:
        served.text("zip broke", **decoding)
    assert refused.value.param == field
    assert served.engine.state().running == served.engine.state().waiting == 0


def test_a_prompt_beyond_the_context_is_refused(served: Served) -> None:
    with pytest.raises(RefusedError, match="leaves no room") as refused:
        served.text("order " * CONTEXT)
    assert (refused.value.param, refused.value.code) == ("messages", "context_length_exceeded")


def test_tools_are_refused_where_the_template_knows_none(served: Served) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    asked = ChatRequest(weights=served.base, messages=user("zip"), tools=(tool,))
    with pytest.raises(RefusedError, match="knows no tools") as refused:
        served.run(said(served.engine, asked))
    assert refused.value.param == "tools"


def test_weights_that_are_not_there_are_refused(served: Served, tmp_path: Path) -> None:
    for weights in (
        Weights(base=str(tmp_path / "none")),
        Weights(base=served.base.base, adapter=tmp_path / "none"),
    ):
        with pytest.raises(RefusedError) as refused:
            served.run(served.engine.warm(weights))
        assert refused.value.param == "model"
    assert served.text("zip broke")


def test_an_answer_keeps_to_its_schema(served: Served) -> None:
    schema = {
        "type": "object",
        "properties": {
            "kind": {"enum": ["defect", "return"]},
            "days": {"type": "integer", "minimum": 0, "maximum": 9},
        },
        "required": ["kind", "days"],
    }
    asked = [
        ask(served.base, text, max_tokens=60, json_schema=schema, temperature=1.0, seed=1)
        for text in MESSAGES
    ]
    for text in served.run(all_said(served.engine, asked)):
        jsonschema.validate(json.loads(text), schema)


def test_an_answer_cut_within_its_schema_says_so(served: Served) -> None:
    schema = {"type": "object", "properties": {"a": {"const": "x" * 100}}, "required": ["a"]}
    made = served.run(said(served.engine, ask(served.base, "zip", json_schema=schema)))
    assert made.reason == "length"


def test_closing_a_stream_frees_its_slot(served: Served) -> None:
    async def run() -> None:
        stream = served.engine.stream(ask(served.base, "zip broke", max_tokens=200))
        await anext(stream)
        assert served.engine.state().running == 1
        await stream.aclose()
        await until(lambda: served.engine.state().running == 0)

    before = served.text("zip broke")
    served.run(run())
    assert served.text("zip broke") == before


def test_adapters_and_base_answer_beside_each_other_as_each_does_alone(
    served: Served, small_llama: LocalModel, tmp_path: Path
) -> None:
    # alpha is another than r, and one is scaled by the root of r
    a = adapter(small_llama, tmp_path / "a", rank=8, alpha=24)
    b = adapter(small_llama, tmp_path / "b", rank=4, alpha=6, seed=1, use_rslora=True)
    begun = "The tent leaks, and the zip of it broke on the second night. "
    texts = [begun + text for text in MESSAGES[:3]]
    alone = {one: decided(small_llama, texts, one) for one in (a, b, None)}
    merged = {one: merged_folder(small_llama, one, tmp_path / f"{one.name}+") for one in (a, b)}
    reals = {one: Real(merged[one] if one else small_llama.folder) for one in (a, b, None)}
    order = [(text, one) for text in texts for one in (a, None, b)]
    for _ in range(2):  # with empty caches, and with full ones
        made = served.run(all_pieces(served, order))
        for (text, one), answer in zip(order, made, strict=True):
            assert joined(answer).text == alone[one][texts.index(text)]
            if text != texts[0]:  # the others have tokens that are parts of characters
                continue
            told = [token for piece in answer for token in piece.logprobs][:4]
            assert agree(told, reals[one], text, MERGED_ROUNDING if one else ROUNDING)
            assert not agree(told, reals[{a: b, b: None, None: a}[one]], text, MERGED_ROUNDING)
    assert len({text for answers in alone.values() for text in answers}) == 9


async def all_pieces(served: Served, asked: list[tuple[str, Path | None]]) -> list[list[Piece]]:
    """Answers at the same time, with the log-probabilities of their tokens."""
    base = served.base.base
    requests = [ask(Weights(base=base, adapter=one), text, logprobs=True) for text, one in asked]
    return await asyncio.gather(*(pieces(served.engine, request) for request in requests))


def test_an_adapter_of_another_base_is_refused_and_the_log_tells_why(
    served: Served, small_llama: LocalModel, tmp_path: Path
) -> None:
    other = adapter(small_llama, tmp_path / "other")
    (other / BASE_FILE).write_text(json.dumps({"base": "org/other", "sha256": "0" * 64}))
    asked = ask(Weights(base=served.base.base, adapter=other), "zip")
    with capture_logs() as logs, pytest.raises(RefusedError) as refused:
        served.run(said(served.engine, asked))
    assert (refused.value.param, refused.value.code) == ("model", "model_unusable")
    assert str(tmp_path) not in refused.value.message
    (told,) = [line["why"] for line in logs]
    assert "trained for another base (org/other)" in told
    assert served.text("zip broke")


def test_of_too_many_weights_the_one_used_longest_ago_is_closed(
    small_llama: LocalModel, tmp_path: Path
) -> None:
    base = Weights(base=small_llama.name)
    tuned = [
        Weights(base=small_llama.name, adapter=adapter(small_llama, tmp_path / str(n), seed=n))
        for n in range(2)
    ]

    async def run() -> None:
        async with running(small_engine(small_llama, [base], max_loaded=2)) as engine:
            before = await said(engine, ask(base, "zip broke"))
            await engine.warm(tuned[0])
            assert engine.state().loaded == (base, tuned[0])
            # The base has work to end before its place is given away.
            long = asyncio.create_task(said(engine, ask(base, "zip", max_tokens=150)))
            await said(engine, ask(tuned[0], "zip"))
            await engine.warm(tuned[1])
            assert (await long).text
            assert len(engine.state().loaded) == 2
            assert tuned[1] in engine.state().loaded
            assert await said(engine, ask(base, "zip broke")) == before

    asyncio.run(run())


def kill(engine: ProcessEngine) -> None:
    assert engine._child is not None
    os.kill(engine._child.process.pid, signal.SIGKILL)


async def lost(stream: asyncio.Task[Any]) -> EngineLostError:
    with pytest.raises(EngineLostError) as error:
        await asyncio.wait_for(stream, 10)
    return error.value


def test_a_process_that_dies_ends_what_runs_and_is_started_again(small_llama: LocalModel) -> None:
    base = Weights(base=small_llama.name)

    async def run() -> None:
        async with running(small_engine(small_llama, [base])) as engine:
            before = await said(engine, ask(base, "zip broke"))
            streams = [engine.stream(ask(base, text, max_tokens=200)) for text in MESSAGES[:3]]
            await asyncio.gather(*(anext(stream) for stream in streams))
            rest = [asyncio.create_task(drained(stream)) for stream in streams]
            kill(engine)
            for one in rest:
                await lost(one)
            state = engine.state()
            assert (state.ready, state.running, state.waiting) == (False, 0, 0)
            with pytest.raises(EngineLostError, match="started again"):
                await said(engine, ask(base, "zip"))
            await until(lambda: engine.state().ready)
            assert (engine.state().restarts, engine.state().loaded) == (1, (base,))
            assert await said(engine, ask(base, "zip broke")) == before

    asyncio.run(run())


@pytest.mark.slow
def test_a_fault_within_a_step_ends_what_runs_and_the_process_is_started_again(
    small_llama: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = Weights(base=small_llama.name)

    async def damaged(self: Grammars, folder: str, schema: object) -> str:
        return "root ::= ("  # OpenVINO fails with it in every step from then on

    async def run() -> None:
        async with running(small_engine(small_llama, [base])) as engine:
            before = await said(engine, ask(base, "zip broke"))
            other = asyncio.create_task(said(engine, ask(base, "zip", max_tokens=200)))
            broken = ask(base, "ok", json_schema={"type": "boolean"})
            await lost(asyncio.create_task(said(engine, broken)))
            await lost(other)
            await until(lambda: engine.state().ready)
            assert engine.state().restarts == 1
            assert await said(engine, ask(base, "zip broke")) == before

    monkeypatch.setattr(Grammars, "compile", damaged)
    asyncio.run(run())


async def drained(stream: Any) -> None:
    async for _ in stream:
        pass
