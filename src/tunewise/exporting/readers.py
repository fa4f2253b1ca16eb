"""Whatever opens an artefact: it renders a prompt, answers, and shows where it stops.

A reader takes everything from the artefact itself, so that what is missing in it shows.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, cast

import openvino_genai

from tunewise.chat.tokenize import ChatTokenizer
from tunewise.exporting.weights import opened_weights, stops_by_itself
from tunewise.models import loading
from tunewise.models.catalog import LocalModel
from tunewise.models.engines.openvino import OpenVinoEngine
from tunewise.models.engines.protocol import Request
from tunewise.models.engines.transformers import TransformersEngine
from tunewise.types import Failure, Generation, Message


@dataclass(frozen=True, kw_only=True, slots=True)
class Rendered:
    """A prompt as the source's tokenizer and template have it."""

    text: str
    ids: tuple[int, ...]
    turns: tuple[Message, ...] | None
    """The conversation that a template renders; None where it holds tools, which every library
    hands to a template in its own form."""


class Reader(Protocol):
    """An artefact, opened by one engine."""

    engine: str
    """Its name in parity.json."""

    def tokens(self, prompt: Rendered) -> tuple[int, ...]:
        """The artefact's own tokens of a prompt, through its own template where that has turns."""
        ...

    def stops(self, prompt: Rendered, ends: Sequence[int]) -> list[bool]:
        """Whether an answer ends at each of the tokens; empty where the artefact has no say."""
        ...

    def generate(self, requests: Sequence[Request]) -> list[Generation | Failure]:
        """Answers, as `Engine.generate`."""
        ...

    def weights(self) -> AbstractContextManager[Any] | None:
        """The model for `mean_log_probabilities`; None: the engine tells no probabilities of a
        given text."""
        ...


class TransformersReader:
    """A model folder, or an adapter on its base, opened by transformers (and PEFT).

    Args:
        model: the folder, as `catalog` would describe it.
        adapter: on it; None: none.
        thinking_tokens: see `Engine.thinking_tokens`.
    """

    def __init__(
        self, model: LocalModel, adapter: Path | None = None, *, thinking_tokens: int = 0
    ) -> None:
        self.engine = "transformers"
        self._model, self._adapter = model, adapter
        self._thinking_tokens = thinking_tokens
        self._tokenizer = loading.load_tokenizer(model.folder)

    def tokens(self, prompt: Rendered) -> tuple[int, ...]:
        """See `Reader.tokens`."""
        text = prompt.text
        if prompt.turns is not None:
            thinking = self._thinking_tokens > 0
            text = templated(self._tokenizer, prompt.turns, thinking=thinking)
        return tuple(self._tokenizer.encode(text, add_special_tokens=False))

    def stops(self, prompt: Rendered, ends: Sequence[int]) -> list[bool]:
        """See `Reader.stops`: by what the folder says of how generation ends; an adapter says
        nothing of that."""
        if self._adapter is not None:
            return []
        with self.weights() as model:
            return [stops_by_itself(model, prompt.ids, end) for end in ends]

    def generate(self, requests: Sequence[Request]) -> list[Generation | Failure]:
        """See `Reader.generate`."""
        engine = TransformersEngine(self._model, thinking_tokens=self._thinking_tokens)
        try:
            return engine.generate([replace(one, adapter=self._adapter) for one in requests])
        finally:
            engine.close()

    def weights(self) -> AbstractContextManager[Any]:
        """See `Reader.weights`."""
        return opened_weights(self._model, self._adapter)


class OpenVinoReader:
    """A GGUF file, or an adapter on a base that has one, opened by OpenVINO.

    Args:
        model: with the GGUF file; its folder holds the tokenizer that the file was made from.
        adapter: on it; None: none.
        thinking_tokens: see `Engine.thinking_tokens`.
    """

    def __init__(
        self, model: LocalModel, adapter: Path | None = None, *, thinking_tokens: int = 0
    ) -> None:
        self.engine = "openvino"
        self._model, self._adapter = model, adapter
        self._thinking_tokens = thinking_tokens
        self._tokenizer: Any = cast("Any", openvino_genai).Tokenizer(str(model.gguf))

    def tokens(self, prompt: Rendered) -> tuple[int, ...]:
        """See `Reader.tokens`."""
        text = prompt.text
        if prompt.turns is not None:
            text = self._tokenizer.apply_chat_template(
                plain_turns(prompt.turns),
                add_generation_prompt=True,
                extra_context={"enable_thinking": self._thinking_tokens > 0},
            )
        return tuple(self._encoded(text))

    def stops(self, prompt: Rendered, ends: Sequence[int]) -> list[bool]:
        """See `Reader.stops`: OpenVINO stops at the tokens that it is given, so that each has to
        be one token of the file."""
        tokenizer = loading.load_tokenizer(self._model.folder)
        return [self._encoded(str(tokenizer.decode([end]))) == [end] for end in ends]

    def generate(self, requests: Sequence[Request]) -> list[Generation | Failure]:
        """See `Reader.generate`."""
        engine = OpenVinoEngine(self._model, thinking_tokens=self._thinking_tokens)
        try:
            return engine.generate([replace(one, adapter=self._adapter) for one in requests])
        finally:
            engine.close()

    def weights(self) -> None:
        """See `Reader.weights`."""

    def _encoded(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, add_special_tokens=False).input_ids.data[0].tolist()


def plain_turns(turns: Sequence[Message]) -> list[dict[str, object]]:
    """A conversation without tools, as templates and APIs want it."""
    return [{"role": turn.role, "content": turn.content} for turn in turns]


def templated(tokenizer: ChatTokenizer, turns: Sequence[Message], *, thinking: bool) -> str:
    """The prompt by the tokenizer's own template, as its users call it."""
    render = cast("Any", tokenizer).apply_chat_template
    return str(
        render(
            plain_turns(turns),
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=thinking,
        )
    )
