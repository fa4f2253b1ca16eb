"""The engine for any model and device: batched `generate` of transformers, in full precision.

The common beginning of a batch's prompts is computed once and its keys and values are reused by
every row.
"""

import contextlib
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, cast

import torch
import transformers

from tunewise.chat.tokenize import prompt_tokens, said_after
from tunewise.models import loading
from tunewise.models.adapters import attach_adapter, check_adapter
from tunewise.models.catalog import LocalModel
from tunewise.models.engines.protocol import Request, Sampling
from tunewise.models.engines.signals import keep_signals
from tunewise.models.stored import adapter_hash, is_whole_model
from tunewise.types import Failure, Generation, Message, Usage

BATCH_ROWS = 16
MIN_PREFIX = 16
"""A common beginning of fewer tokens is not worth a pass of its own."""


class TransformersEngine:
    """Runs a base model and its adapters with transformers.

    Args:
        model: any causal language model that transformers knows.
        thinking_tokens: see `Engine.thinking_tokens`.
        device: `cpu`, `cuda`, ...; None: CUDA where there is one, in bfloat16, else the CPU.
    """

    name = "transformers"

    def __init__(
        self, model: LocalModel, *, thinking_tokens: int = 0, device: str | None = None
    ) -> None:
        self.context_tokens = model.context_tokens
        self._model = model
        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self._base = self._opened(model.folder)
        self.thinking_tokens = thinking_tokens
        self._tokenizer = loading.load_tokenizer(model.folder, thinking=thinking_tokens > 0)
        self._ends = loading.end_token_ids(model.folder, self._tokenizer)
        self._shares_prefixes = _sees_everything(self._base.config)
        self._adapted: Any = None
        self._whole: tuple[str, Any] | None = None

    @keep_signals()
    def generate(self, requests: Sequence[Request]) -> list[Generation | Failure]:
        """See `Engine.generate`. Rows of similar length and equal settings share a batch."""
        prompts = [prompt_tokens(self._tokenizer, r.messages, r.tools) for r in requests]
        results: dict[int, Generation | Failure] = {
            i: Failure(
                message=f"the prompt of {len(prompts[i])} tokens and up to "
                f"{request.sampling.max_tokens} of the answer do not fit the model's "
                f"{self.context_tokens}; shorten the input or choose a model with a longer context"
            )
            for i, request in enumerate(requests)
            if len(prompts[i]) + request.sampling.max_tokens > self.context_tokens
        }
        kinds: dict[tuple[Path | None, Sampling], list[int]] = {}
        for i, request in enumerate(requests):
            if i not in results:
                kinds.setdefault((request.adapter, request.sampling), []).append(i)
        for (adapter, sampling), rows in kinds.items():
            rows.sort(key=lambda i: len(prompts[i]))
            for start in range(0, len(rows), BATCH_ROWS):
                batch = rows[start : start + BATCH_ROWS]
                answers = self._batch(adapter, sampling, [prompts[i] for i in batch])
                results.update(zip(batch, answers, strict=True))
        return [results[i] for i in range(len(requests))]

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """See `Engine.count_tokens`."""
        return len(prompt_tokens(self._tokenizer, messages))

    def count_answer_tokens(self, text: str) -> int:
        """See `Engine.count_answer_tokens`."""
        return len(self._tokenizer.encode(text, add_special_tokens=False))

    @contextlib.contextmanager
    def prefix_caching(self) -> Generator[None]:
        """See `Engine.prefix_caching`. There is no cache between requests here."""
        yield

    def unload(self) -> None:
        """See `Engine.rest`. Loading again would cost more than the memory is worth."""

    @keep_signals()
    def close(self) -> None:
        """See `Engine.close`."""
        self._base = self._adapted = self._whole = None

    def _with(self, adapter: Path | None) -> Any:
        """The model with exactly this adapter switched on."""
        if adapter is None:
            return self._base if self._adapted is None else self._adapted.disable_adapter()
        check_adapter(adapter, self._model)
        name = adapter_hash(adapter)
        if is_whole_model(adapter):
            return self._whole_model(adapter, name)
        if self._adapted is None or name not in self._adapted.peft_config:
            onto = self._base if self._adapted is None else self._adapted
            self._adapted = attach_adapter(onto, adapter, self._model, name=name).eval()
        self._adapted.set_adapter(name)
        return self._adapted

    def _whole_model(self, folder: Path, name: str) -> Any:
        """A model whose every weight was trained; the last one stays open."""
        if self._whole is None or self._whole[0] != name:
            self._whole = None
            self._whole = (name, self._opened(folder))
        return self._whole[1]

    def _opened(self, folder: Path) -> Any:
        dtype = torch.bfloat16 if self._device.startswith("cuda") else torch.float32
        model = cast("Any", loading.load_model(folder, dtype=dtype)).to(self._device)
        # A model's own habits (a repetition penalty, a top_k) would make its answers something
        # else than greedy, and other than those of the other engines.
        model.generation_config = transformers.GenerationConfig()
        return model

    @torch.inference_mode()
    def _batch(
        self, adapter: Path | None, sampling: Sampling, prompts: Sequence[Sequence[int]]
    ) -> list[Generation]:
        chosen = self._with(adapter)
        started = time.perf_counter()
        if adapter is None and self._adapted is not None:
            with chosen:
                rows = self._tokens(self._adapted, sampling, prompts)
        else:
            rows = self._tokens(chosen, sampling, prompts)
        seconds = time.perf_counter() - started
        return [self._generation(row, p, seconds) for row, p in zip(rows, prompts, strict=True)]

    def _tokens(
        self, model: Any, sampling: Sampling, prompts: Sequence[Sequence[int]]
    ) -> list[list[int]]:
        """New tokens of each row. Layout of a row: common prefix | padding | rest of the prompt."""
        prefix = _common_prefix(prompts) if len(prompts) > 1 and self._shares_prefixes else 0
        prefix = prefix if prefix >= MIN_PREFIX else 0
        longest = max(len(prompt) for prompt in prompts)
        pad = min(self._ends, default=0)
        ids = torch.full((len(prompts), longest), pad)  # (rows, tokens)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            rest = len(prompt) - prefix
            ids[row, :prefix] = torch.tensor(prompt[:prefix])
            ids[row, longest - rest :] = torch.tensor(prompt[prefix:])
            mask[row, :prefix] = 1
            mask[row, longest - rest :] = 1
        ids, mask = ids.to(self._device), mask.to(self._device)
        settings: dict[str, Any] = {
            "max_new_tokens": sampling.max_tokens,
            "do_sample": sampling.temperature > 0,
            "pad_token_id": pad,
            "eos_token_id": sorted(self._ends),
        }
        if sampling.temperature > 0:
            settings |= {"temperature": sampling.temperature, "top_k": 0, "top_p": 1.0}
            torch.manual_seed(sampling.seed)  # pyright: ignore[reportUnknownMemberType]
        if prefix:
            cache = transformers.DynamicCache(config=cast("Any", self._base).config)
            model(input_ids=ids[:1, :prefix], past_key_values=cache, logits_to_keep=1)
            cache.batch_repeat_interleave(len(prompts))
            settings["past_key_values"] = cache
        out = model.generate(input_ids=ids, attention_mask=mask, **settings)
        return cast("list[list[int]]", out[:, longest:].tolist())

    def _generation(self, row: list[int], prompt: Sequence[int], seconds: float) -> Generation:
        end = next((n for n, token in enumerate(row) if token in self._ends), None)
        kept = row if end is None else row[:end]
        said = said_after(self._tokenizer, prompt, kept)
        return Generation(
            text=said.text,
            usage=Usage(
                prompt_tokens=len(prompt),
                completion_tokens=len(kept),
                thinking_tokens=said.thinking_tokens,
            ),
            finish_reason="length" if end is None else "stop",
            seconds=seconds,
        )


def _sees_everything(config: Any) -> bool:
    """Whether every layer attends to all tokens: the padding after a prefix fills windows."""
    layers = cast("list[str] | None", getattr(config, "layer_types", None))
    if layers is None:
        return getattr(config, "sliding_window", None) is None
    return set(layers) == {"full_attention"}


def _common_prefix(prompts: Sequence[Sequence[int]]) -> int:
    """Length of the common beginning, leaving at least one token to every row."""
    first, shortest = prompts[0], min(len(prompt) for prompt in prompts)
    for n in range(shortest - 1):
        if any(prompt[n] != first[n] for prompt in prompts):
            return n
    return max(0, shortest - 1)
