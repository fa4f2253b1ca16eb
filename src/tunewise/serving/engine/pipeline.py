"""What a lane moves on: an open model, to which requests are added and from which they are read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from tunewise.serving.engine.wire import Choice

LEAST_LOGPROB = -9999.0
"""Nats at least; JSON knows no infinite ones."""
SEEDS = 2**32
"""Generators take seeds below it."""

Ranked = Sequence[tuple[int, float]]
"""Tokens that could stand in one place with their log-probabilities, most probable first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Generated:
    """What was generated for one request since it was read last."""

    tokens: Sequence[int] = ()
    logprobs: Sequence[float | None] = ()
    """Of each token, in nats; None: not told."""
    ranked: Sequence[Ranked] = ()
    """Of each token what else could stand there, where that was asked for; else nothing at all."""
    unseen: int = 0
    """Further tokens that were generated, of which neither id nor text is known."""
    cached: int = 0
    """Tokens of the prompt that were not computed for it; told once."""
    over: Literal["stop", "length"] | None = None
    """Why nothing follows, where the library decides that; None: it may go on."""
    fault: str | None = None
    """Why it cannot be answered; nothing follows."""


class Handle(Protocol):
    """A request within a pipeline."""

    def read(self) -> Generated:
        """What was generated since it was read last. Not after `cancel`."""
        ...

    def ignored(self) -> bool:
        """Whether the library will not answer it, since it finds no room."""
        ...

    def cancel(self) -> None:
        """Its room is free after the next step, or soon."""
        ...


class Pipeline(Protocol):
    """An open model. One thread calls all of it."""

    def add(self, prompt: Sequence[int], limit: int, choice: Choice, seed: int) -> Handle:
        """Takes a request in.

        Args:
            prompt: token ids.
            limit: tokens of the answer at most; with the prompt, within context and cache.
            choice: how tokens are chosen.
            seed: of this one answer.
        """
        ...

    def step(self) -> None:
        """Moves requests on by a token or by a part of their prompts, or waits a moment for that.

        Raises:
            Exception: of the library; the pipeline is of no use any more.
        """
        ...
