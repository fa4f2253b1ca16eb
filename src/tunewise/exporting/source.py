"""What is exported: weights, the way in which they are asked, and prompts to compare by."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import cast

from tunewise.chat.template import ChatTokenizer
from tunewise.contenders.answering import PromptStrategy
from tunewise.errors import UserError
from tunewise.exporting.bundle import Bundle
from tunewise.metrics.metric import Metric
from tunewise.models import loading
from tunewise.models.catalog import LocalModel
from tunewise.runs.registry import Version
from tunewise.types import Example, JsonValue, Message

COMPARED = 50
"""Prompts that source and artefact both answer."""
FIXED_TOKENS = 32
"""Tokens at most of an answer to a prompt without a target."""
_FIXED = "held_out.jsonl"


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldOut:
    """Prompts that nothing was learned from."""

    rows: tuple[Example, ...]
    of: str
    """Where they come from, for a person."""
    metric: Metric | None
    """Scores answers by the rows' targets; None: the rows have none."""


def fixed_set() -> HeldOut:
    """Prompts for a model of which no rows are known: several languages and scripts, with and
    without a system turn, one turn and several."""
    text = (files("tunewise.exporting") / _FIXED).read_text("utf-8")
    rows = [cast("list[dict[str, str]]", json.loads(line)) for line in text.splitlines()]
    return HeldOut(
        rows=tuple(
            Example(
                id=f"fixed {number}",
                messages=tuple(Message(role=t["role"], content=t["content"]) for t in turns),
                target="",
            )
            for number, turns in enumerate(rows, 1)
        ),
        of="the fixed set of Tunewise",
        metric=None,
    )


@dataclass(frozen=True, kw_only=True)
class Source:
    """A model to export."""

    named: str
    """As the person named it."""
    contender: str
    """Its name among its like: `fine_tune`, `triage@3`, or that of its folder."""
    base: LocalModel | None
    """None: it asks no model on this machine, or its weights are not exported."""
    base_name: str | None
    """What it asks; None: it asks no language model."""
    adapter: Path | None
    """Folder of an adapter or of a whole model; None: the base as it is."""
    strategy: PromptStrategy | None
    """How it is asked; None: it asks no language model."""
    held_out: HeldOut
    margin: float
    """Quality, 0 to 1, that a copy may lose."""
    bundle: Bundle | None = None
    """The contender whole; None: it is an adapter alone, which is asked with the input."""
    card: Path | None = None
    """What describes it; None: nothing does."""
    version: Version | None = None
    """Of the registry; None: it was not named by that."""
    thinking_tokens: int = 0
    show_personal: bool = False
    """Whether answers are shown with the personal data in them."""

    @property
    def settings(self) -> Mapping[str, JsonValue]:
        """What the contender chose on dev."""
        return {} if self.bundle is None else self.bundle.model.settings

    @property
    def base_sha256(self) -> str | None:
        """Names the base's weights; None where they are not known."""
        if self.base is not None:
            return self.base.sha256
        used = None if self.bundle is None else self.bundle.model.base
        return None if used is None else used.sha256

    @property
    def looks_up(self) -> bool:
        """Whether its prompt holds examples or passages found for each input."""
        return bool({"k", "chunk_words"} & set(self.settings))

    @property
    def local(self) -> LocalModel:
        """The base model.

        Raises:
            UserError: it is not on this machine.
        """
        if self.base is None:
            raise UserError(
                f"{self.named}: runs behind an endpoint, so that there are no weights to export. "
                "Use --to prompt."
            )
        return self.base

    @cached_property
    def tokenizer(self) -> ChatTokenizer:
        """The base's, which renders prompts as they were rendered when it was chosen."""
        return loading.load_tokenizer(self.local.folder, thinking=self.thinking_tokens > 0)
