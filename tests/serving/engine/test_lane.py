"""Answers that join and leave one pipeline, against each of them alone in a fresh one."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tunewise.models import loading
from tunewise.models.catalog import LocalModel
from tunewise.models.engines.openvino_pipeline import BATCH, Pipeline, Vocabulary
from tunewise.models.engines.prefixes import BLOCK
from tunewise.models.engines.protocol import Sampling
from tunewise.serving.engine.answers import Writer
from tunewise.serving.engine.lane import Lane, Slot
from tunewise.serving.engine.steps import SteppedPipeline
from tunewise.serving.engine.wire import Choice

ENDS = frozenset({2})


class Small:
    """The small model, and lanes of it."""

    def __init__(self, model: LocalModel) -> None:
        assert model.gguf is not None
        self.gguf = model.gguf
        self.tokenizer = loading.load_tokenizer(model.folder)
        self.vocabulary = Vocabulary(model.gguf, ENDS)

    def lane(self, blocks: int = 500) -> Lane:
        """One in which answers get room for a block at first."""
        pipeline = SteppedPipeline(self.gguf, self.vocabulary, blocks)
        return Lane(pipeline, blocks, estimate=BLOCK)

    def slot(self, prompt: Sequence[int], limit: int = 8, *, stop: str = "", **choice: Any) -> Slot:
        stops = (stop,) if stop else ()
        chosen = {"max_tokens": limit, "temperature": 0.0, "top_p": 1.0, "seed": 0, "n": 1}
        chosen |= {"stop": stops, "logprobs": False, "grammar": None}
        writer = Writer(self.tokenizer, ends=ENDS, stops=stops, limit=limit)
        return Slot(
            prompt=tuple(prompt),
            choice=Choice(
                **{**chosen, "stop": stops, "logprobs": False, "grammar": None, **choice}
            ),
            seed=0,
            limit=limit,
            writer=writer,
        )

    def alone(self, prompt: Sequence[int], limit: int = 8) -> list[int]:
        pipeline = Pipeline(self.gguf, self.vocabulary, 500, share=False)
        (made,) = pipeline.generate([prompt], [Sampling(max_tokens=limit)])
        return list(made.token_ids)


@pytest.fixture(scope="module")
def small(small_llama: LocalModel) -> Small:
    return Small(small_llama)


def tokens(count: int, seed: int = 0) -> list[int]:
    return [int(one) for one in np.random.default_rng(seed).integers(3, 400, count)]


def run(lane: Lane, *slots: Slot, steps: int = 5000) -> None:
    """Moves on until nothing is left to do, or that many steps."""
    lane.waiting.extend(slots)
    for _ in range(steps):
        if not lane.busy:
            return
        lane.admit()
        lane.step()


def test_whatever_joins_meanwhile_each_answer_is_what_it_is_alone(small: Small) -> None:
    lane = small.lane()
    slots = [small.slot(tokens(20 + 9 * n, n), limit=4 + n) for n in range(10)]
    for slot in slots:
        run(lane, slot, steps=2)
    run(lane)
    for slot in slots:
        assert slot.tokens == small.alone(slot.prompt, slot.limit)


def test_answers_that_outgrow_the_cache_are_what_they_are_alone(small: Small) -> None:
    lane = small.lane(blocks=12)
    slots = [small.slot(tokens(40, seed), limit=200) for seed in range(4)]
    run(lane, *slots)
    assert sum(len(slot.tokens) for slot in slots) > 300
    assert max(slot.known for slot in slots) > 0, "none had to be taken out"
    for slot in slots:
        assert slot.tokens == small.alone(slot.prompt, slot.limit)


def test_an_answer_with_a_seed_is_never_taken_out(small: Small) -> None:
    def made(lane: Lane) -> Slot:
        slot = small.slot(tokens(40), limit=200, temperature=1.0)
        run(lane, *(small.slot(tokens(40, seed), limit=200) for seed in (1, 2)), slot)
        return slot

    crowded, roomy = made(small.lane(blocks=14)), made(small.lane())
    assert crowded.known == 0
    assert crowded.tokens == roomy.tokens


def test_prompts_that_part_in_an_unfilled_block_are_answered_right(small: Small) -> None:
    lane, begun = small.lane(), tokens(BLOCK + 8)
    run(lane, small.slot(begun, limit=1))
    slots = [small.slot(begun + tokens(20, seed)) for seed in range(1, 5)]
    run(lane, *slots)
    for slot in slots:
        assert slot.tokens == small.alone(slot.prompt)


def test_what_is_cancelled_within_its_prompt_leaves_nothing_wrong_behind(small: Small) -> None:
    lane = small.lane()
    prompts = [tokens(190, seed) for seed in range(5)]
    assert sum(map(len, prompts)) > BATCH  # so that the first step ends within a prompt
    slots = [small.slot(prompt) for prompt in prompts]
    run(lane, *slots, steps=1)
    assert any(not slot.begun for slot in slots)
    for slot in slots:
        lane.cancel(slot)
    run(lane)
    assert not any(lane.holds(slot) for slot in slots)
    again = [small.slot(prompt) for prompt in prompts]
    run(lane, *again)
    for slot in again:
        assert slot.tokens == small.alone(slot.prompt)


def test_a_cancelled_answer_gives_no_news_and_is_gone_after_a_step(small: Small) -> None:
    lane, slot = small.lane(), small.slot(tokens(20), limit=100)
    other = small.slot(tokens(30, 1), limit=6)
    run(lane, slot, other, steps=2)
    lane.cancel(slot)
    assert all(news.slot is other for news in lane.step())
    assert not lane.holds(slot)
    run(lane)
    assert other.tokens == small.alone(other.prompt, 6)


def test_a_stop_string_ends_an_answer_and_frees_its_room(small: Small) -> None:
    whole = small.slot(tokens(20), limit=60)
    run(small.lane(), whole)
    text = str(small.tokenizer.decode(whole.tokens))
    stop = next(text[n : n + 3] for n in range(5, 60) if text[n : n + 3].isascii())
    lane, slot = small.lane(), small.slot(tokens(20), limit=60, stop=stop)
    run(lane, slot)
    assert slot.writer.finished == "stop"
    assert len(slot.tokens) < len(whole.tokens)
    assert not lane.busy


def test_other_answers_to_a_prompt_wait_until_it_is_computed(small: Small) -> None:
    lane, prompt = small.lane(), tokens(100)
    first, second = (small.slot(prompt, temperature=1.0) for _ in range(2))
    second.leader = first
    lane.waiting.extend((first, second))
    assert lane.admit() == [first]
    lane.step()
    assert lane.admit() == [second]
    run(lane)
    assert first.tokens == second.tokens
