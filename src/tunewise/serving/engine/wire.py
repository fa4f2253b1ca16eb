"""What the server and the engine's process say to each other: one JSON object a line.

Nothing is pickled, and what does not read as one of these messages is an error.
"""

from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, TypeAdapter

from tunewise.serving.protocol import Piece, Weights
from tunewise.types import Message

LINE_LIMIT = 256 * 2**20
"""Bytes of one message at most: far more than the HTTP side takes in."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """How tokens are chosen: `Decoding` after it was checked, its schema become a grammar."""

    max_tokens: int | None
    temperature: float
    top_p: float
    seed: int
    stop: tuple[str, ...]
    n: int
    logprobs: bool
    top_logprobs: int = 0
    grammar: str | None
    """EBNF as xgrammar reads it."""


GREEDY = Choice(
    max_tokens=1, temperature=0, top_p=1, seed=0, stop=(), n=1, logprobs=False, grammar=None
)
"""What a pipeline is asked once when it is opened."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """Server: answer this. `Refused`, or `Pieces` and an `Ended`, come back."""

    kind: Literal["ask"] = "ask"
    number: int
    """Names the request from here on."""
    weights: Weights
    messages: tuple[Message, ...]
    tools: str
    """A JSON list."""
    choice: Choice


@dataclass(frozen=True, kw_only=True, slots=True)
class Cancel:
    """Server: nobody waits for it any more. An `Ended` comes back once its slot is free."""

    kind: Literal["cancel"] = "cancel"
    number: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Warm:
    """Server: open these weights and ask them once. `Warmed` or `Refused` comes back."""

    kind: Literal["warm"] = "warm"
    number: int
    weights: Weights


@dataclass(frozen=True, kw_only=True, slots=True)
class Up:
    """Engine: it runs and listens."""

    kind: Literal["up"] = "up"


@dataclass(frozen=True, kw_only=True, slots=True)
class Started:
    """Engine: a request has left the queue."""

    kind: Literal["started"] = "started"
    number: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Pieces:
    """Engine: what one step gave, for all requests."""

    kind: Literal["pieces"] = "pieces"
    pieces: tuple[tuple[int, Piece], ...]
    """Number of the request, and a part of one of its answers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """Engine: a request holds nothing any more."""

    kind: Literal["ended"] = "ended"
    number: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """Engine: see `RefusedError`. The request holds nothing."""

    kind: Literal["refused"] = "refused"
    number: int
    message: str
    param: str | None
    code: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Warmed:
    """Engine: the weights of a `Warm` are open."""

    kind: Literal["warmed"] = "warmed"
    number: int
    folder: str
    """Of the prepared base, which holds its tokenizer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """Engine: what is open now, used longest ago first."""

    kind: Literal["loaded"] = "loaded"
    weights: tuple[Weights, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Broken:
    """Engine: it cannot go on, and ends itself."""

    kind: Literal["broken"] = "broken"
    why: str


ToEngine: TypeAlias = Ask | Cancel | Warm
FromEngine: TypeAlias = Up | Started | Pieces | Ended | Refused | Warmed | Loaded | Broken
TO_ENGINE: TypeAdapter[ToEngine] = TypeAdapter(Annotated[ToEngine, Field(discriminator="kind")])
FROM_ENGINE: TypeAdapter[FromEngine] = TypeAdapter(
    Annotated[FromEngine, Field(discriminator="kind")]
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Compile:
    """Server to the process that makes grammars: `Compiled` comes back."""

    number: int
    folder: str
    """Of the prepared base."""
    schema: str
    """A JSON schema as text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Compiled:
    """The grammar of a schema, or why there is none. Exactly one of the two is set."""

    number: int
    grammar: str | None = None
    fault: str | None = None


COMPILE, COMPILED = TypeAdapter(Compile), TypeAdapter(Compiled)
