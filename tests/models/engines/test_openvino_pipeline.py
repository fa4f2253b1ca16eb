from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import openvino
import openvino_genai
import pytest

from tunewise.models.catalog import LocalModel
from tunewise.models.engines.openvino_pipeline import Pipeline, Vocabulary
from tunewise.models.engines.prefixes import BLOCK, CachedBlocks
from tunewise.models.engines.protocol import Sampling

SIX = Sampling(max_tokens=6)


@pytest.fixture(scope="module")
def vocabulary(small_llama: LocalModel) -> Vocabulary:
    assert small_llama.gguf is not None
    return Vocabulary(small_llama.gguf, frozenset({2}))


def opened(model: LocalModel, vocabulary: Vocabulary, blocks: int = 1000) -> Pipeline:
    assert model.gguf is not None
    return Pipeline(model.gguf, vocabulary, blocks)


def tokens(count: int, seed: int = 0) -> list[int]:
    return [int(one) for one in np.random.default_rng(seed).integers(3, 400, count)]


def said(pipeline: Pipeline, prompts: Sequence[Sequence[int]]) -> list[list[int]]:
    return [list(one.token_ids) for one in pipeline.generate(prompts, [SIX] * len(prompts))]


def alone(
    model: LocalModel, vocabulary: Vocabulary, prompts: Sequence[Sequence[int]]
) -> list[list[int]]:
    """What each prompt is answered by a pipeline that was asked nothing before."""
    return [said(opened(model, vocabulary), [prompt])[0] for prompt in prompts]


def test_prompts_that_part_in_a_partly_filled_block_are_answered_right(
    small_llama: LocalModel, vocabulary: Vocabulary
) -> None:
    begun = tokens(BLOCK + 8)
    prompts = [begun + tokens(20, seed) for seed in range(1, 5)]
    pipeline = opened(small_llama, vocabulary)
    pipeline.generate([begun], [Sampling(max_tokens=1)])
    assert said(pipeline, prompts) == alone(small_llama, vocabulary, prompts)


def test_a_batch_that_does_not_fit_the_cache_is_cut(
    small_llama: LocalModel, vocabulary: Vocabulary
) -> None:
    prompts = [tokens(60 + 5 * seed, seed) for seed in range(7)]
    small = opened(small_llama, vocabulary, blocks=9)
    assert said(small, prompts) == alone(small_llama, vocabulary, prompts)


def test_nested_beginnings_are_computed_once_and_counted_for_their_first_prompt(
    small_llama: LocalModel, vocabulary: Vocabulary
) -> None:
    stem, left, right = tokens(BLOCK), tokens(3 * BLOCK, 1), tokens(2 * BLOCK, 2)
    ends = [tokens(10, seed) for seed in range(3, 8)]
    prompts = [
        stem + left + ends[0],
        stem + right + ends[1],
        stem + left + ends[2],
        stem + right + ends[3],
        stem + ends[4],
    ]
    made = opened(small_llama, vocabulary).generate(prompts, [SIX] * 5)
    assert [one.cached for one in made] == [0, BLOCK, 4 * BLOCK, 3 * BLOCK, BLOCK]
    assert [list(one.token_ids) for one in made] == alone(small_llama, vocabulary, prompts)


@pytest.mark.parametrize("room", [1000, 24])
def test_openvino_computes_as_many_tokens_as_are_counted(
    room: int, small_llama: LocalModel, vocabulary: Vocabulary
) -> None:
    pipe = one_token_a_step(small_llama, vocabulary, room)
    cache = CachedBlocks(room)
    rng = np.random.default_rng(1)
    stems = [tokens(count, seed) for seed, count in enumerate((32, 64, 70, 100))]
    for turn in range(30):
        prompt = stems[rng.integers(4)] + tokens(int(rng.integers(1, 40)), 100 + turn)
        expected = len(prompt) - cache.hit(prompt)
        steps, ids = steps_of(pipe, prompt)
        assert steps - (len(ids) - 1) == expected
        cache.add([*prompt, *ids[:-1]])


def one_token_a_step(model: LocalModel, vocabulary: Vocabulary, room: int) -> Any:
    genai = cast("Any", openvino_genai)
    scheduler = genai.SchedulerConfig()
    scheduler.num_kv_blocks = room
    scheduler.enable_prefix_caching = True
    scheduler.max_num_batched_tokens = 1
    return genai.ContinuousBatchingPipeline(
        str(model.gguf), vocabulary.tokenizer, scheduler, "CPU", INFERENCE_PRECISION_HINT="f32"
    )


def steps_of(pipe: Any, prompt: list[int]) -> tuple[int, list[int]]:
    """Steps that OpenVINO takes for one prompt, each of one token, and what it says."""
    config = cast("Any", openvino_genai).GenerationConfig()
    config.max_new_tokens = 5
    config.ignore_eos = True
    handle = pipe.add_request(0, openvino.Tensor(np.array([prompt], dtype=np.int64)), config)
    steps = 0
    while pipe.has_non_finished_requests():
        pipe.step()
        steps += 1
    (made,) = handle.read_all()
    return steps, list(made.generated_ids)
