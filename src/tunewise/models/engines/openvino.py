"""The engine for CPUs: OpenVINO GenAI's continuous batching over a q8_0 GGUF file.

Batches run without a prefix cache, so that an answer does not depend on what was asked before it;
`prefix_caching` turns the cache on, for latency as a server would have it. Adapters are merged into
the weights of a pipeline of their own.
"""

import contextlib
import tempfile
import time
from collections import OrderedDict
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import openvino
import openvino_genai

from tunewise.chat.tokenize import prompt_tokens, said_after
from tunewise.models import loading
from tunewise.models.adapters import adapter_hash, merge_into_gguf
from tunewise.models.catalog import LocalModel
from tunewise.models.engines.protocol import Request
from tunewise.models.engines.signals import keep_signals
from tunewise.types import Failure, Generation, Message, Usage

CACHE_GIGABYTES = 1
CACHE_BLOCK = 32
"""Prompt tokens are cached in whole blocks of this many (OpenVINO's on CPU)."""
PIPELINES_KEPT = 1
"""Pipelines open at once; the one used longest ago is closed first."""
# The plug-in would choose bf16 where the chip has it, an 8-bit cache, and activations rounded to 8
# bits: each changes answers. With rounded activations 8 of 100 scores of a tuned model differed
# from full precision, without them 1; it costs 1.7 to 1.9 times the processor time.
_PRECISE = {
    "INFERENCE_PRECISION_HINT": "f32",
    "KV_CACHE_PRECISION": "f32",
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
}


class OpenVinoEngine:
    """Runs a base model and its adapters on the CPU.

    Args:
        model: must have a GGUF file.
        thinking_tokens: see `Engine.thinking_tokens`.

    Raises:
        ValueError: `model.gguf` is None.
    """

    name = "openvino"

    def __init__(self, model: LocalModel, *, thinking_tokens: int = 0) -> None:
        if model.gguf is None:
            raise ValueError(f"{model.name} has no GGUF file: {model.no_gguf}")
        self.context_tokens = model.context_tokens
        self._model = model
        self._gguf = model.gguf
        self.thinking_tokens = thinking_tokens
        self._tokenizer = loading.load_tokenizer(model.folder, thinking=thinking_tokens > 0)
        self._ends = loading.end_token_ids(model.folder, self._tokenizer)
        self._merged = tempfile.TemporaryDirectory(prefix="tunewise-merged-")
        self._pipelines: OrderedDict[tuple[str, bool], _Pipeline] = OrderedDict()
        self._prefix_caching = False

    @keep_signals()
    def generate(self, requests: Sequence[Request]) -> list[Generation | Failure]:
        """See `Engine.generate`. Requests for different adapters run one adapter after another."""
        results: list[Generation | Failure | None] = [None] * len(requests)
        for adapter in dict.fromkeys(request.adapter for request in requests):
            chosen = [i for i, request in enumerate(requests) if request.adapter == adapter]
            answers = self._run(adapter, [requests[i] for i in chosen])
            for i, answer in zip(chosen, answers, strict=True):
                results[i] = answer
        return [result for result in results if result is not None]

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """See `Engine.count_tokens`."""
        return len(prompt_tokens(self._tokenizer, messages))

    def count_answer_tokens(self, text: str) -> int:
        """See `Engine.count_answer_tokens`."""
        return len(self._tokenizer.encode(text, add_special_tokens=False))

    @contextlib.contextmanager
    def prefix_caching(self) -> Generator[None]:
        """See `Engine.prefix_caching`: the prefix cache is on."""
        self._prefix_caching = True
        try:
            yield
        finally:
            self._prefix_caching = False

    @keep_signals()
    def unload(self) -> None:
        """See `Engine.rest`: closes the pipelines; the next request opens one in a few seconds."""
        self._pipelines.clear()

    @keep_signals()
    def close(self) -> None:
        """See `Engine.close`."""
        self._pipelines.clear()
        self._merged.cleanup()

    def _run(self, adapter: Path | None, requests: list[Request]) -> list[Generation | Failure]:
        started = time.perf_counter()
        prompts = [prompt_tokens(self._tokenizer, r.messages, r.tools) for r in requests]
        fits = [
            i
            for i, (prompt, request) in enumerate(zip(prompts, requests, strict=True))
            if len(prompt) + request.sampling.max_tokens <= self.context_tokens
        ]
        done: dict[int, Generation] = {}
        if fits:
            pipeline = self._pipeline(adapter)
            started = time.perf_counter()  # opening a pipeline is no part of answering
            outputs = pipeline.generate([prompts[i] for i in fits], [requests[i] for i in fits])
            seconds = time.perf_counter() - started
            done = {
                i: self._generation(output, prompts[i], seconds, alone=len(fits) == 1)
                for i, output in zip(fits, outputs, strict=True)
            }
        return [
            done.get(i)
            or Failure(
                message=f"the prompt of {len(prompts[i])} tokens and up to "
                f"{request.sampling.max_tokens} of the answer do not fit the model's "
                f"{self.context_tokens}; shorten the input or choose a model with a longer context"
            )
            for i, request in enumerate(requests)
        ]

    def _generation(
        self, output: "_Output", prompt: Sequence[int], seconds: float, *, alone: bool
    ) -> Generation:
        ids = list(output.token_ids)
        stopped = bool(ids) and ids[-1] in self._ends
        if stopped:
            ids.pop()
        said = said_after(self._tokenizer, prompt, ids)
        return Generation(
            text=said.text,
            usage=Usage(
                prompt_tokens=len(prompt),
                cached_tokens=output.cached,
                completion_tokens=len(ids),
                thinking_tokens=said.thinking_tokens,
            ),
            finish_reason="stop" if stopped else "length",
            seconds=seconds,
            seconds_to_first_token=output.first_token if alone else None,
        )

    def _pipeline(self, adapter: Path | None) -> "_Pipeline":
        key = (adapter_hash(adapter) if adapter else "", self._prefix_caching)
        if key not in self._pipelines:
            while len(self._pipelines) >= PIPELINES_KEPT:
                self._pipelines.popitem(last=False)
            weights = self._gguf
            if adapter:
                weights = Path(self._merged.name) / f"{key[0]}.gguf"
                if not weights.exists():
                    merge_into_gguf(self._model, adapter, weights)
            self._pipelines[key] = _Pipeline(weights, self._ends, prefix_cache=self._prefix_caching)
        self._pipelines.move_to_end(key)
        return self._pipelines[key]


class _Output:
    """What the pipeline gave for one prompt."""

    def __init__(self, token_ids: Sequence[int], first_token: float, cached: int) -> None:
        self.token_ids = token_ids
        self.first_token = first_token
        self.cached = cached


class _Pipeline:
    """One open model. OpenVINO's classes carry no types, so they stay in here."""

    def __init__(self, weights: Path, ends: frozenset[int], *, prefix_cache: bool) -> None:
        genai = cast("Any", openvino_genai)
        scheduler = genai.SchedulerConfig()
        scheduler.cache_size = CACHE_GIGABYTES
        scheduler.enable_prefix_caching = prefix_cache
        scheduler.dynamic_split_fuse = True
        scheduler.max_num_batched_tokens = 512
        scheduler.max_num_seqs = 32
        tokenizer = genai.Tokenizer(str(weights))
        self._pipe: Any = genai.ContinuousBatchingPipeline(
            str(weights), tokenizer, scheduler, "CPU", **_PRECISE
        )
        self._ends = set(ends)
        self._seen: set[tuple[int, ...]] | None = set() if prefix_cache else None

    def generate(
        self, prompts: Sequence[Sequence[int]], requests: Sequence[Request]
    ) -> list[_Output]:
        configs = [self._config(request) for request in requests]
        tensors = [openvino.Tensor(np.array([p], dtype=np.int64)) for p in prompts]
        cached = [self._cached(prompt) for prompt in prompts]
        outputs = self._pipe.generate(tensors, configs)
        return [
            _Output(o.m_generation_ids[0], o.perf_metrics.get_ttft().mean / 1000, hit)
            for o, hit in zip(outputs, cached, strict=True)
        ]

    def _config(self, request: Request) -> Any:
        config = cast("Any", openvino_genai).GenerationConfig()
        config.apply_chat_template = False
        config.max_new_tokens = request.sampling.max_tokens
        config.stop_token_ids = self._ends
        config.do_sample = request.sampling.temperature > 0
        if config.do_sample:
            config.temperature = request.sampling.temperature
            config.rng_seed = request.sampling.seed
        return config

    def _cached(self, prompt: Sequence[int]) -> int:
        """Tokens of the whole blocks seen before, the last token excepted.

        OpenVINO does not report its hits; this is its rule. The cache is far larger than what a
        latency measurement puts into it, so that nothing is evicted.
        """
        if self._seen is None:
            return 0
        hit, unbroken = 0, True
        for end in range(CACHE_BLOCK, len(prompt), CACHE_BLOCK):
            block = tuple(prompt[:end])
            unbroken = unbroken and block in self._seen
            hit = end if unbroken else hit
            self._seen.add(block)
        return hit
