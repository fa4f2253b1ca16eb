"""Model FLOPs utilisation: the share of the machine's matrix-multiply peak that a training uses.

After Chowdhery et al. 2022 (arXiv:2204.02311, appendix B), but against the peak measured on this
machine. Only necessary operations count: what a gradient needs at least, shared prefixes once.
"""

import functools
import statistics
import time
from collections.abc import Sequence
from typing import Any

import torch

from tunewise.training.attention import plain_model
from tunewise.training.hardware import Precision
from tunewise.training.packing import Batch

LONG_ENOUGH = 0.1
"""Seconds that a matrix product takes at least, from which the peak is told."""


class Utilisation:
    """Counts the floating-point operations of one model's steps, and sets them against the peak.

    Args:
        model: as it is trained.
        device: that it runs on.
        precision: of its matrix products.
    """

    def __init__(self, model: Any, *, device: str, precision: Precision) -> None:
        plain = plain_model(model)
        head, table = plain.get_output_embeddings().weight, plain.get_input_embeddings().weight
        # The table is looked up, and the head is multiplied for answers alone.
        inside = [w for w in plain.get_decoder().parameters() if w is not table]
        trained = sum(w.numel() for w in inside if w.requires_grad)
        frozen = sum(w.numel() for w in inside if w.ndim == 2 and not w.requires_grad)
        config = plain.config.get_text_config()
        width = getattr(config, "head_dim", None) or (
            config.hidden_size // config.num_attention_heads
        )
        # Two operations a weight and token: forward, for the input's gradient, for the weight's.
        self._a_token = 4.0 * frozen + 6.0 * trained
        self._a_loss = (6.0 if head.requires_grad else 4.0) * head.numel()
        self._a_pair = 12.0 * config.num_hidden_layers * config.num_attention_heads * width
        self._device, self._precision = device, precision

    def operations(self, batches: Sequence[Batch]) -> float:
        """Floating-point operations that a step needs, forward and backward."""
        total = 0.0
        for batch in batches:
            seen = batch.positions.double() + 1  # tokens that each token sees
            total += (
                self._a_token * len(batch.token_ids)
                + self._a_loss * len(batch.loss_at)
                + self._a_pair * float(seen.sum())
            )
        return total

    def share_of_peak(self, batches: Sequence[Batch], seconds: float) -> float:
        """The batches' operations, as a share of what the machine multiplies in so many seconds.

        Args:
            batches: of a step.
            seconds: that the step took, summed over processes.
        """
        return self.operations(batches) / seconds / multiply_peak(self._device, self._precision)


@functools.cache
def multiply_peak(device: str, precision: Precision) -> float:
    """Operations a second in large matrix products, measured here: the median of several.

    Products grow until one takes long enough: processors without bfloat16 need minutes for a large
    one in that precision.
    """
    largest = 2048 if device == "cpu" else 8192
    size = 256
    while size < largest and _product(size, device, precision) < LONG_ENOUGH:
        size *= 2
    _product(size, device, precision)
    return 2.0 * size**3 / statistics.median(_product(size, device, precision) for _ in range(5))


def _product(size: int, device: str, precision: Precision) -> float:
    """Seconds of one product of square matrices."""
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    left = torch.ones(size, size, dtype=dtype, device=device)
    began = time.perf_counter()
    result = left @ left
    float(result[0, 0])  # waits for a GPU
    return time.perf_counter() - began
