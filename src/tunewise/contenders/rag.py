"""Retrieved passages in the prompt: chunk size, number and way of search chosen on dev."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, get_args

from tunewise.chat.prompts import Prompt, instructed, reworded
from tunewise.contenders.answering import FittedPrompt, PromptStrategy, answer_limit
from tunewise.contenders.protocol import NotApplicable
from tunewise.contenders.race import Race
from tunewise.contenders.search import Candidate, search_and_fit
from tunewise.data.documents.document import Document
from tunewise.models.engines.protocol import Engine
from tunewise.progress import Progress
from tunewise.retrieval.chunk import SIZES, Passage, chunk
from tunewise.retrieval.embed import Embedder, unread_script
from tunewise.retrieval.index import Index, Mode, recall_at_k
from tunewise.text.words import search_terms
from tunewise.types import Example, Input, JsonValue, Message


@dataclass(frozen=True, kw_only=True, slots=True)
class Lookup:
    """One way to look things up."""

    words: int
    """Words of a passage, about."""
    k: int
    """Passages shown."""
    mode: Mode

    @property
    def settings(self) -> dict[str, JsonValue]:
        """What it is, for a reader."""
        return {"k": self.k, "chunk_words": self.words, "search": self.mode}


class Searched(Protocol):
    """What passages come from: a `Library`, or the passages of one size."""

    def prompts(self, lookup: Lookup, instruction: str, inputs: Sequence[Input]) -> list[Prompt]:
        """The instruction, the passages found and the input."""
        ...


class Library:
    """A person's documents, searchable at every chunk size.

    Args:
        documents: at least one.
        embedder: None: search by words alone.
    """

    def __init__(self, documents: Sequence[Document], embedder: Embedder | None) -> None:
        self._documents = documents
        prefixes = [block.text for document in documents for block in document.blocks[:20]]
        self.unread = unread_script(embedder, prefixes)
        """The script of most documents, where the embedder cannot read it and is left out."""
        self._embedder = None if self.unread else embedder
        self._indexes: dict[int, Index] = {}

    @cached_property
    def modes(self) -> tuple[Mode, ...]:
        """The ways of search there are, the plainest first."""
        return self._index(SIZES[0][0]).modes

    @property
    def embedder(self) -> Embedder | None:
        """What searches by meaning."""
        return self._embedder

    def passages(self, words: int) -> tuple[Passage, ...]:
        """All passages of about so many words, in the order of the documents."""
        return self._index(words).passages

    def prompts(self, lookup: Lookup, instruction: str, inputs: Sequence[Input]) -> list[Prompt]:
        """See `Searched.prompts`."""
        return passage_prompts(self._index(lookup.words), lookup, instruction, inputs)

    def answer_share(self, lookup: Lookup, examples: Sequence[Example]) -> float:
        """Mean share of a target's words that stand in the passages found for its input."""
        found = self._index(lookup.words).search_many(
            [example.input.text for example in examples], lookup.k, lookup.mode
        )
        shares: list[float] = []
        for example, hits in zip(examples, found, strict=True):
            wanted = set(search_terms(example.target))
            there = {word for hit in hits for word in search_terms(hit.passage.text)}
            shares.append(len(wanted & there) / len(wanted) if wanted else 0.0)
        return sum(shares) / len(shares)

    def recall(self, lookup: Lookup, examples: Sequence[Example]) -> Mapping[str, JsonValue]:
        """How often the document that a row names is among the passages; empty if none does."""
        prompts = self.prompts(lookup, "", [example.input for example in examples])
        found = recall_at_k([prompt.passages for prompt in prompts], examples, lookup.k)
        return {"recall_at_k": found.value, "k": found.k, "n": found.n} if found else {}

    def _index(self, words: int) -> Index:
        if words not in self._indexes:
            passages = chunk(self._documents, words=words)
            self._indexes[words] = Index(passages, self._embedder)
        return self._indexes[words]


@dataclass(frozen=True, kw_only=True)
class Rag:
    """Asks with the passages that a search over the documents brings.

    Args:
        library: None: no documents were given.
    """

    engine: Engine
    instruction: str
    library: Library | None
    budget_tokens: int
    progress: Progress
    name: str = "rag"

    def fit(self, train: Sequence[Example], race: Race) -> FittedPrompt:
        """Chooses chunk size, k and the way of search on dev by successive halving.

        Raises:
            NotApplicable: there are no documents.
        """
        library = self.library
        if library is None:
            raise NotApplicable("no documents given")
        began = time.perf_counter()
        limit = answer_limit(self.engine, train)
        candidates = [
            Candidate(value=lookup, settings=lookup.settings)
            for words, k in SIZES
            for mode in library.modes
            for lookup in [Lookup(words=words, k=k, mode=mode)]
        ]

        def settings(best: Candidate[Lookup]) -> dict[str, JsonValue]:
            recall = library.recall(best.value, [*train, *race.dev])
            return {**best.settings, "retrieval": recall}

        return search_and_fit(
            self,
            candidates,
            lambda lookup: with_passages(lookup, library, self.instruction, limit),
            race,
            what="settings",
            settings=settings,
            began=began,
        )


def passage_prompts(
    index: Index, lookup: Lookup, instruction: str, inputs: Sequence[Input]
) -> list[Prompt]:
    """The instruction, the passages that an index finds, and the input."""
    found = index.search_many([item.text for item in inputs], lookup.k, lookup.mode)
    return [
        Prompt(
            messages=_with_passages(instruction, [hit.passage.text for hit in hits], item),
            passages=tuple(hit.passage.id for hit in hits),
            tools=item.tools,
        )
        for item, hits in zip(inputs, found, strict=True)
    ]


def with_passages(
    lookup: Lookup, library: Searched, instruction: str, max_tokens: int
) -> PromptStrategy:
    """Asks with the passages that a look-up brings."""
    return PromptStrategy(
        prompts=lambda inputs: library.prompts(lookup, instruction, inputs), max_tokens=max_tokens
    )


def lookup_of(settings: Mapping[str, JsonValue]) -> Lookup:
    """The look-up that the settings of a run's fit describe.

    Raises:
        ValueError: they describe none.
    """
    words, k, mode = (settings.get(key) for key in ("chunk_words", "k", "search"))
    known = next((one for one in get_args(Mode) if one == mode), None)
    if not isinstance(words, int) or not isinstance(k, int) or known is None:
        raise ValueError(f"{dict(settings)} are no look-up")
    return Lookup(words=words, k=k, mode=known)


def best_lookup(library: Library, train: Sequence[Example], *, most_words: int) -> Lookup:
    """The look-up whose passages hold most of the targets' words; the shortest on near ties.

    Args:
        library: the documents.
        train: rows to judge by.
        most_words: words of all passages together at most.
    """
    options = [
        Lookup(words=words, k=k, mode=mode)
        for words, k in SIZES
        for mode in library.modes
        if words * k <= most_words
    ]
    shares = [library.answer_share(lookup, train) for lookup in options]
    good_enough = max(shares) - 0.01
    return next(o for o, share in zip(options, shares, strict=True) if share >= good_enough)


def _with_passages(instruction: str, passages: Sequence[str], item: Input) -> tuple[Message, ...]:
    shown = "\n\n".join(passages)

    def asked(text: str) -> str:
        return f"{shown}\n\nQuestion: {text}" if passages else text

    return reworded(instructed(instruction, item), asked)
