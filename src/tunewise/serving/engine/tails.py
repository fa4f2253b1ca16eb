"""Which prompts must not run beside each other, since OpenVINO's prefix cache would mix them up.

A finished answer leaves a block of the cache that is not filled. Prompts that go on from there find
it and write into it. Two that do so at a time, each in its own way, write over each other, and both
answers are wrong.
"""

from collections import Counter, OrderedDict
from collections.abc import Sequence
from typing import TypeAlias

from tunewise.models.engines.prefixes import BLOCK, prefix_hashes

Way: TypeAlias = tuple[int, tuple[int, ...]]
"""A block that is not filled, by the hash of all up to it, and the tokens that a prompt puts where
it lies."""


class Tails:
    """The blocks that answers left unfilled in the cache of one pipeline.

    Args:
        room: blocks of the cache. It forgets the one used longest ago, and so do we, later: a block
            can have been left unfilled by up to `BLOCK` answers in turn.
    """

    def __init__(self, room: int) -> None:
        self._room = room * BLOCK
        self._left: OrderedDict[int, None] = OrderedDict()
        self._taken: Counter[Way] = Counter()

    def ways(self, prompt: Sequence[int]) -> list[Way]:
        """The unfilled blocks that a prompt goes on from, and how."""
        found: list[Way] = []
        for end, node in enumerate(prefix_hashes(prompt)):
            if end % BLOCK and node in self._left:
                self._left.move_to_end(node)
                start = end - end % BLOCK
                found.append((node, tuple(prompt[start : start + BLOCK])))
        return found

    def clash(self, ways: Sequence[Way]) -> bool:
        """Whether a prompt that runs goes on from one of the blocks in another way."""
        nodes = dict(ways)
        return any(node in nodes and nodes[node] != way for node, way in self._taken)

    def take(self, ways: Sequence[Way]) -> None:
        """A prompt that goes so runs now."""
        self._taken.update(ways)

    def give_back(self, ways: Sequence[Way]) -> None:
        """It runs no more."""
        self._taken.subtract(ways)
        self._taken += Counter()  # drops those of which none is left

    def add(self, computed: Sequence[int]) -> None:
        """These tokens went through the model, and nothing follows: they lie in the cache."""
        if len(computed) % BLOCK:
            self._left[prefix_hashes(computed)[-1]] = None
        while len(self._left) > self._room:
            self._left.popitem(last=False)
