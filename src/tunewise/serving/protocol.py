"""What stands between the HTTP side and whatever answers: requests in, pieces of answers out.

The HTTP side knows no model library; the engine knows no wire format; a served model knows neither,
only how the contender that won asks.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from tunewise.retrieval.embed import Embedder
from tunewise.types import JsonValue, Message, Tool, Usage


@dataclass(frozen=True, kw_only=True, slots=True)
class Weights:
    """What runs: a base model, or that with an adapter."""

    base: str
    """Catalog name, hub id, folder or GGUF file."""
    adapter: Path | None = None
    """Folder of a PEFT adapter trained for that base."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decoding:
    """How tokens are chosen, and when to stop."""

    max_tokens: int | None = None
    """None: what the context leaves."""
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    n: int = 1
    """Answers to one prompt."""
    logprobs: bool = False
    top_logprobs: int = 0
    json_schema: Mapping[str, JsonValue] | None = None
    """What the answer has to match, enforced while decoding."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatRequest:
    """One conversation to answer."""

    weights: Weights
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    decoding: Decoding = field(default_factory=Decoding)


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenLogprob:
    """A token as text, with its log-probability in nats."""

    text: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()
    """Others that could have stood there, most probable first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """The next part of one answer. Texts joined are the answer; nothing is taken back."""

    index: int = 0
    """Which of the n answers."""
    text: str = ""
    logprobs: tuple[TokenLogprob, ...] = ()
    finish_reason: Literal["stop", "length"] | None = None
    """On the last piece of an answer."""
    usage: Usage | None = None
    """Of all answers together, on the last piece of the last one."""


class RefusedError(Exception):
    """A request that cannot be answered as asked: a 400.

    Args:
        message: for people: what is wrong, and what to do.
        param: the field that is to blame.
        code: for programs.
    """

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code


class EngineLostError(Exception):
    """The engine died or failed while it answered; it is being started again."""


class BackEndError(EngineLostError):
    """An engine on another machine failed, or cannot be reached.

    Args:
        message: for clients; it names no address and no path.
        why: for whoever runs the server, and the log.
        status: 503: it may answer soon. 502: it answered, and not as it should.
        code: for programs.
        retry_after: seconds after which a client may ask again.
    """

    def __init__(
        self,
        message: str,
        *,
        why: str,
        status: Literal[502, 503],
        code: str,
        retry_after: int = 1,
    ) -> None:
        super().__init__(why)
        self.message = message
        self.status: Literal[502, 503] = status
        self.code = code
        self.retry_after = retry_after


class InUseError(Exception):
    """A model cannot be deleted while something needs it: a 409.

    Args:
        message: for people: what needs it, and what to do.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True, kw_only=True, slots=True)
class Capabilities:
    """What an engine can do; what it cannot is a `RefusedError` that names the field."""

    engine: str
    max_top_logprobs: int
    schema: bool
    tools: bool
    cached_tokens: bool
    """Whether it can say how many prompt tokens came from its cache."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineState:
    """What operations look at."""

    ready: bool
    """Whether models are loaded and the memory pool has been touched."""
    running: int
    waiting: int
    restarts: int
    loaded: tuple[Weights, ...]


class ChatEngine(Protocol):
    """Generates for many requests at once. All methods are called from one event loop."""

    capabilities: Capabilities

    async def start(self) -> None:
        """Opens what is served first; returns once it is warm."""
        ...

    def stream(self, request: ChatRequest) -> AsyncIterator[Piece]:
        """The answer, piece by piece. Closing the iterator frees the request's slot.

        Raises:
            RefusedError: before the first piece: what is asked cannot be done.
            EngineLostError: at any time.
        """
        ...

    async def warm(self, weights: Weights) -> None:
        """Loads weights and asks them once, so that the next request finds them ready.

        Raises:
            RefusedError: they cannot be opened.
        """
        ...

    def state(self) -> EngineState:
        """How it is doing."""
        ...

    async def close(self) -> None:
        """Ends the engine's process; running requests raise `EngineLostError`."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Passage:
    """A piece of a document that was given to the model."""

    source: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompted:
    """What the language model is to be asked for one input."""

    messages: tuple[Message, ...]
    max_tokens: int | None
    """Of the answer, as `decide` judged it; a request may ask for fewer or more. None: what the
    context leaves, as for a base model."""
    passages: tuple[Passage, ...] = ()
    read: Callable[[str], str] | None = None
    """The model's whole text -> the answer in it, of a wording that asks for steps first; None: the
    text is the answer, and can be passed on as it comes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """An answer that needed no language model."""

    text: str
    usage: Usage


class CountingEmbedder(Embedder, Protocol):
    """An embedder that tells what it reads of a text."""

    @property
    def max_tokens(self) -> int:
        """The longest text that it reads whole."""
        ...

    def count_tokens(self, text: str) -> int:
        """Tokens of a text, those at its ends counted."""
        ...


class ServedModel(Protocol):
    """A name that can be asked."""

    @property
    def name(self) -> str:
        """As it was asked for: `triage`, `triage@production`, `smollm2-135m-instruct`."""
        ...

    @property
    def resolved(self) -> str:
        """The immutable version behind it: `triage@3`."""
        ...

    @property
    def weights(self) -> Weights | None:
        """None: it asks no language model (classifier, constant)."""
        ...

    def prepare(self, messages: Sequence[Message]) -> Prompted | Answered:
        """Applies the contender's prompt, examples, passages or classifier. Blocks: call it in a
        thread.

        Raises:
            RefusedError: this contender cannot answer such a conversation.
        """
        ...

    def embedder(self) -> CountingEmbedder | None:
        """What turns texts into vectors; None: it answers instead. Blocks.

        Raises:
            RefusedError: it cannot be read.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelInfo:
    """One line of `GET /v1/models`."""

    id: str
    created: int
    """Unix seconds."""
    owned_by: str
    kind: Literal["base", "version", "alias", "embedding"]
    resolved: str | None = None
    """What an alias points to."""


class Catalogue(Protocol):
    """What is served: base models and what the registry holds, read anew when it changed."""

    def models(self) -> Sequence[ModelInfo]:
        """Everything that can be asked, by name."""
        ...

    def find(self, name: str) -> ServedModel | None:
        """None: there is no such model."""
        ...

    def remove(self, name: str) -> bool:
        """Deletes a version, or lets an alias mean nothing; False: there is no such model. Blocks.

        Raises:
            RefusedError: it is none that can be deleted, or means more than one.
            InUseError: an alias points to it, or a job needs it.
        """
        ...
