"""model.json: what a model that was made of a run is, and how good it was, as frozen records.

A record's fields are the file's keys, in the file's order. It names nothing in the project that it
came from: the folder that it lies in holds the rest.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from pydantic import TypeAdapter

from tunewise.project.contenders import BUILT_IN, EMBEDDING_TUNED
from tunewise.runs.retention import RetentionResult
from tunewise.runs.schema import ContenderResult, Json
from tunewise.types import Finding, JsonValue, Kind, Message

MODEL_FILE = "model.json"

Way: TypeAlias = Literal[
    "constant",
    "zero_shot",
    "prompt",
    "few_shot",
    "classifier",
    "rag",
    "internalised",
    "fine_tune",
    "fine_tune_cpt",
    "fine_tune_dpo",
    "fine_tune_rag",
    "fine_tune_embedding",
]
"""What a model does with an input: the contender's name in `[contenders] use`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseUsed:
    """The language model that is asked."""

    name: str
    """As `open_model` takes it: a catalog name, a hub id, an absolute path."""
    sha256: str | None = None
    """Names exactly these weights and this tokenizer; None where the run did not write it."""
    licence: str | None = None
    """As the hub names licences: `apache-2.0`; None where it is not known here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EndpointUsed:
    """A model behind an OpenAI-compatible API that is asked instead."""

    name: str
    """Of the project's `[contenders.NAME]`."""
    model: str
    base_url: str
    api_key_env: str | None = None
    """Environment variable with the key; None: it was not written down."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskJudged:
    """The task that the contender was chosen for."""

    kind: Kind | None = None
    labels: tuple[str, ...] | None = None
    metric: str | None = None
    instruction: str = ""
    """What the person would tell a model; a trained one is not told it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where it comes from."""

    project: str
    """Name of the project's folder."""
    run: str
    """Name of the run's folder."""
    token: str
    """What names the run for good, wherever its folder lies."""
    data: str | None = None
    """Fingerprint of the run's rows and their sides; None where nothing was split."""
    tunewise: str = ""
    """The version that made it a model."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """What the run's verdict said."""

    outcome: str
    recommended: str | None
    finding: Finding
    reason: str
    metric: str
    n_test: int
    first_opinion: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFile:
    """model.json. Further files of its folder:

    - `examples.jsonl`: rows of train, an `ExampleRow` a line, in the order that decides ties. For
      `few_shot`, either all that are searched for the nearest, or the fixed ones that are shown;
      for `classifier`, all that it is fitted on.
    - `passages.jsonl`: the pieces of documents that are searched, a `PassageRow` a line.
    - `index.npy`: the vectors of these rows or pieces, in their order, where meaning finds them.
    - `adapter/`: in PEFT format, or a whole model, where it was trained; an embedding model is one
      in the layout of sentence-transformers.
    - `README.md`: the card.
    """

    schema: Literal[1] = 1
    contender: str
    """Its name in the run: `few_shot@gemma3-270m`."""
    kind: Way
    base: BaseUsed | None = None
    """None: it asks no language model, or an endpoint."""
    endpoint: EndpointUsed | None = None
    instruction: str = ""
    """What the model is told by `zero_shot`, `few_shot` and `rag`; empty for one that learned
    it. A `prompt` has its words in `settings`."""
    settings: Json = field(default_factory=dict[str, JsonValue])
    """What its fit chose: wording, k, chunk size, C, the constant answer."""
    teacher: Json = field(default_factory=dict[str, JsonValue])
    """Of `internalised`: what the contender chose whose answers it learned."""
    max_tokens: int | None = None
    """Of an answer, thoughts included; steps that a wording asks for come on top. None: there is
    no limit but the context."""
    seed: int | None = None
    """Which replica ships, where it was trained."""
    thinking: bool = False
    """Whether the model is asked to think first."""
    embedder: str | None = None
    """What finds examples or passages by meaning, or what the classifier reads; None: nothing
    does, and words find them."""
    conversations: bool = False
    """Whether rows of the run hold more than one user turn."""
    task: TaskJudged = TaskJudged()
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    """Each of these files but the card, as a path with forward slashes -> sha256 (hex)."""
    origin: Origin
    measured: ContenderResult | None = None
    """On the run's test rows, without what its fit tried; None: it was never judged there."""
    retention: RetentionResult | None = None
    """Of general ability; None where nothing was trained, or it was not measured."""
    verdict: Said | None = None

    def __post_init__(self) -> None:
        """Raises ValueError where a setting is missing without which nobody can be asked."""
        if self.kind == "constant" and not isinstance(self.settings.get("answer"), str):
            raise ValueError("settings: a constant has an `answer`")
        if self.asks_model and self.base is None and self.endpoint is None:
            raise ValueError(f"{self.kind} has neither `base` nor `endpoint`")

    @property
    def asks_model(self) -> bool:
        """Whether a language model answers."""
        return BUILT_IN[self.kind].runs_on_base

    @property
    def embeds(self) -> bool:
        """Whether it turns texts into vectors, and answers nothing."""
        return self.kind == EMBEDDING_TUNED

    @property
    def trained(self) -> bool:
        """Whether weights were trained."""
        return BUILT_IN[self.kind].trained

    @property
    def searches_passages(self) -> bool:
        """Whether passages of documents are put before the model."""
        return "chunk_words" in self.settings


@dataclass(frozen=True, kw_only=True, slots=True)
class ExampleRow:
    """A line of examples.jsonl: what of an `Example` is shown or learned from."""

    id: str
    messages: tuple[Message, ...]
    target: str
    tools: tuple[Json, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class PassageRow:
    """A line of passages.jsonl: a `Passage`."""

    id: str
    document: str
    heading: str
    text: str


MODEL = TypeAdapter(ModelFile)
EXAMPLE_ROW = TypeAdapter(ExampleRow)
PASSAGE_ROW = TypeAdapter(PassageRow)
