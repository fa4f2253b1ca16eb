"""The batched protocol between contenders and whatever runs the language model."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tunewise.types import Failure, Generation, Message, Tool


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How tokens are chosen. The default is greedy and repeatable."""

    max_tokens: int = 256
    """Tokens generated at most."""
    temperature: float = 0.0
    """0 is greedy."""
    seed: int = 0
    """Seed of the sampler; used when temperature is above 0."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One conversation to answer."""

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    """What the answer may call."""
    adapter: Path | None = None
    """Folder of a PEFT adapter trained for the engine's base model; None: the base itself."""
    sampling: Sampling = field(default_factory=Sampling)


class Engine(Protocol):
    """Runs one base model, with or without adapters.

    A request whose prompt and answer do not fit the context window comes back as a `Failure`;
    nothing is ever cut in silence.
    """

    name: str
    """`openvino`, `transformers`, `openai` or `scripted`."""
    context_tokens: int
    """The context window: prompt and completion together."""
    thinking_tokens: int
    """Tokens that an answer may spend on thoughts before it; 0: the model is asked not to think."""

    def generate(self, requests: Sequence[Request]) -> list[Generation | Failure]:
        """Answers every request as one batch, in the order given."""
        ...

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Prompt tokens of the conversation as rendered for the model."""
        ...

    def count_answer_tokens(self, text: str) -> int:
        """Tokens of a text as the model would have to generate it, without the end token."""
        ...

    def prefix_caching(self) -> AbstractContextManager[None]:
        """Within it, requests run as they would be served, on caches that start empty.

        Whatever was asked before, a batch gets the same greedy answers but for rounding.
        """
        ...

    def unload(self) -> None:
        """Frees memory that the next request takes again: called before a training."""
        ...

    def close(self) -> None:
        """Frees the model's memory. The engine answers nothing afterwards."""
        ...
