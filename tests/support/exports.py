"""Sources to export that need no run: an adapter on a small model, and prompts without a model."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from small_models import user
from small_trainings import PAIRS, RECIPE, rows_of
from tunewise.contenders.answering import PromptStrategy
from tunewise.contenders.fine_tune import input_alone
from tunewise.exporting.materials import Materials
from tunewise.exporting.source import FIXED_TOKENS, HeldOut, Source, fixed_set
from tunewise.metrics.by_name import metric_named
from tunewise.models.catalog import LocalModel
from tunewise.training.loop import Training
from tunewise.types import Example

SHORT = 12
"""Prompts of the fixed set that most tests compare by."""


def held_out(count: int = SHORT) -> HeldOut:
    """The first prompts of the fixed set."""
    whole = fixed_set()
    return replace(whole, rows=whole.rows[:count])


def taught_adapter(base: LocalModel, folder: Path) -> Path:
    """An adapter that says the labels of `PAIRS` for sure, so that rounding changes no answer."""
    recipe = replace(RECIPE, epochs=8)
    training = Training(base, rows_of(base), recipe, folder.with_name(f"{folder.name}-work"))
    for _ in range(recipe.epochs):
        training.run_epoch()
    training.save(folder)
    training.close()
    return folder


def taught_rows() -> HeldOut:
    """What `taught_adapter` was taught."""
    rows = tuple(example(n, text, target) for n, (text, target) in enumerate(PAIRS))
    return HeldOut(rows=rows, of="test rows of run", metric=metric_named("exact_match"))


def adapter_source(
    base: LocalModel,
    adapter: Path | None,
    *,
    prompts: HeldOut | None = None,
    margin: float = 0.03,
    tokens: int = FIXED_TOKENS,
) -> Source:
    """What was trained from a base, asked with the input alone."""
    return Source(
        named=str(adapter or base.name),
        contender="fine_tune",
        base=base,
        base_name=base.name,
        adapter=adapter,
        strategy=PromptStrategy(prompts=input_alone, max_tokens=tokens),
        held_out=prompts or held_out(),
        margin=margin,
    )


def prompt_source(
    contender: str, strategy: PromptStrategy, rows: Sequence[Example], materials: Materials
) -> Source:
    """A contender that trains nothing and asks some endpoint."""
    return Source(
        named=f"run:{contender}",
        contender=contender,
        base=None,
        base_name="some-model",
        adapter=None,
        strategy=strategy,
        held_out=HeldOut(rows=tuple(rows), of="test rows of run", metric=None),
        margin=0.03,
        materials=materials,
    )


def example(number: int, text: str, target: str) -> Example:
    """A row of one turn."""
    return Example(id=f"row {number}", messages=user(text), target=target)
