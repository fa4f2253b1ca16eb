"""Which beginnings the prompts of one batch share, and what a prefix cache holds of them.

Token ids in, groups and counts out. It follows the rules of OpenVINO GenAI's prefix cache, which
reports no hits: what a sequence computed is found again, in blocks of `BLOCK` tokens, by requests
that are added after it; requests that are added together find nothing of each other.
"""

from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

BLOCK = 32
"""Tokens of a block of the cache (OpenVINO's on a CPU)."""
WORTH_BLOCKS = 2
"""A beginning is computed for itself where that saves this many blocks."""

Tokens = Sequence[int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Beginning:
    """Whole blocks that several prompts of a batch begin with."""

    tokens: tuple[int, ...]
    level: int
    """Shared beginnings that it has itself: those of a lower level are computed before it."""
    first: int
    """Place of the first prompt that has it."""


def shared_beginnings(prompts: Sequence[Tokens]) -> list[Beginning]:
    """The beginnings to compute before a batch, by level; empty where that would save little.

    They are the inner nodes of the prompts' tree of blocks. The last token of a prompt belongs to
    none: it has to be computed for its answer.
    """
    paths = [prefix_hashes(prompt)[BLOCK : len(prompt) : BLOCK] for prompt in prompts]
    having = Counter(node for path in paths for node in path)
    found: dict[int, Beginning] = {}
    for place, path in enumerate(paths):
        depth = level = 0  # of the deepest beginning so far on the way down
        for blocks, node in enumerate(path, start=1):
            count = having[node]
            follower = having[path[blocks]] if blocks < len(path) else 0
            saved = (count - 1) * (blocks - depth)
            if follower == count or saved < WORTH_BLOCKS:
                continue  # the longer one serves the same prompts, or too little is shared
            tokens = tuple(prompts[place][: blocks * BLOCK])
            found.setdefault(node, Beginning(tokens=tokens, level=level, first=place))
            depth, level = blocks, level + 1
    return sorted(found.values(), key=lambda one: one.level)


def prefix_hashes(tokens: Tokens) -> list[int]:
    """(len + 1,) one hash for each beginning of a prompt, that of no token included."""
    return list(accumulate(tokens, lambda before, token: hash((before, token)), initial=0))


class CachedBlocks:
    """What the prefix cache of one pipeline holds, blocks used longest ago forgotten first.

    Args:
        room: blocks that fit the cache.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._blocks: OrderedDict[int, None] = OrderedDict()
        self._tails: set[int] = set()

    def hit(self, prompt: Tokens) -> int:
        """Tokens of a prompt that are in the cache, the last one excepted."""
        hashes = prefix_hashes(prompt)
        found = 0
        for end in range(BLOCK, len(prompt) + BLOCK, BLOCK):
            if hashes[min(end, len(prompt))] not in self._blocks:
                break
            self._blocks.move_to_end(hashes[min(end, len(prompt))])
            found = end
        partly = range(found + 1, min(found + BLOCK, len(prompt) + 1))
        tail = next((end for end in partly if hashes[end] in self._blocks), found)
        return max(0, min(tail, len(prompt) - 1))

    def add(self, computed: Tokens) -> None:
        """Notes what a finished sequence leaves behind: its blocks, the last one partly filled."""
        hashes = prefix_hashes(computed)
        ends = [*range(BLOCK, len(computed), BLOCK), len(computed)]
        for end in ends:
            self._blocks[hashes[end]] = None
            self._blocks.move_to_end(hashes[end])
        if len(computed) % BLOCK:
            self._tails.add(hashes[-1])
        while len(self._blocks) > self._room:
            self._blocks.popitem(last=False)

    def tears(self, prompts: Sequence[Tokens]) -> bool:
        """Whether two prompts would go on in one partly filled block, each in its own way.

        OpenVINO lets both write into it, and both answers are wrong.
        """
        ways: dict[int, tuple[int, ...]] = {}
        for prompt in prompts:
            for end, node in enumerate(prefix_hashes(prompt)):
                if node not in self._tails:
                    continue
                start = end - end % BLOCK
                way = tuple(prompt[start : start + BLOCK])
                if ways.setdefault(node, way) != way:
                    return True
        return False
