"""Turns tokenised examples into padded batches of few stable shapes, with the loss mask.

Rows of similar length share a batch, lengths are rounded up, and every step costs about the same
number of tokens: memory that grows and shrinks from step to step costs more than arithmetic. What
rows have in common at their beginning (the instruction, the system turn, the tools) stands in a
batch once. Knows nothing of models.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from tunewise.data.chat import TokenisedExample

LENGTH_STEP = 16
"""Batch lengths are multiples of this."""
MICRO_TOKENS = 512
"""Tokens behind the prefix, padding included, that go through the model at once; a longer row goes
alone."""
SHORTEST_PREFIX = 16
"""Tokens that rows have to share at their beginning for a prefix to be worth its extra pass."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Rows that go through the model at once."""

    prefix: torch.Tensor
    """(shared,) int64: the tokens with which all rows begin; may be none. They carry no loss."""
    token_ids: torch.Tensor
    """(rows, tokens) int64: what follows the prefix, padded on the right."""
    attention: torch.Tensor
    """(rows, tokens) int64: 1 on tokens, 0 on padding."""
    loss: torch.Tensor
    """(rows, tokens) bool: True where the NEXT token is part of an answer to be learnt."""
    tokens: int
    """Tokens of the rows, each with its prefix, without padding."""

    def to(self, device: str) -> "Batch":
        """The same batch on another device."""
        return replace(
            self,
            prefix=self.prefix.to(device),
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


def shared_prefixes(rows: Sequence[TokenisedExample]) -> list[int]:
    """(rows,) how many tokens each row has in common with the rows that begin like it.

    Rows with the same prefix of at least `SHORTEST_PREFIX` tokens before any loss are one family,
    and get the same number; 0 for a row that begins like no other.
    """
    order = sorted(range(len(rows)), key=lambda i: rows[i].token_ids)
    prefixes = [0] * len(rows)
    family: list[int] = []
    common = 0
    for row in order:
        own = rows[row].answers[0].start - 1  # the token before an answer predicts its first one
        with_it = min(common, own, _common(rows[family[0]], rows[row])) if family else own
        saved = common * (len(family) - 1)
        if family and with_it >= SHORTEST_PREFIX and with_it * len(family) >= saved:
            family.append(row)
            common = with_it
        else:
            _note_family(prefixes, family, common)
            family, common = [row], own
    _note_family(prefixes, family, common)
    return prefixes


def _note_family(prefixes: list[int], family: Sequence[int], common: int) -> None:
    if len(family) > 1:
        for row in family:
            prefixes[row] = common


def _common(one: TokenisedExample, other: TokenisedExample) -> int:
    """Tokens with which both begin."""
    pairs = zip(one.token_ids, other.token_ids, strict=False)
    return next(
        (n for n, (a, b) in enumerate(pairs) if a != b),
        min(len(one.token_ids), len(other.token_ids)),
    )


def collate(rows: Sequence[TokenisedExample], *, pad: int, prefix: int = 0) -> Batch:
    """Pads rows to one tensor.

    Args:
        rows: tokenised examples.
        pad: the token to pad with.
        prefix: tokens that all rows have in common at their beginning, none with loss.
    """
    longest = max(_rounded(len(row.token_ids) - prefix) for row in rows)
    token_ids = torch.full((len(rows), longest), pad)
    attention = torch.zeros_like(token_ids)
    loss = torch.zeros_like(token_ids, dtype=torch.bool)
    for i, row in enumerate(rows):
        n = len(row.token_ids) - prefix
        token_ids[i, :n] = torch.tensor(row.token_ids[prefix:])
        attention[i, :n] = 1
        for start, stop in row.answers:
            loss[i, start - 1 - prefix : stop - 1 - prefix] = True
    return Batch(
        prefix=torch.tensor(rows[0].token_ids[:prefix], dtype=torch.int64),
        token_ids=token_ids,
        attention=attention,
        loss=loss,
        tokens=sum(len(row.token_ids) for row in rows),
    )


def batches(
    rows: Sequence[TokenisedExample],
    *,
    batch_tokens: int,
    pad: int,
    rng: np.random.Generator,
    prefixes: Sequence[int] | None = None,
) -> Iterator[list[Batch]]:
    """One epoch: for each optimiser step its micro-batches, of at most `MICRO_TOKENS` each.

    Their gradients add up to the step's: memory goes by the micro-batch, learning by the step.

    Args:
        rows: tokenised examples.
        batch_tokens: of a step; prefixes count in every row.
        pad: the token to pad with.
        rng: decides which rows share a step, and the order of the steps.
        prefixes: from `shared_prefixes`; None: nothing is shared.
    """
    lengths = [len(row.token_ids) for row in rows]
    shared = prefixes or [0] * len(rows)
    for step in order(lengths, batch_tokens=batch_tokens, rng=rng):
        yield micro_batches([rows[i] for i in step], [shared[i] for i in step], pad=pad)


def micro_batches(
    rows: Sequence[TokenisedExample], prefixes: Sequence[int], *, pad: int
) -> list[Batch]:
    """The rows of one step in pieces that fit into memory, each of one family.

    Args:
        rows: the longest first.
        prefixes: of each row, from `shared_prefixes`.
        pad: the token to pad with.
    """
    families: dict[tuple[int, ...], list[TokenisedExample]] = {}
    for row, shared in zip(rows, prefixes, strict=True):
        families.setdefault(row.token_ids[:shared], []).append(row)
    made: list[Batch] = []
    for prefix, family in families.items():
        size = max(1, MICRO_TOKENS // _rounded(len(family[0].token_ids) - len(prefix)))
        for start in range(0, len(family), size):
            some = family[start : start + size]
            # Alone, a row would only pay for the second pass.
            made.append(collate(some, pad=pad, prefix=len(prefix) if len(some) > 1 else 0))
    return made


def _rounded(length: int) -> int:
    return -(-length // LENGTH_STEP) * LENGTH_STEP
