"""What llama.cpp's server says, read into tokens."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tunewise.models import loading
from tunewise.models.catalog import LocalModel
from tunewise.models.engines.prefixes import BLOCK
from tunewise.serving.engine.answers import Writer
from tunewise.serving.engine.lane import Lane, Slot
from tunewise.serving.engine.llamacpp_server import Events, LlamaPipeline
from tunewise.serving.engine.pipeline import LEAST_LOGPROB, Generated
from tunewise.serving.engine.wire import GREEDY


@pytest.fixture(scope="module")
def tokenizer(small_llama: LocalModel) -> Any:
    return loading.load_tokenizer(small_llama.folder)


def event(content: str, *ids: int, count: int, **more: Any) -> dict[str, Any]:
    return {
        "content": content,
        "tokens": list(ids),
        "tokens_predicted": count,
        "stop": False,
        "timings": {"cache_n": 4},
        **more,
    }


def last(kind: str, count: int) -> dict[str, Any]:
    return event("", count=count, stop=True, stop_type=kind)


def probabilities(*values: float | None) -> list[dict[str, Any]]:
    ranked = [{"id": n, "logprob": value} for n, value in enumerate(values)]
    return [{**ranked[0], "top_logprobs": ranked}]


def test_a_token_has_its_log_probability_and_those_of_others(tokenizer: Any) -> None:
    said = event("a", 9, count=1, completion_probabilities=probabilities(-0.5, -1.0, None))
    assert Events(tokenizer, 3).read(said) == Generated(
        tokens=(9,),
        logprobs=(-0.5,),
        ranked=(((0, -0.5), (1, -1.0), (2, LEAST_LOGPROB)),),
        cached=4,
    )
    assert Events(tokenizer, 1).read(said).ranked == (((0, -0.5),),)


def test_a_character_of_several_tokens_is_all_of_them(tokenizer: Any) -> None:
    ids = tokenizer.encode("é", add_special_tokens=False)
    assert len(ids) > 1
    said = event("é", ids[-1], count=len(ids), completion_probabilities=probabilities(-0.5))
    made = Events(tokenizer, 0).read(said)
    assert made.tokens == tuple(ids)
    assert made.logprobs == (*[None] * (len(ids) - 1), -0.5)  # the others are not told
    assert len(made.ranked) == len(ids)
    assert made.unseen == 0


def test_bytes_that_never_become_a_character_are_only_counted(tokenizer: Any) -> None:
    said = event("\ufffd", 7, count=3, completion_probabilities=probabilities(-0.5))
    made = Events(tokenizer, 1).read(said)
    assert (made.tokens, made.logprobs, made.ranked, made.unseen) == ((), (), (), 3)


def test_what_is_cut_within_a_character_is_counted(tokenizer: Any) -> None:
    events = Events(tokenizer, 0)
    events.read(event("a", 9, count=1))
    made = events.read(last("limit", 3))
    assert (made.tokens, made.unseen, made.over) == ((), 2, "length")


def test_the_token_that_ends_an_answer_is_no_part_of_it(tokenizer: Any) -> None:
    events = Events(tokenizer, 0)
    assert events.read(event("a", 9, count=1)).tokens == (9,)
    assert events.read(event("", 2, count=2)) == Generated()  # it may be that, or go on
    made = events.read(last("eos", 2))
    assert (made.tokens, made.unseen, made.over) == ((), 0, "stop")


def test_a_token_without_text_comes_with_what_follows(tokenizer: Any) -> None:
    events = Events(tokenizer, 0)
    events.read(event("", 1, count=1))
    assert events.read(event("a", 9, count=2)).tokens == (1, 9)


def test_a_fault_is_told_in_its_own_words(tokenizer: Any) -> None:
    said = {"error": {"code": 500, "message": "Context size has been exceeded."}}
    assert Events(tokenizer, 0).read(said).fault == "Context size has been exceeded."


def test_answers_that_outgrow_the_cache_are_taken_out_and_go_on(
    small_llama: LocalModel, tokenizer: Any
) -> None:
    pytest.importorskip("xllamacpp")
    assert small_llama.gguf is not None
    pipeline = LlamaPipeline(small_llama.gguf, tokenizer, 16)
    lane = Lane(pipeline, 16, estimate=BLOCK, blocks_shared=False)
    taken_out = False
    for turn in range(50):  # llama.cpp writes on by itself: some turns end before they collide
        slots = [slot(tokenizer, tokens(40, 5 * turn + n), limit=150) for n in range(5)]
        lane.waiting.extend(slots)
        for _ in range(20_000):
            lane.admit()
            assert all(news.fault is None for news in lane.step())
            if not lane.busy:
                break
        assert not lane.busy
        assert all(one.writer.finished for one in slots)
        taken_out = any(one.known for one in slots)
        if taken_out:
            break
    assert taken_out, "none had to be taken out"


def test_a_request_that_llama_cpp_refuses_is_a_fault_of_its_own(
    small_llama: LocalModel, tokenizer: Any
) -> None:
    pytest.importorskip("xllamacpp")
    assert small_llama.gguf is not None
    lane = Lane(LlamaPipeline(small_llama.gguf, tokenizer, 16), 16, blocks_shared=False)
    broken = slot(tokenizer, tokens(20), limit=8, grammar="root ::= (")
    fine = slot(tokenizer, tokens(20), limit=8)
    lane.waiting.extend((broken, fine))
    faults: list[Slot] = []
    while lane.busy:
        lane.admit()
        faults += [news.slot for news in lane.step() if news.fault]
    assert faults == [broken]
    assert fine.writer.finished


def slot(tokenizer: Any, prompt: list[int], *, limit: int, grammar: str | None = None) -> Slot:
    choice = replace(GREEDY, max_tokens=limit, grammar=grammar)
    writer = Writer(tokenizer, ends=frozenset({2}), stops=(), limit=limit)
    return Slot(prompt=tuple(prompt), choice=choice, seed=0, limit=limit, writer=writer)


def tokens(count: int, seed: int = 0) -> list[int]:
    return [int(one) for one in np.random.default_rng(seed).integers(3, 399, count)]
