"""Turns the events of vllm's stream into pieces of answers."""

from collections.abc import Sequence
from dataclasses import replace

from tunewise.serving.backend.connection import failed
from tunewise.serving.backend.vllm import Chunk, ChunkChoice, UsageTold, copies_of, reason_of
from tunewise.serving.protocol import Decoding, Piece


class Reading:
    """One request while it is answered.

    Args:
        decoding: as it was asked for.
    """

    def __init__(self, decoding: Decoding) -> None:
        self._copies = copies_of(decoding)
        self._unfinished = set(range(decoding.n // self._copies))
        self._usage: UsageTold | None = None
        self._held: Piece | None = None
        """The last piece of all: it tells the usage, which comes after it."""

    @property
    def tells_cached(self) -> bool:
        """Whether it was told how many prompt tokens came from a cache."""
        return self._usage is not None and self._usage.tells_cached

    def pieces(self, chunk: Chunk) -> Sequence[Piece]:
        """What an event says.

        Raises:
            BackEndError: it is a failure, or no part of an answer.
        """
        if chunk.error is not None:
            raise failed(f"the back end fails within an answer: {chunk.error.message}")
        self._usage = chunk.usage or self._usage
        return [piece for choice in chunk.choices for piece in self._said(choice)]

    def last(self) -> Piece:
        """The piece that ends it, with the usage.

        Raises:
            BackEndError: it has not come to its end.
        """
        if self._held is None or self._usage is None:
            raise failed("the back end ended before the answer did")
        return replace(self._held, usage=self._usage.as_usage(self._copies))

    def _said(self, choice: ChunkChoice) -> Sequence[Piece]:
        if choice.index not in self._unfinished:
            raise failed(f"the back end goes on with answer {choice.index}, which is over or none")
        reason = None if choice.finish_reason is None else reason_of(choice.finish_reason)
        if choice.finish_reason is not None and reason is None:
            raise failed(f"the back end ended an answer by {choice.finish_reason!r}")
        text, tokens = choice.delta.content or "", choice.tokens
        if not (text or tokens or reason):
            return []
        first = choice.index * self._copies
        pieces = [
            Piece(index=index, text=text, logprobs=tokens, finish_reason=reason)
            for index in range(first, first + self._copies)
        ]
        if reason is not None:
            self._unfinished.discard(choice.index)
            if not self._unfinished:
                self._held = pieces.pop()
        return pieces
