"""Opens weights in full precision, and says how likely they find answers.

Full precision on any device: a copy is compared to the last digits.
"""

import gc
from collections.abc import Generator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch

from tunewise.chat.tokenize import Span, TokenisedExample
from tunewise.models.adapters import attach_adapter, is_whole_model
from tunewise.models.catalog import LocalModel
from tunewise.models.loading import load_model
from tunewise.training.distributed import default_device
from tunewise.training.hardware import give_back_memory
from tunewise.training.reference import row_log_probabilities
from tunewise.training.rows import single_rows

MICRO_TOKENS = 1024
"""Tokens that go through the model at once."""


class Continued(NamedTuple):
    """A prompt and what was said after it, as token ids; both of at least one."""

    prompt: Sequence[int]
    answer: Sequence[int]


@contextmanager
def opened_weights(base: LocalModel, adapter: Path | None) -> Generator[Any]:
    """The base, with what was trained from it, in float32; its memory is freed at the end.

    Raises:
        UserError: the adapter does not belong to the base.
    """
    model: Any = load_model(adapter if adapter and is_whole_model(adapter) else base.folder)
    if adapter and not is_whole_model(adapter):
        model = attach_adapter(model, adapter, base, name="default")
    model = model.to(default_device()).eval()
    try:
        yield model
    finally:
        del model
        gc.collect()
        give_back_memory()


def mean_log_probabilities(model: Any, texts: Sequence[Continued]) -> list[float]:
    """(texts,) log-probability of each answer behind its prompt, nats a token."""
    sequences = [
        TokenisedExample(
            token_ids=(*one.prompt, *one.answer),
            answers=(Span(len(one.prompt), len(one.prompt) + len(one.answer)),),
        )
        for one in texts
    ]
    rows = single_rows([str(number) for number in range(len(texts))], sequences)
    sums = row_log_probabilities(
        model, rows, micro_tokens=MICRO_TOKENS, share=False, autocast=nullcontext
    )
    return [total / len(one.answer) for (total,), one in zip(sums, texts, strict=True)]


def stops_by_itself(model: Any, prompt: Sequence[int], token: int) -> bool:
    """Whether `generate`, told nothing of how answers end, goes no further behind a token.

    Args:
        model: a transformers model with the generation config that lies beside it.
        prompt: token ids.
        token: is made all but certain.
    """
    ids = torch.tensor([list(prompt)], device=next(model.parameters()).device)  # (1, tokens)
    written = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=3,
        do_sample=False,
        pad_token_id=token,
        sequence_bias=[[[token], 1e4]],
    )
    return cast("list[int]", written[0, len(prompt) :].tolist()) == [token]
