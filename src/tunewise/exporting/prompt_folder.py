"""Opens an exported prompt that is made anew for every input: how it asks, and whom."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tunewise.contenders.answering import PromptStrategy
from tunewise.exporting.asking import strategy_of_bundle
from tunewise.exporting.bundle import read_bundle
from tunewise.models.engines.openai import api_turns
from tunewise.retrieval.embed import Embedder, load_embedder
from tunewise.types import Input, Message, ToolCall

PROMPT_FILE = "prompt.json"

Turns = Sequence[Mapping[str, Any]]
"""A conversation as OpenAI's API has it."""


@dataclass(frozen=True, kw_only=True)
class OpenedPrompt:
    """What a folder asks, and whom."""

    contender: str
    model: str
    base_url: str
    key_variable: str
    """Environment variable with the key."""
    limit: str
    """Name of the parameter that bounds the answer."""
    tokens: int
    """The bound."""
    strategy: PromptStrategy

    def messages(self, turns: Turns) -> list[Any]:
        """What the model is sent for a conversation."""
        given = Input(id="", messages=tuple(_message(turn) for turn in turns))
        (prompt,) = self.strategy.prompts([given])
        return list(api_turns(prompt.messages))

    def read(self, text: str) -> str:
        """The answer within the model's text."""
        return self.strategy.read(text)


def open_prompt(folder: Path, *, load: Callable[[], Embedder] = load_embedder) -> OpenedPrompt:
    """What `write_prompt` wrote: a model's folder, with prompt.json, which says whom to ask.

    Args:
        folder: of the export.
        load: opens the sentence model, where it searches by meaning.

    Raises:
        UserError: its files are damaged, or the sentence model is not here.
    """
    about = cast("dict[str, Any]", json.loads((folder / PROMPT_FILE).read_text("utf-8")))
    return OpenedPrompt(**about, strategy=strategy_of_bundle(read_bundle(folder), load=load))


def _message(turn: Mapping[str, Any]) -> Message:
    calls = tuple(
        ToolCall(
            name=call["function"]["name"], arguments=call["function"]["arguments"], id=call["id"]
        )
        for call in turn.get("tool_calls") or ()
    )
    return Message(
        role=turn["role"],
        content=turn.get("content") or "",
        tool_calls=calls,
        tool_call_id=turn.get("tool_call_id"),
    )
