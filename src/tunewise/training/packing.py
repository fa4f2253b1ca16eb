"""Turns rows into steps, and steps into packed batches: one sequence of tokens without padding.

Every row sees itself alone. A prefix that rows share (the instruction, the system turn, the tools,
the prompt of two answers) stands in a batch once, and the rest of each row goes on from it. A batch
says which token sees which; `attention` computes it so.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch

from tunewise.chat.tokenize import TokenisedExample
from tunewise.training.rows import Row

MIN_PREFIX = 16
"""Tokens of a common prefix, at least, for it to be computed once."""
LENGTH_STEP = 16
"""Padded lengths inside attention are multiples of this: few shapes, steady memory."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Sequences of a batch that go through attention together, padded to one length."""

    queries: torch.Tensor
    """(rows, q) int64: where in the batch the tokens of each row stand; padding repeats one."""
    keys: torch.Tensor
    """(rows, k) int64: the same for what they may see: the shared prefix, then themselves."""
    mask: torch.Tensor | None
    """(rows, 1, q, k) bool: who sees whom; None: `keys` are `queries`, and each sees itself and
    those before it."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Sequences that go through the model at once, end to end."""

    token_ids: torch.Tensor
    """(tokens,) int64."""
    positions: torch.Tensor
    """(tokens,) int64: each token's place in its own sequence."""
    groups: tuple[Group, ...]
    places: torch.Tensor
    """(tokens,) int64: where each token stands among the queries of all groups, end to end."""
    loss_at: torch.Tensor
    """(losses,) int64: tokens whose NEXT token carries loss."""
    targets: torch.Tensor
    """(losses,) int64: that next token."""
    owners: torch.Tensor
    """(losses,) int64: the sequence each belongs to."""
    sequences: int
    """Sequences of all rows; those of a row stand side by side."""
    longest: int
    """Tokens of the longest sequence."""
    rows: tuple[Row, ...]

    @property
    def tokens(self) -> int:
        """Tokens of the rows, each with its own prefix."""
        return sum(row.tokens for row in self.rows)

    def to(self, device: str) -> "Batch":
        """The same batch on another device."""
        moved = {
            name: getattr(self, name).to(device)
            for name in ("token_ids", "positions", "places", "loss_at", "targets", "owners")
        }
        groups = tuple(
            Group(
                queries=group.queries.to(device),
                keys=group.keys.to(device),
                mask=None if group.mask is None else group.mask.to(device),
            )
            for group in self.groups
        )
        return replace(self, groups=groups, **moved)


def order(tokens: Sequence[int], *, batch_tokens: int, rng: np.random.Generator) -> list[list[int]]:
    """Row indices of each step of one epoch: every row once, in an order that `rng` decides.

    Args:
        tokens: of each row.
        batch_tokens: a step holds at most so many, or one row that has more alone.
        rng: shuffles the rows.
    """
    steps: list[list[int]] = []
    filled = 0
    for row in (int(i) for i in rng.permutation(len(tokens))):
        if steps and filled + tokens[row] <= batch_tokens:
            steps[-1].append(row)
            filled += tokens[row]
        else:
            steps.append([row])
            filled = tokens[row]
    return steps


def micro_batches(rows: Sequence[Row], *, micro_tokens: int, share: bool = True) -> list[Batch]:
    """The rows of one step in batches that fit into memory; their gradients add up to the step's.

    Rows that begin alike come together, long ones with long ones. Replayed rows stand apart: they
    are learnt in another way.

    Args:
        rows: of one step.
        micro_tokens: tokens of a batch at most, shared prefixes counted once, or one row alone.
        share: whether prefixes may be shared.
    """
    made: list[Batch] = []
    for replayed in (False, True):
        kind = sorted((r for r in rows if r.replayed == replayed), key=lambda r: -r.tokens)
        sequences = [sequence for row in kind for sequence in row.sequences]
        prefixes = iter(shared_prefixes(sequences) if share else [0] * len(sequences))
        begun = [[one.token_ids[: next(prefixes)] for one in row.sequences] for row in kind]
        filled, members = 0, list[Row]()
        held: set[tuple[int, ...]] = set()
        for i in sorted(range(len(kind)), key=lambda i: begun[i]):  # stable: longest stay first
            fresh = kind[i].tokens - sum(map(len, begun[i]))
            if members and filled + fresh + _tokens({*begun[i]} - held) > micro_tokens:
                made.append(pack(members, share=share))
                filled, members = 0, []
                held.clear()
            filled += fresh + _tokens({*begun[i]} - held)
            members.append(kind[i])
            held.update(begun[i])
        if members:
            made.append(pack(members, share=share))
    return made


def _tokens(prefixes: Iterable[tuple[int, ...]]) -> int:
    return sum(map(len, prefixes))


def shared_prefixes(sequences: Sequence[TokenisedExample]) -> list[int]:
    """(sequences,) how many tokens each has in common with those that begin like it.

    Sequences with the same prefix of at least `MIN_PREFIX` tokens before any loss are one family,
    and get the same number; 0 for one that shares none. Families are joined where the prefix of
    all, counted once, saves as many tokens as their own ones do.
    """
    ranked = sorted(range(len(sequences)), key=lambda i: sequences[i].token_ids)
    ordered = [sequences[i] for i in ranked]
    common = [_common(one, other) for one, other in pairwise(ordered)]
    found, saved = [0] * len(ranked), [0] * len(ranked)
    # Runs of neighbours: where the one that ends at a place begins, and the other way round.
    first_of, last_of = list(range(len(ranked))), list(range(len(ranked)))
    for at in sorted(range(len(common)), key=lambda n: -common[n]):
        if common[at] < MIN_PREFIX:
            break
        first, last = first_of[at], last_of[at + 1]
        together, apart = common[at] * (last - first), saved[first] + saved[at + 1]
        if together >= apart:
            found[first : last + 1] = [common[at]] * (last + 1 - first)
        first_of[last], last_of[first], saved[first] = first, last, max(together, apart)
    prefixes = [0] * len(sequences)
    for place, one in enumerate(ranked):
        prefixes[one] = found[place]
    return prefixes


def _common(one: TokenisedExample, other: TokenisedExample) -> int:
    """Tokens with which both begin, up to the one before that which predicts an answer's first."""
    limit = max(0, min(one.answers[0].start, other.answers[0].start) - 1)
    pairs = zip(one.token_ids[:limit], other.token_ids[:limit], strict=True)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), limit)


class _Segment(NamedTuple):
    """Tokens that stand side by side in a batch."""

    start: int
    length: int
    parent: "_Segment | None"
    """The shared prefix that it goes on from."""


def pack(rows: Sequence[Row], *, share: bool = True) -> Batch:
    """One batch of all sequences of the rows.

    Args:
        rows: at least one.
        share: whether common prefixes are computed once.
    """
    sequences = [sequence for row in rows for sequence in row.sequences]
    shared_tokens = shared_prefixes(sequences) if share else [0] * len(sequences)
    token_ids: list[int] = []
    positions: list[int] = []
    prefixes: dict[tuple[int, ...], _Segment] = {}
    rests: list[_Segment] = []
    loss_at: list[int] = []
    targets: list[int] = []
    owners: list[int] = []
    for owner, (sequence, shared) in enumerate(zip(sequences, shared_tokens, strict=True)):
        prefix = sequence.token_ids[:shared]
        if prefix and prefix not in prefixes:
            prefixes[prefix] = _Segment(len(token_ids), shared, None)
            token_ids += prefix
            positions += range(shared)
        start = len(token_ids)
        rest = sequence.token_ids[shared:]
        rests.append(_Segment(start, len(rest), prefixes.get(prefix)))
        token_ids += rest
        positions += range(shared, len(sequence.token_ids))
        for begin, end in sequence.answers:
            loss_at += range(start + begin - 1 - shared, start + end - 1 - shared)
            targets += sequence.token_ids[begin:end]
            owners += [owner] * (end - begin)
    roots = [*prefixes.values(), *(rest for rest in rests if rest.parent is None)]
    groups = [
        (alike, _group(alike))
        for some in (roots, [rest for rest in rests if rest.parent is not None])
        for alike in _of_similar_length(some)
    ]
    places = torch.empty(len(token_ids), dtype=torch.int64)
    done = 0
    for members, group in groups:
        width = group.queries.shape[1]
        for n, segment in enumerate(members):
            first = done + n * width
            places[segment.start : segment.start + segment.length] = torch.arange(
                first, first + segment.length
            )
        done += group.queries.numel()
    return Batch(
        token_ids=torch.tensor(token_ids),
        positions=torch.tensor(positions),
        groups=tuple(group for _, group in groups),
        places=places,
        loss_at=torch.tensor(loss_at),
        targets=torch.tensor(targets),
        owners=torch.tensor(owners),
        sequences=len(sequences),
        longest=max(len(sequence.token_ids) for sequence in sequences),
        rows=tuple(rows),
    )


def _of_similar_length(segments: Sequence[_Segment]) -> list[list[_Segment]]:
    """Segments that waste little on each other: the shortest is at least half as long."""
    alike: list[list[_Segment]] = []
    for segment in sorted(segments, key=lambda s: (-s.length, s.start)):
        if alike and 2 * _rounded(segment.length) >= _rounded(alike[-1][0].length):
            alike[-1].append(segment)
        else:
            alike.append([segment])
    return alike


def _group(members: Sequence[_Segment]) -> Group:
    """How the tokens of some segments see each other."""
    width = _rounded(max(segment.length for segment in members))
    queries = torch.stack([_places(segment, width) for segment in members])
    if all(segment.parent is None for segment in members):
        # Padding stands behind every token, where nobody looks.
        return Group(queries=queries, keys=queries, mask=None)
    parents = [segment.parent or _Segment(segment.start, 0, None) for segment in members]
    before = _rounded(max(parent.length for parent in parents))
    shown = torch.stack([_places(parent, before) for parent in parents])
    keys = torch.cat([shown, queries], dim=1)
    column = torch.arange(before + width)
    lengths = torch.tensor([parent.length for parent in parents])[:, None, None]
    row = torch.arange(width)[None, :, None]
    mask = torch.where(column < before, column < lengths, column - before <= row)  # (rows, q, k)
    return Group(queries=queries, keys=keys, mask=mask[:, None])


def _places(segment: _Segment, width: int) -> torch.Tensor:
    """(width,) where its tokens stand; the last one is repeated as padding."""
    last = max(0, segment.length - 1)
    return segment.start + torch.arange(width).clamp(max=last)


def _rounded(length: int) -> int:
    return -(-length // LENGTH_STEP) * LENGTH_STEP


def epoch_steps(
    rows: Sequence[Row],
    replay: Sequence[Row],
    *,
    batch_tokens: int,
    replay_share: float,
    rng: np.random.Generator,
) -> list[list[Row]]:
    """The rows of each step of one epoch, replayed ones behind the others.

    Args:
        rows: every one comes once.
        replay: general examples, taken in turn.
        batch_tokens: of a step, replay not counted.
        replay_share: replayed tokens of a step, as a share of its others.
        rng: decides the order of both.
    """
    taken = order([row.tokens for row in rows], batch_tokens=batch_tokens, rng=rng)
    steps = [[rows[i] for i in step] for step in taken]
    if not replay or replay_share == 0:
        return steps
    turn = [replay[int(i)] for i in rng.permutation(len(replay))]
    owed, n = 0.0, 0
    for step in steps:
        owed += replay_share * sum(row.tokens for row in step)
        while owed >= turn[n % len(turn)].tokens / 2:
            row = turn[n % len(turn)]
            step.append(replace(row, replayed=True))
            owed, n = owed - row.tokens, n + 1
    return steps
