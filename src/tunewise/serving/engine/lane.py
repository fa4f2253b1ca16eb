"""One open model and the answers that it generates: who may join, and what each step gave.

An answer joins only where there is room, and one whose room was estimated is taken out, and in
again later, before there is none: what a library does without room is to throw one out, or to fail.

OpenVINO checks nothing and gets some things wrong; what is done about it where its cache is used:

- A request that is cancelled within its prompt leaves half-filled blocks that are kept for filled
  ones. So it is cancelled after its first token.
- Two prompts may write into one block: see `tails`.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from tunewise.models.engines.prefixes import BLOCK
from tunewise.serving.engine.answers import Shown, Writer
from tunewise.serving.engine.pipeline import Handle, Pipeline
from tunewise.serving.engine.tails import Tails, Way
from tunewise.serving.engine.wire import Choice

ESTIMATE = 256
"""Tokens for which an answer gets room at first, if it may be longer and can be taken out."""
MAX_RUNNING = 128
"""Answers generated at a time."""


@dataclass(kw_only=True, eq=False, slots=True)
class Slot:
    """One answer, from the queue to its end."""

    prompt: tuple[int, ...]
    choice: Choice
    seed: int
    limit: int
    """Tokens of the answer at most."""
    writer: Writer
    leader: "Slot | None" = None
    """Another answer to the same prompt, which has to begin before: then the prompt is cached."""
    cancelled: bool = False
    tokens: list[int] = field(default_factory=list[int])
    """All that was generated."""
    handle: Handle | None = None
    known: int = 0
    """Tokens that were there when it joined."""
    unseen: int = 0
    """Tokens that were generated beside, of which the library told neither id nor text."""
    cached: int | None = None
    """Tokens of its prompt that were not computed when it joined first; None: not known yet."""
    ways: list[Way] = field(default_factory=list[Way])

    @property
    def firm(self) -> bool:
        """Whether it cannot be taken out: what a seed or a grammar has come to would be lost."""
        return self.choice.grammar is not None or self.choice.temperature > 0

    @property
    def content(self) -> int:
        """Tokens of prompt and answer by now."""
        return len(self.prompt) + len(self.tokens)

    @property
    def most(self) -> int:
        """Tokens of prompt and answer in the end, at most."""
        return len(self.prompt) + self.limit

    @property
    def begun(self) -> bool:
        """Whether it gave a token since it joined: its prompt is computed."""
        return len(self.tokens) > self.known


@dataclass(frozen=True, kw_only=True, slots=True)
class News:
    """What a step gave for one answer."""

    slot: Slot
    shown: Shown
    fault: str | None = None
    """Why it cannot be answered; it has left."""


class Lane:
    """An open pipeline with its queue.

    Args:
        pipeline: that runs nothing yet.
        blocks: of its cache.
        estimate: see `ESTIMATE`.
        most: answers generated at a time.
        blocks_shared: whether the pipeline has a prefix cache of blocks, as OpenVINO's.

    Attributes:
        waiting: answers that have not joined, in order.
        running: those that have.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        blocks: int,
        *,
        estimate: int = ESTIMATE,
        most: int = MAX_RUNNING,
        blocks_shared: bool = True,
    ) -> None:
        self.waiting: deque[Slot] = deque()
        self.running: list[Slot] = []
        self._leaving: list[Slot] = []
        """Cancelled; the next step frees their room."""
        self._pipeline = pipeline
        self._blocks, self._estimate, self._most = blocks, estimate, most
        self._tails = Tails(blocks) if blocks_shared else None

    @property
    def busy(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.waiting or self.running or self._leaving)

    def holds(self, slot: Slot) -> bool:
        """Whether an answer still has a place here."""
        return slot in self.waiting or slot in self.running or slot in self._leaving

    def cancel(self, slot: Slot) -> None:
        """Nobody reads it any more."""
        slot.cancelled = True
        if slot in self.waiting:
            self.waiting.remove(slot)
        elif slot in self.running and (slot.begun or self._tails is None):
            self._drop(slot)

    def admit(self) -> list[Slot]:
        """Lets those join that can; gives those that join for the first time."""
        joined: list[Slot] = []
        for slot in list(self.waiting):
            if len(self.running) >= self._most or not self._has_room(slot):
                break
            prompt = (*slot.prompt, *slot.tokens)
            ways: list[Way] = []
            if self._tails is not None:
                leader = slot.leader
                if leader is not None and not leader.begun and self.holds(leader):
                    continue
                ways = self._tails.ways(prompt)
                if self._tails.clash(ways):
                    continue
            self.waiting.remove(slot)
            if not slot.tokens:
                joined.append(slot)
            self._join(slot, prompt, ways)
        return joined

    def step(self) -> list[News]:
        """Moves all on by a token, or by a part of their prompts."""
        if not self.running and not self._leaving:
            return []
        self._make_room()
        self._pipeline.step()
        for slot in self._leaving:  # The step may have computed the last token, or not.
            self._leave(slot, slot.tokens)
            self._leave_tail(slot, slot.tokens[:-1])
        self._leaving = []
        return [news for slot in list(self.running) if (news := self._read(slot))]

    def _read(self, slot: Slot) -> News | None:
        handle = _handle(slot)
        generated = handle.read()
        if generated.fault is not None:
            self.running.remove(slot)
            self._leave(slot, slot.tokens[:-1])
            shown = Shown(text="", logprobs=())
            return None if slot.cancelled else News(slot=slot, shown=shown, fault=generated.fault)
        if not (generated.tokens or generated.over):
            if handle.ignored():
                raise RuntimeError("there was no room for a request that had its room")
            return None
        slot.tokens += generated.tokens
        slot.unseen += generated.unseen
        slot.cached = generated.cached if slot.cached is None else slot.cached
        shown = slot.writer.write(
            generated.tokens, generated.logprobs, generated.ranked, over=generated.over
        )
        ended = bool(slot.tokens) and slot.tokens[-1] in slot.writer.ends
        if generated.over or ended or len(slot.tokens) >= slot.limit:
            self.running.remove(slot)
            self._leave(slot, slot.tokens[:-1])
        elif slot.writer.finished or slot.cancelled:
            self._drop(slot)
        return None if slot.cancelled else News(slot=slot, shown=shown)

    def _join(self, slot: Slot, prompt: Sequence[int], ways: list[Way]) -> None:
        slot.ways, slot.known = ways, len(slot.tokens)
        if self._tails is not None:
            self._tails.take(ways)
        left = slot.limit - len(slot.tokens) - slot.unseen
        slot.handle = self._pipeline.add(prompt, left, slot.choice, slot.seed)
        self.running.append(slot)

    def _drop(self, slot: Slot) -> None:
        _handle(slot).cancel()
        self.running.remove(slot)
        self._leaving.append(slot)

    def _leave(self, slot: Slot, computed: Sequence[int]) -> None:
        if self._tails is not None:
            self._tails.give_back(slot.ways)
        slot.handle = None
        self._leave_tail(slot, computed)

    def _leave_tail(self, slot: Slot, computed: Sequence[int]) -> None:
        if self._tails is not None:
            self._tails.add((*slot.prompt, *computed))

    def _has_room(self, slot: Slot) -> bool:
        wanted = slot.most if slot.firm else min(slot.most, slot.content + self._estimate)
        taken = sum(_room(one, self._estimate) for one in (*self.running, *self._leaving))
        return taken + _in_blocks(wanted) <= self._blocks or not taken

    def _make_room(self) -> None:
        """Takes answers out, the last first, where a block more for each would be too many."""
        while len(self.running) > 1:
            taken = sum(_room(one, BLOCK) for one in (*self.running, *self._leaving))
            soft = [one for one in self.running if one.begun and not one.firm]
            if taken <= self._blocks or not soft:
                return
            slot = soft[-1]
            self._drop(slot)
            if not slot.cancelled:
                self.waiting.appendleft(slot)


def _room(slot: Slot, ahead: int) -> int:
    """Blocks that a running answer takes, or may soon."""
    return _in_blocks(slot.most if slot.firm else min(slot.most, slot.content + ahead))


def _in_blocks(tokens: int) -> int:
    return -(-tokens // BLOCK)


def _handle(slot: Slot) -> Handle:
    if slot.handle is None:
        raise RuntimeError("an answer runs that never joined")
    return slot.handle
