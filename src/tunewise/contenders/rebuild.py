"""Turns what a run chose into the same way to ask again, without choosing anew.

It reads the settings that a fit wrote down; nothing is searched, and no dev is seen.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from tunewise.chat.prompts import input_alone
from tunewise.contenders import few_shot, rag
from tunewise.contenders.answering import PromptStrategy
from tunewise.contenders.classifier import Classifier, FittedClassifier
from tunewise.contenders.few_shot import shots_of, with_examples
from tunewise.contenders.prompt import in_words_of, variant_of
from tunewise.contenders.race import Race
from tunewise.contenders.rag import lookup_of, with_passages
from tunewise.contenders.zero_shot import with_instruction
from tunewise.metrics.metric import Metric
from tunewise.retrieval.embed import Embedder, load_embedder
from tunewise.types import Example, JsonValue


def strategy_of(
    settings: Mapping[str, JsonValue],
    *,
    instruction: str,
    max_tokens: int,
    index: Callable[[], few_shot.Searched],
    library: Callable[[], rag.Searched],
) -> PromptStrategy:
    """How a contender without training asked, and one that is given passages.

    Args:
        settings: of its fit.
        instruction: of the run's task; empty for one that learned it.
        max_tokens: of an answer.
        index: gives the run's train, for examples in the prompt.
        library: gives the documents, for passages.

    Raises:
        ValueError: the settings are none that a contender writes.
    """
    if "variant" in settings:
        return in_words_of(variant_of(settings), max_tokens)
    if "chunk_words" in settings:
        return with_passages(lookup_of(settings), library(), instruction, max_tokens)
    if "k" in settings:
        return with_examples(shots_of(settings), index(), instruction, max_tokens)
    if "instruction" in settings:
        return with_instruction(str(settings["instruction"]), max_tokens)
    raise ValueError(f"no contender chose {dict(settings)}")


def trained_strategy(
    settings: Mapping[str, JsonValue],
    *,
    teacher: Mapping[str, JsonValue],
    max_tokens: int,
    library: Callable[[], rag.Searched],
) -> PromptStrategy:
    """How a trained contender asked: with the input, and its passages where it has them.

    Args:
        settings: of its fit.
        teacher: settings of the contender whose answers it learned; empty: it learned the rows'.
        max_tokens: of an answer.
        library: gives the documents, for passages.

    Raises:
        ValueError: the settings are none that a contender writes.
    """
    if "chunk_words" in settings:
        return with_passages(lookup_of(settings), library(), "", max_tokens)
    if "variant" in teacher:  # it answers as it was taught
        return replace(in_words_of(variant_of(teacher), max_tokens), prompts=input_alone)
    return PromptStrategy(prompts=input_alone, max_tokens=max_tokens)


def classifier_of(
    settings: Mapping[str, JsonValue],
    train: Sequence[Example],
    *,
    metric: Metric,
    labels: Sequence[str] | None,
    sets: bool,
    load: Callable[[], Embedder] = load_embedder,
) -> FittedClassifier:
    """The classifier of a run, fitted again in a second.

    Args:
        settings: of its fit.
        train: what it learned from, in order.
        metric: the project's.
        labels: of the task, where it declares them.
        sets: whether answers are sets of labels.
        load: gives the sentence model.

    Raises:
        ValueError: the settings are none that it writes.
        NotApplicable: the rows are not what it learned from, or the extra `dense` is missing.
    """
    strength = settings.get("C")
    if not isinstance(strength, int | float):
        raise ValueError(f"no classifier chose {dict(settings)}")
    classifier = Classifier(
        metric=metric, labels=labels, sets=sets, strengths=(float(strength),), load=load
    )
    return classifier.fit(train, Race((), metric=metric, margin=1.0))
