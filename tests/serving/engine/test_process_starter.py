"""The engine in a process of its own, with the starter model."""

import asyncio
import json
import sys
import time
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import jsonschema
import psutil
import pytest

from chat_engines import all_said, ask, pieces, said
from hostile_schemas import HEAVY, REFUSED
from small_models import user
from tunewise.chat.tokenize import prompt_tokens
from tunewise.models import loading
from tunewise.models.catalog import LocalModel
from tunewise.models.engines.openvino import OpenVinoEngine
from tunewise.models.engines.openvino_pipeline import Pipeline, Vocabulary
from tunewise.models.engines.prefixes import BLOCK
from tunewise.models.engines.protocol import Request, Sampling
from tunewise.serving.engine.answers import BROKEN
from tunewise.serving.engine.process import ProcessEngine
from tunewise.serving.protocol import RefusedError, Weights
from tunewise.types import Generation

pytestmark = pytest.mark.slow
CACHE_BYTES = 2**27
FOREIGN = [
    "Say hello in Japanese, Chinese, Korean, Arabic and Hindi.",
    "こんにちは。お元気ですか？日本語で答えてください。",
    "Write ten emojis: 😀 🎉 👩‍🔬 🇩🇪 and ten more.",
    "Wie heißt „Schlüssel“ auf Tschechisch? Antworte auf Deutsch, mit Umlauten.",
]
T = TypeVar("T")


class Served:
    """A running engine with the starter model, and its event loop."""

    def __init__(self, model: LocalModel) -> None:
        self.model = model
        self.runner = asyncio.Runner()
        self.base = Weights(base=model.name)
        self.engine = ProcessEngine([self.base], cache_bytes=CACHE_BYTES)
        self.run(self.engine.start())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(asyncio.wait_for(work, 600))

    def memory(self) -> int:
        """Bytes that the engine's process holds."""
        assert self.engine._child is not None
        return psutil.Process(self.engine._child.process.pid).memory_info().rss

    def close(self) -> None:
        self.run(self.engine.close())
        self.runner.close()


@pytest.fixture(scope="module")
def served(starter: LocalModel) -> Iterator[Served]:
    running = Served(starter)
    yield running
    running.close()


def order(number: int, length: int = 1) -> str:
    return f"Order {number} came {number % 9} days late. " * length + "What shall I do?"


def test_memory_is_flat_once_it_is_ready(served: Served) -> None:
    ready = served.memory()
    tokens = CACHE_BYTES // loading.cache_bytes(served.model.folder)
    long = [ask(served.base, order(n, 90), max_tokens=4) for n in range(4)]
    made = served.run(gathered(served, long))
    usages = [piece.usage for some in made for piece in some if piece.usage]
    assert sum(usage.prompt_tokens for usage in usages) > tokens  # the cache was filled
    assert served.memory() < 1.1 * ready


async def gathered(served: Served, requests: list[Any]) -> list[Any]:
    return await asyncio.gather(*(pieces(served.engine, one) for one in requests))


def test_characters_come_whole_and_the_text_is_that_of_decide(served: Served) -> None:
    async def streamed(text: str) -> str:
        parts = [
            piece.text
            for piece in await pieces(served.engine, ask(served.base, text, max_tokens=60))
        ]
        assert not any(BROKEN in part for part in parts)
        return "".join(parts)

    engine = OpenVinoEngine(served.model)
    sampling = Sampling(max_tokens=60)
    made = engine.generate([Request(messages=user(text), sampling=sampling) for text in FOREIGN])
    engine.close()
    for text, wanted in zip(FOREIGN, made, strict=True):
        assert isinstance(wanted, Generation)
        assert served.run(streamed(text)) == wanted.text.replace(BROKEN, "")


def test_hostile_schemas_harm_no_other_request(served: Served) -> None:
    hostile = [*REFUSED.values(), *HEAVY.values()]
    assert len(hostile) >= 50
    normal = [ask(served.base, order(n), max_tokens=24) for n in range(16)]

    async def attack(schema: dict[str, Any]) -> str | None:
        request = ask(served.base, "Fill it in.", max_tokens=16, json_schema=schema)
        try:
            return (await said(served.engine, request)).reason
        except RefusedError:
            return None

    async def run() -> tuple[list[str], list[str | None]]:
        both = asyncio.gather(*map(attack, hostile))
        return await all_said(served.engine, normal), await both

    alone = served.run(all_said(served.engine, normal))
    beside, ends = served.run(run())
    assert sum(a == b for a, b in zip(alone, beside, strict=True)) >= 15  # but for rounding
    assert all(beside)
    assert ends[: len(REFUSED)] == [None] * len(REFUSED)
    assert ends[-1] is None  # It takes too long to compile; the others of `HEAVY` do not.
    assert None not in ends[len(REFUSED) : -1]
    assert served.engine.state().restarts == 0


def test_answers_keep_to_a_schema_of_some_size(served: Served) -> None:
    schema = {
        "type": "object",
        "properties": {
            "kind": {"enum": ["defect", "return", "delivery"]},
            "urgent": {"type": "boolean"},
            "days": {"type": "integer", "minimum": 0, "maximum": 30},
            "items": {"type": "array", "items": {"type": "string", "maxLength": 12}, "maxItems": 2},
        },
        "required": ["kind", "urgent", "days", "items"],
    }
    asked = [ask(served.base, order(n), max_tokens=96, json_schema=schema) for n in range(8)]
    for text in served.run(all_said(served.engine, asked)):
        jsonschema.validate(json.loads(text), schema)


def test_throughput_beside_bare_generation_is_told(served: Served) -> None:
    model, tokens, requests = served.model, 16, 32
    assert model.gguf is not None
    tokenizer = loading.load_tokenizer(model.folder)
    ends = loading.end_token_ids(model.folder, tokenizer)
    prompts = [prompt_tokens(tokenizer, user(order(n))) for n in range(requests)]
    blocks = CACHE_BYTES // (BLOCK * loading.cache_bytes(model.folder))
    bare = Pipeline(model.gguf, Vocabulary(model.gguf, ends), blocks)
    bare.generate(prompts, [Sampling(max_tokens=1)] * requests)
    begun = time.perf_counter()
    made = bare.generate(prompts, [Sampling(max_tokens=tokens)] * requests)
    alone = sum(len(one.token_ids) for one in made) / (time.perf_counter() - begun)
    asked = [ask(served.base, order(n), max_tokens=tokens) for n in range(requests)]
    served.run(
        gathered(served, [ask(served.base, order(n), max_tokens=1) for n in range(requests)])
    )
    begun = time.perf_counter()
    streamed = served.run(gathered(served, asked))
    seconds = time.perf_counter() - begun
    counted = [piece.usage.completion_tokens for some in streamed for piece in some if piece.usage]
    assert len(counted) == requests
    sys.stdout.write(
        f"\n{requests} streams: {sum(counted) / seconds:.0f} tokens/s, bare: {alone:.0f}"
    )


def test_the_event_loop_stays_free_while_prompts_are_read(served: Served) -> None:
    async def run() -> list[float]:
        asked = [ask(served.base, order(500 + n, 12), max_tokens=4) for n in range(32)]
        load = asyncio.gather(*(pieces(served.engine, one) for one in asked))
        lags: list[float] = []
        while not load.done():
            begun = time.perf_counter()
            await asyncio.sleep(0.005)
            lags.append(time.perf_counter() - begun - 0.005)
        assert len(await load) == 32
        return lags

    lags = sorted(served.run(run()))
    assert lags
    sys.stdout.write(
        f"\nloop lag: p99 {1000 * lags[len(lags) * 99 // 100]:.1f} ms, most {1000 * lags[-1]:.1f}"
    )
