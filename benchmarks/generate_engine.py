"""Tunewise's engine protocol over plain batched `generate` of transformers, and its settings.

What a good engineer writes in an afternoon. Knows nothing of training or of contenders.
"""

import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from tunewise.models.engines.protocol import Request, Sampling
from tunewise.types import Failure, Generation, Message, Usage

BATCH_ROWS = 16
FORMATS = ("float32", "bfloat16")


@dataclass(frozen=True, kw_only=True)
class Stack:
    """How the usual stack is set up."""

    sft: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of SFTConfig beyond what the comparison fixes."""
    completion_only: bool = False
    """Rows as prompt and completion (loss on the answer), instead of as messages (loss on all)."""
    merged: bool = False
    """Whether an adapter is merged into the weights before it answers."""
    dtype: str = "auto"
    """Of the weights that answer; `auto`: as the files have them, which is generate's default."""


DEFAULT = Stack()


def best(training: str, answering: str) -> Stack:
    """The documented settings for speed that a CPU can use; benchmarks/README.md gives sources.

    Args:
        training: the faster of `FORMATS` for training, as `probe` found it.
        answering: the same for generate.
    """
    return Stack(
        sft={
            "gradient_checkpointing": False,
            "train_sampling_strategy": "group_by_length",
            "bf16": training == "bfloat16",
            "dataloader_pin_memory": False,
        },
        completion_only=True,
        merged=True,
        dtype=answering,
    )


class GenerateEngine:
    """Tunewise's engine protocol over plain batched `generate`: left padding, sorted by length.

    Like Tunewise's journal it answers nothing twice, except while `serving`, for latencies.
    """

    name = "transformers"
    thinking_tokens = 0

    def __init__(self, folder: Path, stack: Stack) -> None:
        self._folder, self._stack = str(folder), stack
        self._tokenizer = AutoTokenizer.from_pretrained(self._folder, padding_side="left")
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        self._adapter: Path | None = None
        self._model = self._load()
        self._known: dict[Request, Generation | Failure] = {}
        self._prefix_caching = False
        self.context_tokens: int = self._model.config.max_position_embeddings

    def generate(self, requests: Sequence[Request]) -> list[Generation | Failure]:
        """One answer a request, in order."""
        if self._prefix_caching:
            return self._generate(requests)
        new = [request for request in requests if request not in self._known]
        self._known.update(zip(new, self._generate(new), strict=True))
        return [self._known[request] for request in requests]

    @property
    def asked(self) -> dict[str, int]:
        """Requests answered and their tokens, those for latencies left out."""
        usages = [g.usage for g in self._known.values() if isinstance(g, Generation)]
        total = sum(usages, Usage())
        return {
            "requests": len(self._known),
            "prompt_tokens": total.prompt_tokens,
            "completion_tokens": total.completion_tokens,
        }

    def _generate(self, requests: Sequence[Request]) -> list[Generation | Failure]:
        results: dict[int, Generation | Failure] = {}
        kinds: dict[tuple[Path | None, Sampling], list[int]] = {}
        lengths = [self.count_tokens(request.messages) for request in requests]
        for i, request in enumerate(requests):
            if lengths[i] + request.sampling.max_tokens > self.context_tokens:
                results[i] = Failure(message="longer than the context")
            else:
                kinds.setdefault((request.adapter, request.sampling), []).append(i)
        for (adapter, sampling), rows in kinds.items():
            if adapter != self._adapter:
                self._model, self._adapter = self._load(adapter), adapter
            rows.sort(key=lambda i: lengths[i])
            for start in range(0, len(rows), BATCH_ROWS):
                batch = rows[start : start + BATCH_ROWS]
                answers = self._batch([requests[i].messages for i in batch], sampling.max_tokens)
                results.update(zip(batch, answers, strict=True))
        return [results[i] for i in range(len(requests))]

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Prompt tokens of a conversation."""
        return len(self._encode([messages])["input_ids"][0])

    def count_answer_tokens(self, text: str) -> int:
        """Tokens of an answer without the end token."""
        return len(self._tokenizer.encode(text, add_special_tokens=False))

    @contextmanager
    def prefix_caching(self) -> Generator[None]:
        """Within it, every request is answered anew."""
        self._prefix_caching = True
        yield
        self._prefix_caching = False

    def close(self) -> None:
        """Frees the model."""
        self._model = None

    def _load(self, adapter: Path | None = None) -> Any:
        model = AutoModelForCausalLM.from_pretrained(self._folder, dtype=self._stack.dtype)
        if adapter is not None:
            model = PeftModel.from_pretrained(model, str(adapter))
            model = model.merge_and_unload() if self._stack.merged else model
        return model.eval()

    def _encode(self, conversations: Sequence[Sequence[Message]], **how: Any) -> Any:
        turns = [[{"role": m.role, "content": m.content} for m in one] for one in conversations]
        return self._tokenizer.apply_chat_template(
            turns, add_generation_prompt=True, return_dict=True, **how
        )

    def _batch(
        self, conversations: Sequence[Sequence[Message]], max_tokens: int
    ) -> list[Generation]:
        began = time.perf_counter()
        inputs = self._encode(conversations, padding=True, return_tensors="pt")
        out = self._model.generate(
            **inputs,
            max_new_tokens=max_tokens,
            do_sample=False,
            eos_token_id=self._tokenizer.eos_token_id,
            pad_token_id=self._tokenizer.pad_token_id,
        )
        new = out[:, inputs["input_ids"].shape[1] :].tolist()
        seconds = time.perf_counter() - began
        end = self._tokenizer.eos_token_id
        return [
            Generation(
                text=self._tokenizer.decode(row, skip_special_tokens=True),
                usage=Usage(
                    prompt_tokens=int(mask.sum()),
                    completion_tokens=row.index(end) if end in row else len(row),
                ),
                finish_reason="stop" if end in row else "length",
                seconds=seconds,
            )
            for row, mask in zip(new, inputs["attention_mask"], strict=True)
        ]
