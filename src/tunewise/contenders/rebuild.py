"""Turns what a run chose into the same way to ask again, without choosing anew.

It reads the settings that a fit wrote down; nothing is searched, and no dev is seen.
"""

from collections.abc import Callable, Mapping

from tunewise.contenders.answering import PromptStrategy
from tunewise.contenders.few_shot import shots_of, with_examples
from tunewise.contenders.prompt import in_words_of, variant_of
from tunewise.contenders.rag import Library, lookup_of, with_passages
from tunewise.contenders.zero_shot import with_instruction
from tunewise.retrieval.index import ExampleIndex
from tunewise.types import JsonValue


def strategy_of(
    settings: Mapping[str, JsonValue],
    *,
    instruction: str,
    max_tokens: int,
    index: Callable[[], ExampleIndex],
    library: Callable[[], Library],
) -> PromptStrategy:
    """How a contender asked.

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
