"""The engine for CPUs: OpenVINO GenAI's continuous batching over a q8_0 GGUF file.

What the prompts of a batch begin with is computed once: the pipeline keeps a prefix cache, and
shared beginnings are put into it before the batch. Answers differ from those without it by rounding
alone. `prefix_caching` starts with empty caches, for latency as a server would have it. Adapters
are merged into the weights of a pipeline of their own.
"""

import contextlib
import functools
import tempfile
import time
from collections import OrderedDict
from collections.abc import Generator, Sequence
from pathlib import Path

from tunewise.chat.tokenize import prompt_tokens, said_after
from tunewise.models import loading
from tunewise.models.adapters import merge_into_gguf
from tunewise.models.catalog import LocalModel
from tunewise.models.engines.openvino_pipeline import Output, Pipeline, Vocabulary
from tunewise.models.engines.prefixes import BLOCK
from tunewise.models.engines.protocol import Request
from tunewise.models.engines.signals import keep_signals
from tunewise.models.stored import adapter_hash
from tunewise.types import Failure, Generation, Message, Usage

CACHE_BYTES = 2**30
"""Of the keys and values that a pipeline holds; the memory is taken as it fills."""
PIPELINES_KEPT, PIPELINES_TIMED = 1, 4
"""Pipelines open at once, and while single requests are timed, so that contenders can take turns;
the one used longest ago is closed first. One takes about 220 MB and what its cache holds."""


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
        self._cache_blocks = CACHE_BYTES // (BLOCK * loading.cache_bytes(model.folder))
        self._merged = tempfile.TemporaryDirectory(prefix="tunewise-merged-")
        self._kept = PIPELINES_KEPT
        self._pipelines: OrderedDict[str, Pipeline] = OrderedDict()

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
        """See `Engine.prefix_caching`: pipelines are opened anew, with empty caches."""
        self.unload()
        self._kept = PIPELINES_TIMED
        try:
            yield
        finally:
            self._kept = PIPELINES_KEPT
            self.unload()

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
            outputs = pipeline.generate(
                [prompts[i] for i in fits], [requests[i].sampling for i in fits]
            )
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
        self, output: Output, prompt: Sequence[int], seconds: float, *, alone: bool
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

    def _pipeline(self, adapter: Path | None) -> Pipeline:
        key = adapter_hash(adapter) if adapter else ""
        if key not in self._pipelines:
            while len(self._pipelines) >= self._kept:
                self._pipelines.popitem(last=False)
            weights = self._gguf
            if adapter:
                weights = Path(self._merged.name) / f"{key}.gguf"
                if not weights.exists():
                    merge_into_gguf(self._model, adapter, weights)
            self._pipelines[key] = Pipeline(weights, self._vocabulary, self._cache_blocks)
        self._pipelines.move_to_end(key)
        return self._pipelines[key]

    @functools.cached_property
    def _vocabulary(self) -> Vocabulary:
        """That of the base is its adapters' too: to read it takes as long as to open a pipeline."""
        return Vocabulary(self._gguf, self._ends)
