"""Turns the words of a user into what the contender that won would ask, or answers itself.

The messages are exactly those that `decide` asked for the same input: the whole conversation is the
input, as a row of several turns is. The instruction stands before it, examples between both,
passages and a wording of one's own around the last user turn; passages are searched for with all
user turns together. What has no right answer is refused: `_Version.prepare` says what.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from tunewise.contenders.answering import PromptStrategy
from tunewise.contenders.classifier import FittedClassifier
from tunewise.errors import UserError
from tunewise.exporting.asking import classifier_of_bundle, strategy_of_bundle
from tunewise.exporting.bundle import Bundle, read_bundle
from tunewise.project.contenders import CONSTANT
from tunewise.retrieval.embed import Embedder, SentenceEmbedder, load_embedder
from tunewise.runs.registry import Version
from tunewise.serving.protocol import Answered, Passage, Prompted, RefusedError, Weights
from tunewise.types import Input, Message, Usage

_ROLES = ("system", "user", "assistant", "tool")


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseServed:
    """A base model: what is said to it is passed on."""

    name: str
    resolved: str
    weights: Weights

    def prepare(self, messages: Sequence[Message]) -> Prompted:
        """See `ServedModel.prepare`."""
        if not messages:
            raise RefusedError("messages: is empty. Send at least one turn.", param="messages")
        return Prompted(messages=tuple(messages), max_tokens=None)

    def load(self) -> None:
        """Nothing has to be read."""

    def embedder(self) -> None:
        """See `ServedModel.embedder`."""


class Loaded:
    """A version as it lies on the disk, read once; all names of the version share it.

    Args:
        version: of the registry.
        load: gives the sentence model, one for all versions.
    """

    def __init__(self, version: Version, load: Callable[[], Embedder]) -> None:
        self.version = version
        self._load = load
        self._lock = threading.Lock()
        self._ready = False

    @cached_property
    def bundle(self) -> Bundle:
        """What it is; its other files are not read yet.

        Raises:
            UserError: model.json is damaged.
        """
        return read_bundle(self.version.folder)

    @cached_property
    def weights(self) -> Weights | None:
        """What runs; None where no language model of this server is asked."""
        base = self.bundle.model.base
        return Weights(base=base.name, adapter=self.bundle.adapter) if base else None

    @cached_property
    def strategy(self) -> PromptStrategy:
        """How a language model is asked."""
        return strategy_of_bundle(self.bundle, load=self._load)

    @cached_property
    def classifier(self) -> FittedClassifier:
        """What answers without one."""
        return classifier_of_bundle(self.bundle, load=self._load)

    @cached_property
    def embedder(self) -> SentenceEmbedder:
        """What turns texts into vectors, of a version that does nothing else."""
        return load_embedder(self.bundle.adapter)

    @cached_property
    def texts(self) -> dict[str, str]:
        """Id of each passage -> its text."""
        return {passage.id: passage.text for passage in self.bundle.passages()}

    def make_ready(self) -> None:
        """Reads, checks and fits all that answering takes; the second time it does nothing.

        Raises:
            UserError: files are damaged, or the sentence model is not here.
        """
        with self._lock:
            if self._ready:
                return
            self.bundle.check()
            if self.bundle.model.kind == "classifier":
                _ = self.classifier
            elif self.bundle.model.embeds:
                _ = self.embedder
            elif self.bundle.model.asks_model:
                _ = self.strategy, self.texts
            self._ready = True


@dataclass(frozen=True, kw_only=True)
class VersionServed:
    """A version of the registry, under the name that it was asked for by.

    Args:
        name: `triage`, `triage@production` or `triage@3`.
        loaded: shared by all names of the version.
    """

    name: str
    loaded: Loaded
    resolved: str = field(init=False)
    weights: Weights | None = field(init=False)

    def __post_init__(self) -> None:
        """Raises UserError where model.json is damaged."""
        object.__setattr__(self, "resolved", self.loaded.version.id)
        object.__setattr__(self, "weights", self.loaded.weights)

    def load(self) -> None:
        """Reads all that answering takes, so that the first request need not wait for it. Blocks.

        Raises:
            UserError: files are damaged, or the sentence model is not here.
        """
        self.loaded.make_ready()

    def embedder(self) -> SentenceEmbedder | None:
        """See `ServedModel.embedder`."""
        if not self.loaded.bundle.model.embeds:
            return None
        self._load_or_refuse()
        return self.loaded.embedder

    def prepare(self, messages: Sequence[Message]) -> Prompted | Answered:
        """See `ServedModel.prepare`.

        Raises:
            RefusedError: the last turn is not the user's or a tool's, or there is no user turn; a
                classifier that only saw single messages is given a conversation; what it runs on,
                or needs, is not on this server.
        """
        model = self.loaded.bundle.model
        self._refuse_unknown_ways()
        item = _input(messages)
        if model.kind == CONSTANT:
            return Answered(text=str(model.settings["answer"]), usage=Usage())
        self._load_or_refuse()
        if model.kind == "classifier":
            return self._classified(item)
        strategy = self.loaded.strategy
        (prompt,) = strategy.prompts([item])
        return Prompted(
            messages=prompt.messages,
            max_tokens=None if model.max_tokens is None else strategy.max_tokens,
            passages=tuple(
                Passage(source=one, text=self.loaded.texts[one]) for one in prompt.passages
            ),
            read=_reader(strategy),
        )

    def _load_or_refuse(self) -> None:
        try:
            self.load()
        except UserError as error:
            # Clients are told no path of this machine.
            why = str(error).replace(str(self.loaded.version.folder), self.resolved)
            raise RefusedError(
                f"{self.resolved}: cannot be asked: {why}", param="model", code="model_unusable"
            ) from error

    def _classified(self, item: Input) -> Answered:
        if not self.loaded.bundle.model.conversations and _turns(item) > 1:
            raise RefusedError(
                f"{self.resolved}: is a classifier that learned from single messages, so a "
                "conversation has no right answer. Send the message to classify alone.",
                param="messages",
                code="single_message_only",
            )
        (answer,) = self.loaded.classifier.answer([item], seed=0)
        return Answered(text=answer.text or "", usage=Usage())

    def _refuse_unknown_ways(self) -> None:
        model = self.loaded.bundle.model
        if model.embeds:
            raise RefusedError(
                f"{self.resolved}: makes embeddings and answers nothing. Send texts to "
                "/v1/embeddings.",
                param="model",
                code="unsupported_model",
            )
        if model.endpoint is not None:
            raise RefusedError(
                f"{self.resolved}: runs at an endpoint of its own, which this server does not "
                "ask. `tunewise export MODEL --to prompt` writes what asks it.",
                param="model",
                code="model_unusable",
            )
        if model.thinking:
            raise RefusedError(
                f"{self.resolved}: thinks before it answers, which this server does not ask a "
                "model for yet. Make a run with model.thinking = false, or ask another version.",
                param="model",
                code="model_unusable",
            )


def _input(messages: Sequence[Message]) -> Input:
    """The conversation as a row of the data would hold it."""
    if not messages:
        raise RefusedError("messages: is empty. Send at least one turn.", param="messages")
    unknown = [turn.role for turn in messages if turn.role not in _ROLES]
    if unknown:
        raise RefusedError(f"messages: the role {unknown[0]!r} is unknown.", param="messages")
    if all(turn.role != "user" for turn in messages):
        raise RefusedError(
            "messages: holds no user turn, and this model's prompt is made around one. Send what "
            "the user says.",
            param="messages",
        )
    if messages[-1].role not in ("user", "tool"):
        raise RefusedError(
            f"messages: the last turn is of the role {messages[-1].role!r}. This model answers "
            "users and results of tools: put such a turn last.",
            param="messages",
        )
    return Input(id="request", messages=tuple(messages))


def _turns(item: Input) -> int:
    return sum(turn.role != "system" for turn in item.messages)


def _reader(strategy: PromptStrategy) -> Callable[[str], str] | None:
    """What finds the answer behind the steps that were asked for; None: there are none."""
    if strategy.read("Answer: x") == "Answer: x":
        return None
    return lambda text: strategy.said(text, ())
