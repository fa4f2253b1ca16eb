"""parity.json of an export: what was compared between the source and the artefact, and found.

It goes wherever the artefact goes, so it names rows by their ids and holds none of their words.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, TypeAdapter

from tunewise.runs.records import dump
from tunewise.storage import write_json

PARITY = "parity.json"
Form: TypeAlias = Literal["adapter", "merged", "gguf", "ollama", "prompt"]
"""What a model can be exported as."""
EXPORTS = "exports"
"""Where exports go that are given no place."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerDiffers:
    """A prompt that source and artefact answer in other words."""

    id: str
    source: float
    """Score of the source's answer, 0 to 1."""
    artefact: float
    """Score of the artefact's answer."""
    said: Annotated[tuple[str, str], Field(exclude=True)] = ("", "")
    """What the source says and what the artefact says; shown once, and not kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineParity:
    """The artefact through one engine, beside the source."""

    engine: str
    """`transformers`, `openvino`, `xllamacpp`, or `script` for a folder that holds a prompt."""
    left_out: str = ""
    """Why this engine was not asked; empty where it was."""
    rendered: int = 0
    """Prompts that the artefact rendered and tokenised itself."""
    tokenised: int = 0
    """Prompts of which it tokenised the text that the source's template wrote: those with tools."""
    prompts_differ: tuple[str, ...] = ()
    """Ids of the prompts whose tokens are not the source's."""
    ends: Mapping[str, bool] = field(default_factory=dict[str, bool])
    """Each token that ends an answer -> whether generation stops at it."""
    answered: int = 0
    """Prompts that both answered."""
    source: float | None = None
    """Quality of the source's answers, 0 to 1."""
    artefact: float | None = None
    """Quality of the artefact's."""
    answers_differ: tuple[AnswerDiffers, ...] = ()
    log_probability: float | None = None
    """The largest difference in the log-probability of a source's answer, nats a token; None
    where the engine tells none."""
    faults: tuple[str, ...] = ()
    """Why this is no copy of the source; empty where it is one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parity:
    """parity.json."""

    schema: int = 1
    model: str
    """As it was named."""
    to: str
    """What it was exported as: `gguf q8_0`."""
    base: str | None
    """The base model; None where none is part of it."""
    base_sha256: str | None
    prompts: int
    """Held-out prompts compared."""
    of: str
    """Where they come from."""
    too_long: int
    """Prompts left out, since they and their answer do not fit the context."""
    metric: str
    """By what answers are scored."""
    margin: float
    """Quality, 0 to 1, that the artefact may lose."""
    engines: tuple[EngineParity, ...]

    @property
    def faults(self) -> tuple[str, ...]:
        """Of all engines."""
        return tuple(fault for one in self.engines for fault in one.faults)


_PARITY = TypeAdapter(Parity)


def parity_document(parity: Parity) -> dict[str, Any]:
    """What parity.json holds."""
    return dump(_PARITY, parity)


def read_parity(document: Mapping[str, Any]) -> Parity:
    """The same the other way round.

    Raises:
        ValueError: it is none.
    """
    return _PARITY.validate_python(document)


def write_parity(folder: Path, parity: Parity) -> None:
    """Writes parity.json beside what was exported."""
    write_json(folder / PARITY, parity_document(parity))
