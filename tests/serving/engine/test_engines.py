"""The engines beside OpenVINO, each in its process over the small model with random weights."""

import asyncio
import json
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import jsonschema
import pytest

from chat_engines import all_said, ask, joined, pieces, said, small_engine, until
from real_logprobs import Real, agree
from small_models import CONTEXT, adapter, merged_folder, user
from tunewise.models.catalog import LocalModel
from tunewise.serving.engine.capabilities import EngineName
from tunewise.serving.protocol import ChatRequest, RefusedError, TokenLogprob, Weights

T = TypeVar("T")
ROUNDING = {"llamacpp": 0.15, "transformers": 1e-3}
"""Nats by which a log-probability may be off: llama.cpp rounds activations to 8 bits."""
SCHEMA = {
    "type": "object",
    "properties": {
        "kind": {"enum": ["defect", 'a "return"', "é\n"]},
        "days": {"type": "integer", "minimum": 0, "maximum": 9},
        "note": {"type": "string", "maxLength": 5},
    },
    "required": ["kind", "days", "note"],
}


class Served:
    """A running engine, and the event loop that it lives on."""

    def __init__(self, name: EngineName, model: LocalModel) -> None:
        self.name, self.model = name, model
        self.runner = asyncio.Runner()
        self.base = Weights(base=model.name)
        self.engine = small_engine(model, [self.base], engine=name)
        self.run(self.engine.start())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(asyncio.wait_for(work, 600))

    def text(self, text: str, **decoding: object) -> str:
        return self.run(said(self.engine, ask(self.base, text, **decoding))).text

    def told(self, weights: Weights, text: str, **decoding: object) -> list[TokenLogprob]:
        """The tokens of a greedy answer."""
        asked = ask(weights, text, logprobs=True, **decoding)
        made = self.run(pieces(self.engine, asked))
        return [one for piece in made for one in piece.logprobs]

    def close(self) -> None:
        self.run(self.engine.close())
        self.runner.close()


@pytest.fixture(scope="module", params=["llamacpp", "transformers"])
def served(request: pytest.FixtureRequest, small_llama: LocalModel) -> Iterator[Served]:
    if request.param == "llamacpp":
        pytest.importorskip("xllamacpp")
    running = Served(request.param, small_llama)
    yield running
    running.close()


def test_log_probabilities_are_those_of_the_model(served: Served, small_llama: LocalModel) -> None:
    told = served.told(served.base, "zip broke", max_tokens=6)
    assert agree(told, Real(small_llama.folder), "zip broke", ROUNDING[served.name])


def test_other_tokens_of_a_place_are_told_most_probable_first(
    served: Served, small_llama: LocalModel
) -> None:
    told = served.told(served.base, "zip broke", max_tokens=3, top_logprobs=4)
    real = Real(small_llama.folder)
    best = real.logprobs(real.prompt("zip broke")).topk(4)
    assert [value for _, value in told[0].top] == pytest.approx(
        best.values.tolist(), abs=ROUNDING[served.name]
    )
    assert all(len(one.top) == 4 and one.top[0][1] >= one.top[-1][1] for one in told)
    assert all((one.text, one.logprob) == one.top[0] for one in told)


def test_adapters_are_merged_as_peft_merges_them(
    served: Served, small_llama: LocalModel, tmp_path: Path
) -> None:
    # alpha is another than r, and one is scaled by the root of r
    a = adapter(small_llama, tmp_path / "a", rank=8, alpha=24)
    b = adapter(small_llama, tmp_path / "b", rank=4, alpha=6, seed=1, use_rslora=True)
    reals = {
        one: Real(merged_folder(small_llama, one, tmp_path / f"{one.name}+")) for one in (a, b)
    }
    for _ in range(2):
        for one in reals:
            weights = Weights(base=served.base.base, adapter=one)
            told = served.told(weights, "zip broke", max_tokens=4)
            for other, another in reals.items():
                same = agree(told, another, "zip broke", ROUNDING[served.name])
                assert same == (other == one)
    told = served.told(served.base, "zip broke", max_tokens=4)
    assert agree(told, Real(small_llama.folder), "zip broke", ROUNDING[served.name])


def test_usage_counts_the_prompt_and_the_answer(served: Served, small_llama: LocalModel) -> None:
    made = served.run(pieces(served.engine, ask(served.base, "the tent leaks", max_tokens=5)))
    assert [piece.usage for piece in made[:-1]] == [None] * (len(made) - 1)
    usage = made[-1].usage
    assert usage is not None
    prompt = Real(small_llama.folder).prompt("the tent leaks")
    assert usage.prompt_tokens == len(prompt)
    if made[-1].finish_reason == "length":
        assert usage.completion_tokens == 5


def test_cached_tokens_are_counted(served: Served) -> None:
    asked = ask(served.base, "where is my order? I wrote twice", max_tokens=1)
    first, second = (served.run(pieces(served.engine, asked))[-1].usage for _ in range(2))
    assert first is not None
    assert second is not None
    if served.name == "llamacpp":
        assert second.cached_tokens == second.prompt_tokens - 1
    else:
        assert first.cached_tokens == second.cached_tokens == 0


def test_without_a_limit_an_answer_may_fill_the_context(served: Served) -> None:
    made = served.run(pieces(served.engine, ask(served.base, "zip", max_tokens=None)))
    assert made[-1].usage is not None
    # llama.cpp was seen to end four tokens before it.
    assert made[-1].finish_reason == "stop" or made[-1].usage.total >= CONTEXT - 4


def test_a_stop_string_ends_the_answer_and_no_part_of_it_is_shown(served: Served) -> None:
    whole = served.text("zip broke", max_tokens=40)
    stop = whole[10:14]
    asked = ask(served.base, "zip broke", max_tokens=40, stop=(stop,))
    made = joined(served.run(pieces(served.engine, asked)))
    assert (made.text, made.reason) == (whole[: whole.index(stop)], "stop")


def test_a_seed_repeats(served: Served) -> None:
    # With llama.cpp while nothing else runs, and the prompt is in its cache or is not.
    served.text("where is my order")
    made = [served.text("where is my order", temperature=1.0, seed=seed) for seed in (3, 3, 4)]
    assert made[0] == made[1] != made[2]


def test_n_answers_are_those_of_seeds_that_follow(served: Served) -> None:
    many = ask(served.base, "where is my order", temperature=1.0, seed=3, n=3)
    made = served.run(pieces(served.engine, many))
    texts = [joined(made, index).text for index in range(3)]
    assert len(set(texts)) == 3
    if served.name == "transformers":  # llama.cpp rounds otherwise where several run
        alone = [served.text("where is my order", temperature=1.0, seed=n) for n in (3, 4, 5)]
        assert texts == alone


def test_n_greedy_answers_are_the_same(served: Served) -> None:
    made = served.run(pieces(served.engine, ask(served.base, "zip broke", n=2)))
    assert joined(made, 0) == joined(made, 1)


def test_many_answers_run_beside_each_other(served: Served) -> None:
    requests = [ask(served.base, f"{n} boots", max_tokens=4, seed=n) for n in range(40)]
    made = served.run(all_said(served.engine, requests))
    assert len(set(made)) > 5
    state = served.engine.state
    served.run(until(lambda: state().running == state().waiting == 0))


def test_answers_keep_to_their_schema(served: Served) -> None:
    asked = [
        ask(served.base, text, max_tokens=120, json_schema=SCHEMA, temperature=1.0, seed=seed)
        for seed, text in enumerate(("zip", "where is my order?", "ok"))
    ]
    for text in served.run(all_said(served.engine, asked)):
        jsonschema.validate(json.loads(text), SCHEMA)


def test_an_answer_cut_within_its_schema_says_so(served: Served) -> None:
    schema = {"type": "object", "properties": {"a": {"const": "x" * 100}}, "required": ["a"]}
    made = served.run(said(served.engine, ask(served.base, "zip", json_schema=schema)))
    assert made.reason == "length"
    assert made.text.startswith('{"a":"x')


@pytest.mark.parametrize(
    ("decoding", "field"),
    [
        ({"max_tokens": CONTEXT}, "max_tokens"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"json_schema": {"type": "object", "allOf": []}}, "response_format"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(
    decoding: dict[str, Any], field: str, served: Served
) -> None:
    with pytest.raises(RefusedError) as refused:
        served.text("zip broke", **decoding)
    assert refused.value.param == field


def test_tools_are_refused_where_the_template_knows_none(served: Served) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    asked = ChatRequest(weights=served.base, messages=user("zip"), tools=(tool,))
    with pytest.raises(RefusedError, match="knows no tools") as refused:
        served.run(said(served.engine, asked))
    assert refused.value.param == "tools"


def test_closing_a_stream_frees_its_slot(served: Served) -> None:
    async def run() -> None:
        stream = served.engine.stream(ask(served.base, "zip broke", max_tokens=200))
        await anext(stream)
        await stream.aclose()
        await until(lambda: served.engine.state().running == 0)

    before = served.text("zip broke")
    served.run(run())
    assert served.text("zip broke") == before
