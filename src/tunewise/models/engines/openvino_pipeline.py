"""One model opened by OpenVINO GenAI: batches of token ids in, generated ids out.

OpenVINO's classes carry no types, so they stay in here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import openvino
import openvino_genai

from tunewise.models.engines.prefixes import BLOCK, CachedBlocks, shared_beginnings
from tunewise.models.engines.protocol import Sampling

# The plug-in would choose bf16 where the chip has it, an 8-bit cache, and activations rounded to 8
# bits: each changes answers. With rounded activations 8 of 100 scores of a tuned model differed
# from full precision, without them 1; it costs 1.7 to 1.9 times the processor time.
_PRECISE = {
    "INFERENCE_PRECISION_HINT": "f32",
    "KV_CACHE_PRECISION": "f32",
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
}
BATCH = 512
"""Tokens that go through the model in one step at most."""
_FIRST_TOKEN = Sampling(max_tokens=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    """What a pipeline gave for one prompt."""

    token_ids: Sequence[int]
    first_token: float
    """Seconds to the first token of its batch."""
    cached: int
    """Tokens of the prompt that were not computed for it."""


class Vocabulary:
    """The tokenizer that pipelines of one vocabulary share, and the tokens that end an answer."""

    def __init__(self, weights: Path, ends: frozenset[int]) -> None:
        self.tokenizer: Any = cast("Any", openvino_genai).Tokenizer(str(weights))
        self.ends = set(ends)


def open_pipe(
    weights: Path, vocabulary: Vocabulary, cache_blocks: int, *, share: bool = True
) -> Any:
    """OpenVINO's own pipeline over a GGUF file, set to be precise. See `Pipeline`."""
    genai = cast("Any", openvino_genai)
    scheduler = genai.SchedulerConfig()
    scheduler.num_kv_blocks = cache_blocks
    scheduler.enable_prefix_caching = share
    scheduler.dynamic_split_fuse = True
    scheduler.max_num_batched_tokens = BATCH
    return genai.ContinuousBatchingPipeline(
        str(weights), vocabulary.tokenizer, scheduler, "CPU", **_PRECISE
    )


class Pipeline:
    """An open model with its prefix cache.

    Args:
        weights: a GGUF file.
        vocabulary: of the file, or of another with the same tokens.
        cache_blocks: how many blocks of keys and values it may hold.
        share: whether what prompts begin with is computed once; without it for comparisons.
    """

    def __init__(
        self, weights: Path, vocabulary: Vocabulary, cache_blocks: int, *, share: bool = True
    ) -> None:
        self._share = share
        self._weights = weights
        self._vocabulary = vocabulary
        self._cache_blocks = cache_blocks
        self._open()

    def generate(
        self, prompts: Sequence[Sequence[int]], samplings: Sequence[Sampling]
    ) -> list[Output]:
        """One output a prompt, in order; what prompts have in common is computed once."""
        outputs: list[Output] = []
        for some in self._fitting(prompts, samplings):
            outputs += self._group(prompts[some], samplings[some])
        return outputs

    def _open(self) -> None:
        self._pipe = open_pipe(
            self._weights, self._vocabulary, self._cache_blocks, share=self._share
        )
        self._cached = CachedBlocks(self._cache_blocks if self._share else 0)

    def _fitting(
        self, prompts: Sequence[Sequence[int]], samplings: Sequence[Sampling]
    ) -> Iterator[slice]:
        """Cuts a batch into parts that fit the cache together.

        Where they do not, OpenVINO interrupts one to go on with another, computes its tokens twice,
        and may keep a block that is not filled for a filled one.
        """
        start = used = 0
        for place, (prompt, sampling) in enumerate(zip(prompts, samplings, strict=True)):
            blocks = -(-(len(prompt) + sampling.max_tokens) // BLOCK)
            if used and used + blocks > self._cache_blocks:
                yield slice(start, place)
                start, used = place, 0
            used += blocks
        if used:
            yield slice(start, len(prompts))

    def _group(
        self, prompts: Sequence[Sequence[int]], samplings: Sequence[Sampling]
    ) -> list[Output]:
        if not self._share:
            return self._ask(prompts, samplings)
        if self._cached.tears(prompts):
            self._open()
        beginnings = shared_beginnings(prompts)
        computed_for = [0] * len(prompts)
        for level in sorted({one.level for one in beginnings}):
            some = [one for one in beginnings if one.level == level]
            made = self._ask([one.tokens for one in some], [_FIRST_TOKEN] * len(some))
            for one, output in zip(some, made, strict=True):
                computed_for[one.first] += len(one.tokens) - output.cached
        return [
            Output(
                token_ids=output.token_ids,
                first_token=output.first_token,
                cached=output.cached - computed,
            )
            for output, computed in zip(self._ask(prompts, samplings), computed_for, strict=True)
        ]

    def _ask(self, prompts: Sequence[Sequence[int]], samplings: Sequence[Sampling]) -> list[Output]:
        tensors = [openvino.Tensor(np.array([p], dtype=np.int64)) for p in prompts]
        hits = [self._cached.hit(prompt) for prompt in prompts]
        results = self._pipe.generate(tensors, [self._config(one) for one in samplings])
        outputs = [
            Output(
                token_ids=result.m_generation_ids[0],
                first_token=result.perf_metrics.get_ttft().mean / 1000,
                cached=hit,
            )
            for result, hit in zip(results, hits, strict=True)
        ]
        for prompt, output in zip(prompts, outputs, strict=True):
            # The last token generated was never put through the model.
            self._cached.add([*prompt, *output.token_ids[:-1]])
        return outputs

    def _config(self, sampling: Sampling) -> Any:
        config = cast("Any", openvino_genai).GenerationConfig()
        config.apply_chat_template = False
        config.max_new_tokens = sampling.max_tokens
        config.stop_token_ids = self._vocabulary.ends
        config.do_sample = sampling.temperature > 0
        if config.do_sample:
            config.temperature = sampling.temperature
            config.rng_seed = sampling.seed
        return config
