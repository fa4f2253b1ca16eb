"""Asks a model in a folder exactly as its contender was asked in the run.

It fits classifiers and searches examples and passages; it runs no language model.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tunewise.chat.prompts import Prompt
from tunewise.contenders.answering import ANSWER_CEILING, PromptStrategy
from tunewise.contenders.classifier import FittedClassifier
from tunewise.contenders.few_shot import FIXED, shots_of
from tunewise.contenders.protocol import NotApplicable
from tunewise.contenders.rag import Lookup, passage_prompts
from tunewise.contenders.rebuild import classifier_of, strategy_of, trained_strategy
from tunewise.errors import UserError
from tunewise.exporting.bundle import Bundle
from tunewise.exporting.vectors import with_vectors
from tunewise.metrics.by_name import metric_named
from tunewise.retrieval.embed import Embedder, load_embedder
from tunewise.retrieval.index import ExampleIndex, Index
from tunewise.types import Example, Input


@dataclass(frozen=True, kw_only=True, slots=True)
class FixedExamples:
    """The same examples for every input: all there are."""

    examples: tuple[Example, ...]

    def nearest_many(self, texts: Sequence[str], k: int) -> list[list[Example]]:
        """See `few_shot.Searched`."""
        return [self.diverse(k) for _ in texts]

    def diverse(self, k: int) -> list[Example]:
        """See `few_shot.Searched`."""
        return list(self.examples[:k])


@dataclass(frozen=True, kw_only=True, slots=True)
class Passages:
    """Passages of one size."""

    index: Index

    def prompts(self, lookup: Lookup, instruction: str, inputs: Sequence[Input]) -> list[Prompt]:
        """See `rag.Searched`."""
        return passage_prompts(self.index, lookup, instruction, inputs)


def strategy_of_bundle(
    bundle: Bundle, *, load: Callable[[], Embedder] = load_embedder
) -> PromptStrategy:
    """How a model that asks a language model does it.

    Where it has no limit of its own, answers have `ANSWER_CEILING` tokens at most here.

    Args:
        bundle: of any kind but `constant` and `classifier`.
        load: gives the sentence model, where it needs one.

    Raises:
        UserError: its files are damaged, or the sentence model is not here.
    """
    model = bundle.model
    limit = ANSWER_CEILING if model.max_tokens is None else model.max_tokens

    def index() -> FixedExamples | ExampleIndex:
        if shots_of(model.settings).selection == FIXED:
            return FixedExamples(examples=bundle.examples())
        rows = bundle.examples()
        return ExampleIndex(rows, _embedder(bundle, load, [row.input.text for row in rows]))

    def library() -> Passages:
        pieces = bundle.passages()
        return Passages(index=Index(pieces, _embedder(bundle, load, [p.text for p in pieces])))

    try:
        if model.trained:
            strategy = trained_strategy(
                model.settings, teacher=model.teacher, max_tokens=limit, library=library
            )
        else:
            strategy = strategy_of(
                model.settings,
                instruction=model.instruction,
                max_tokens=limit,
                index=index,
                library=library,
            )
    except ValueError as error:
        raise _unread(bundle, str(error)) from None
    return replace(strategy, adapters={0: bundle.adapter})


def classifier_of_bundle(
    bundle: Bundle, *, load: Callable[[], Embedder] = load_embedder
) -> FittedClassifier:
    """The classifier of a model, fitted again on its rows.

    Raises:
        UserError: its files are damaged, or the sentence model is not here.
    """
    model = bundle.model
    try:
        found = classifier_of(
            model.settings,
            bundle.examples(),
            metric=metric_named("accuracy"),  # it judges nothing here: C is chosen already
            labels=model.task.labels,
            sets=model.task.kind == "multilabel",
            load=load,
        )
    except (ValueError, NotApplicable) as error:
        raise _unread(bundle, str(error)) from None
    if found.embedder.name != model.embedder:
        raise _missing(bundle, found.embedder.name)
    return found


def _embedder(
    bundle: Bundle, load: Callable[[], Embedder], texts: Sequence[str]
) -> Embedder | None:
    """What finds texts by meaning; None: nothing does."""
    if bundle.model.embedder is None:
        return None
    found = load()
    if found.name != bundle.model.embedder:
        raise _missing(bundle, found.name)
    return with_vectors(bundle, found, texts)


def _missing(bundle: Bundle, found: str) -> UserError:
    return UserError(
        f"{bundle.folder}: reads texts with {bundle.model.embedder}, and here is {found}. Install "
        "what its run had: `pip install 'tunewise[dense]'`."
    )


def _unread(bundle: Bundle, why: str) -> UserError:
    return UserError(
        f"{bundle.folder}: cannot be asked: {why.removesuffix('.')}. Make the model again from its "
        "run: `tunewise models add RUN`."
    )
