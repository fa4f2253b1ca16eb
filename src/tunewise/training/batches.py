"""Turns tokenised examples into padded batches of few stable shapes, with the loss mask.

Rows of similar length share a batch, lengths are rounded up, and every step costs about the same
number of tokens: memory that grows and shrinks from step to step costs more than arithmetic.
Knows nothing of models.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from tunewise.data.chat import TokenisedExample

LENGTH_STEP = 16
"""Batch lengths are multiples of this."""
MICRO_TOKENS = 512
"""Tokens, padding included, that go through the model at once; a longer row goes alone."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Rows for one optimiser step."""

    token_ids: torch.Tensor
    """(rows, tokens) int64, padded on the right."""
    attention: torch.Tensor
    """(rows, tokens) int64: 1 on tokens, 0 on padding."""
    loss: torch.Tensor
    """(rows, tokens) bool: True where the NEXT token is part of an answer to be learnt."""
    tokens: int
    """Tokens without padding."""

    def to(self, device: str) -> "Batch":
        """The same batch on another device."""
        return replace(
            self,
            token_ids=self.token_ids.to(device),
            attention=self.attention.to(device),
            loss=self.loss.to(device),
        )


def order(
    lengths: Sequence[int], *, batch_tokens: int, rng: np.random.Generator
) -> list[list[int]]:
    """Row indices of each step of one epoch: every row once, in an order that `rng` decides.

    Args:
        lengths: tokens of each row.
        batch_tokens: rows of a step times its padded length stay within this, but for single rows
            that are longer alone.
        rng: shuffles rows of equal length, and the order of the steps.
    """
    noise = rng.random(len(lengths))
    ranked = sorted(range(len(lengths)), key=lambda i: (_rounded(lengths[i]), noise[i]))
    steps: list[list[int]] = []
    for row in reversed(ranked):  # longest first, so that the first row sets the padded length
        if steps and (len(steps[-1]) + 1) * _rounded(lengths[steps[-1][0]]) <= batch_tokens:
            steps[-1].append(row)
        else:
            steps.append([row])
    return [steps[i] for i in rng.permutation(len(steps))]


def collate(rows: Sequence[TokenisedExample], *, pad: int) -> Batch:
    """Pads rows to one tensor."""
    longest = max(_rounded(len(row.token_ids)) for row in rows)
    token_ids = torch.full((len(rows), longest), pad)
    attention = torch.zeros_like(token_ids)
    loss = torch.zeros_like(token_ids, dtype=torch.bool)
    for i, row in enumerate(rows):
        n = len(row.token_ids)
        token_ids[i, :n] = torch.tensor(row.token_ids)
        attention[i, :n] = 1
        for start, stop in row.answers:
            loss[i, start - 1 : stop - 1] = True
    tokens = sum(len(row.token_ids) for row in rows)
    return Batch(token_ids=token_ids, attention=attention, loss=loss, tokens=tokens)


def batches(
    rows: Sequence[TokenisedExample], *, batch_tokens: int, pad: int, rng: np.random.Generator
) -> Iterator[list[Batch]]:
    """One epoch: for each optimiser step its micro-batches, of at most `MICRO_TOKENS` each.

    Their gradients add up to the step's: memory goes by the micro-batch, learning by the step.
    """
    lengths = [len(row.token_ids) for row in rows]
    for step in order(lengths, batch_tokens=batch_tokens, rng=rng):
        in_memory = max(1, MICRO_TOKENS // _rounded(lengths[step[0]]))  # step[0] is the longest
        yield [
            collate([rows[i] for i in step[start : start + in_memory]], pad=pad)
            for start in range(0, len(step), in_memory)
        ]


def _rounded(length: int) -> int:
    return -(-length // LENGTH_STEP) * LENGTH_STEP
